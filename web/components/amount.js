/** Bytes in words. */
export function amount(bytes) {
  const [size, unit] = bytes >= 1e9 ? [bytes / 1e9, "GB"] : bytes >= 1e6 ? [bytes / 1e6, "MB"] : [bytes / 1e3, "kB"];
  return `${size >= 100 ? Math.round(size) : size.toFixed(1)} ${unit}`;
}
