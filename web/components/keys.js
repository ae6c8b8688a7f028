// Identity keys as people compare them.

/** 128 bits of a key in hex, by fours: too many for somebody who searches for a key that looks the same. */
export const readable = (key) => key.slice(0, 32).replace(/(.{4})(?=.)/g, "$1 ");
