// Files that leave the page by the browser's downloads.

/** Hands `parts` (bytes, Blobs) to the browser's downloads as one file. */
export function saveFile(parts, name) {
  const url = URL.createObjectURL(new Blob(parts, { type: "application/octet-stream" }));
  const anchor = document.createElement("a");
  anchor.href = url;
  anchor.download = name;
  anchor.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
