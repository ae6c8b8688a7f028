import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";

const WEB = new URL("../../web/", import.meta.url);

/** The tags of fields in the page's own modules, with the file that each stands in. */
function fields() {
  const files = ["components", "views"].flatMap((folder) => readdirSync(new URL(folder, WEB)).map((name) => `${folder}/${name}`));
  return files.flatMap((file) => {
    const text = readFileSync(new URL(file, WEB), "utf8");
    return [...text.matchAll(/<(?:input|textarea)\b.*?(?:\/>|><\/textarea>)/gs)].map(([tag]) => ({ file, tag }));
  });
}

test("a browser keeps in its session files what stands in a field with autocomplete: no field of text has it", () => {
  const found = fields().filter(({ tag }) => !tag.includes('type="file"'));
  assert.ok(found.length >= 3);
  for (const { file, tag } of found) assert.match(tag, /autocomplete="off"/, `${file}: ${tag}`);
});
