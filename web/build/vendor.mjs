// Copies the page's libraries from node_modules into web/vendor/ and records where each byte comes from.
// The only change made: bare imports become relative ones, so that no import map (an inline script, which the CSP
// forbids) is needed. `--check` compares instead of writing, and fails on any difference.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const VENDOR = join(ROOT, "web/vendor");

// bare name -> [package, file in it, name in web/vendor]
const MODULES = {
  preact: ["preact", "dist/preact.mjs", "preact.mjs"],
  "preact/hooks": ["preact", "hooks/dist/hooks.mjs", "hooks.mjs"],
  htm: ["htm", "dist/htm.mjs", "htm.mjs"],
  "@preact/signals-core": ["@preact/signals-core", "dist/signals-core.mjs", "signals-core.mjs"],
  "@preact/signals": ["@preact/signals", "dist/signals.mjs", "signals.mjs"],
  qr: ["qr", "index.js", "qr.mjs"],
  "hash-wasm": ["hash-wasm", "dist/argon2.umd.min.js", "argon2.mjs"], // as a module it only sets `globalThis.hashwasm`
};
const LICENSES = [
  ["preact", "LICENSE"],
  ["htm", "LICENSE"],
  ["@preact/signals", "LICENSE"],
  ["@preact/signals-core", "LICENSE"],
  ["qr", "LICENSE-MIT"],
  ["hash-wasm", "LICENSE"],
];

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const inPackage = (name, file) => readFileSync(join(ROOT, "node_modules", name, file));
const version = (name) => JSON.parse(inPackage(name, "package.json")).version;

/** The module's text with bare imports made relative; an import of something that is not vendored is an error. */
function relative(text) {
  return text
    .replace(/\b(from|import)\s*(["'])([@a-z][^"'\n]*)\2/g, (all, word, quote, name) => {
      if (!MODULES[name]) throw new Error(`not vendored: ${name}`);
      return `${word} ${quote}./${MODULES[name][2]}${quote}`;
    })
    .replace(/\n?\/\/# sourceMappingURL=.*\n?/g, "\n");
}

function build() {
  const files = {};
  const record = {};
  for (const [name, file, target] of Object.values(MODULES)) {
    const source = inPackage(name, file);
    const text = relative(source.toString("utf8"));
    files[target] = text;
    record[target] = { package: name, version: version(name), file, source: sha256(source), sha256: sha256(text) };
  }
  files["LICENSES.txt"] = LICENSES.map(([name, file]) => `${name} ${version(name)}\n\n${inPackage(name, file)}`).join(
    "\n----------------------------------------------------------------\n\n",
  );
  files["vendor.json"] = `${JSON.stringify(record, null, 2)}\n`;
  return files;
}

const check = process.argv.includes("--check");
let different = 0;
for (const [name, text] of Object.entries(build())) {
  const path = join(VENDOR, name);
  if (!check) writeFileSync(path, text);
  else if (readFileSync(path, "utf8") !== text) {
    different += 1;
    console.error(`web/vendor/${name} is not what node web/build/vendor.mjs makes from package-lock.json`);
  }
}
process.exit(different ? 1 : 0);
