import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { addressOf, groupInHash, readLink } from "../../web/link.js";

const ID = "AbCdEfGhIjKlMnOpQrStUv";
const SECRET = "0123456789_-abcdefghij";
const LINK = `https://chat.example/?join=${ID}#1.${SECRET}`;
const GROUP = "11111111-1111-4111-8111-111111111111";

describe("an invite link", () => {
  test("is read from the address, and from text around which there is space", () => {
    assert.deepEqual(readLink(LINK), { link: LINK });
    assert.deepEqual(readLink(`  ${LINK}\n`), { link: LINK });
  });
  test("loses whatever else stands in its query and path", () => {
    assert.deepEqual(readLink(`https://chat.example/x?utm=1&join=${ID}#1.${SECRET}`), { link: LINK });
  });
  for (const [what, text] of [
    ["no secret", `https://chat.example/?join=${ID}`],
    ["a short secret", `https://chat.example/?join=${ID}#1.abc`],
    ["a short id", `https://chat.example/?join=abc#1.${SECRET}`],
    ["more after the secret", `${LINK}.x`],
    ["no version", `https://chat.example/?join=${ID}#${SECRET}`],
    ["a character that is not base64url", `https://chat.example/?join=${ID}#1.${SECRET.slice(0, 21)}+`],
  ]) {
    test(`with ${what} is not complete`, () => assert.match(readLink(text).problem, /not complete/));
  }
  test("of a later version says so", () => assert.match(readLink(`https://chat.example/?join=${ID}#2.${SECRET}`).problem, /newer version/));
  test("is not found where there is none", () => {
    assert.equal(readLink("https://chat.example/"), null);
    assert.equal(readLink("hello"), null);
    assert.equal(readLink(""), null);
  });
});

test("a group has an address of its own, and it is read back", () => {
  assert.equal(groupInHash(new URL(addressOf({ view: "group", group_id: GROUP }), "https://x").hash), GROUP);
  assert.equal(addressOf({ view: "waiting", join_id: GROUP }), "/");
  assert.equal(groupInHash(`#1.${SECRET}`), null);
  assert.equal(groupInHash("#g=../../etc"), null);
});
