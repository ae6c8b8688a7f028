// The health of a group as text for a stranger: no name, no key, nothing of what was written. Pure.

const STORAGE = { true: "kept by the browser", false: "may be cleared by the browser", null: "not known" };

/** Whether the browser keeps this device's data, in words. */
export const storageWord = (kept) => STORAGE[kept];

/**
 * @param {{at: number, findings: {what: string, text: string}[]}} health as docs/bridge.md has it
 * @param {boolean|null} kept whether the browser promised not to clear this device's data; null: it does not say
 */
export function report(health, kept) {
  const at = `${new Date(health.at).toISOString().slice(0, 16).replace("T", " ")} UTC`;
  const found = [...health.findings, { what: "storage", text: storageWord(kept) }];
  return [`Coterie, a group at ${at}`, ...found.map(({ what, text }) => `${what}: ${text}`)].join("\n");
}
