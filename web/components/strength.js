// A passphrase: how good it looks, and one that nobody can guess.

export const SHORTEST = 8;
const FAIR = 12;
const GOOD = 16;
const FEW = 5; // different characters
const LETTERS = "0123456789abcdefghjkmnpqrstvwxyz"; // 32 that are not mistaken for one another
const COUNT = 26; // 5 bits each: 130 bits
const BLOCK = 5;

/** A hint; it refuses nothing but what is too short. */
export function strengthOf(passphrase) {
  if (!passphrase) return "Four or more words that have nothing to do with each other are good.";
  if (passphrase.length < SHORTEST) return `At least ${SHORTEST} characters.`;
  if (new Set(passphrase.toLowerCase()).size < FEW || /^\d+$/.test(passphrase)) return "Easy to guess: use words, not a pattern.";
  if (passphrase.length < FAIR) return "Weak against somebody who has the file and time. A longer one is better.";
  if (passphrase.length < GOOD) return "Fair. One or two words more are better.";
  return "Good, unless it is a sentence that others know.";
}

/** Random, in blocks that can be written down. */
export function suggestion(random = (size) => crypto.getRandomValues(new Uint8Array(size))) {
  const letters = [...random(COUNT)].map((byte) => LETTERS[byte % LETTERS.length]);
  return Array.from({ length: Math.ceil(COUNT / BLOCK) }, (_, n) => letters.slice(n * BLOCK, (n + 1) * BLOCK).join("")).join("-");
}
