// Small helpers of the build: hashes, a cache for what is slow to make, compressed siblings.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, readdirSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
export const DIST = join(ROOT, "dist");
const CACHE = join(ROOT, "build/page");

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

/** Ten hex digits are enough to tell contents apart, and short in a URL. */
export const mark = (...parts) => sha256(parts.map((part) => sha256(part)).join("\n")).slice(0, 10);

/** What `make` gives for this key, made once and then read from build/page/. */
export async function cached(kind, key, make) {
  const path = join(CACHE, `${kind}-${sha256(key)}`);
  if (existsSync(path)) return readFileSync(path);
  const made = Buffer.from(await make());
  write(path, made);
  return made;
}

/** Write a file whole or not at all. */
export function write(path, bytes) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(`${path}.part`, bytes);
  renameSync(`${path}.part`, path);
}

const WORTH = 1024; // bytes; smaller files gain nothing
const LARGE = 10_000_000; // bytes; the best quality would take half a minute
const brotli = (bytes) =>
  brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: bytes.length < LARGE ? 11 : 9, [constants.BROTLI_PARAM_LGWIN]: 22, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });

/** Write a file and, where they are smaller, its .br and .gz siblings. */
export async function publish(path, bytes) {
  write(path, bytes);
  if (bytes.length < WORTH) return;
  const key = sha256(bytes);
  for (const [suffix, compress] of [["br", brotli], ["gz", (raw) => gzipSync(raw, { level: 9 })]]) {
    const small = await cached(suffix, key, () => compress(bytes));
    if (small.length < bytes.length) write(`${path}.${suffix}`, small);
  }
}

/** Files below a folder as paths relative to it, sorted. */
export function walk(folder, below = "") {
  return readdirSync(join(folder, below), { withFileTypes: true })
    .flatMap((entry) => {
      const path = below ? `${below}/${entry.name}` : entry.name;
      return entry.isDirectory() ? walk(folder, path) : [path];
    })
    .sort();
}

/** The one file in dist/ whose name fits; the newest version is the only one there. */
export function onlyWheel(pattern, how) {
  const found = existsSync(DIST) ? readdirSync(DIST).filter((name) => pattern.test(name)) : [];
  if (found.length !== 1) throw new Error(`dist/ holds ${found.length} files like ${pattern}; ${how}`);
  return join(DIST, found[0]);
}
