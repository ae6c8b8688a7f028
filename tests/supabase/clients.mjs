// supabase-js, unmodified: two guests, an invite, a join, messages. Ends with one line when all was as documented.
import assert from "node:assert/strict";
import { generateKeyPairSync, randomBytes, randomUUID, sign } from "node:crypto";
import { createClient } from "@supabase/supabase-js";

const url = process.argv[2];
const hex = (bytes) => Buffer.from(bytes).toString("hex");

/** Parts, each prefixed with its length as u16 big-endian. */
function prefixed(...parts) {
  const bytes = parts.map((part) => Buffer.from(part));
  return Buffer.concat(bytes.flatMap((part) => [Buffer.from([part.length >> 8, part.length & 255]), part]));
}

/** A vector with RFC 9420's variable-length size. */
function vector(bytes) {
  const size = bytes.length < 64 ? [bytes.length] : [0x40 | (bytes.length >> 8), bytes.length & 255];
  return Buffer.concat([Buffer.from(size), bytes]);
}

class Guest {
  static async arrive() {
    const guest = new Guest();
    guest.client = createClient(url, "sb_publishable_any", { auth: { persistSession: false } });
    const { data, error } = await guest.client.auth.signInAnonymously();
    assert.equal(error, null);
    assert.equal(data.user.is_anonymous, true);
    const { data: checked } = await guest.client.auth.getClaims();
    const { publicKey, privateKey } = generateKeyPairSync("ed25519");
    const key = publicKey.export({ format: "der", type: "spki" }).subarray(-32);
    const proof = sign(null, prefixed("coterie device v1", data.user.id, checked.claims.session_id, key), privateKey);
    await guest.invoke("device_register", { signature_key: hex(key), name: "supabase-js", proof: hex(proof) });
    return guest;
  }

  async invoke(name, body) {
    const { data, error } = await this.client.functions.invoke(name, { body });
    if (error) throw error;
    return data;
  }
}

/** A GroupInfo of epoch 0 as the service reads it: framing, GroupContext (version, suite, id, epoch), the rest opaque. */
const groupInfo = Buffer.concat([
  Buffer.from([0, 1, 0, 4, 0, 1, 0, 1]),
  vector(randomBytes(16)),
  Buffer.alloc(8),
  randomBytes(64),
]);
const keyPackage = Buffer.concat([Buffer.from([0, 1, 0, 5, 0, 1, 0, 1]), randomBytes(64)]);

const [alice, bob] = [await Guest.arrive(), await Guest.arrive()];
const group_id = randomUUID();
const invite_id = hex(randomBytes(16));
const join_id = randomUUID();
await alice.invoke("group_create", { group_id, group_info: hex(groupInfo), message_id: randomUUID() });
const expires_at = new Date(Date.now() + 3_600_000).toISOString();
const preview = hex(randomBytes(64));
const invite = { invite_id, group_id, preview, expires_at, max_uses: 1, approval: false };
assert.deepEqual(await alice.invoke("invite_create", invite), { invite_id });
const request = { join_id, invite_id, kp_hex: hex(keyPackage), tag: hex(randomBytes(32)), hello: hex(randomBytes(32)) };
assert.deepEqual(await bob.invoke("invite_join", request), { join_id, status: "waiting" });
assert.equal((await bob.invoke("invite_poll", { join_id })).status, "waiting");
assert.deepEqual((await alice.invoke("get_messages", { group_id, after: 0 })).envelopes, []);
const refusal = await bob.invoke("get_messages", { group_id, after: 0 }).then(assert.fail, (error) => error);
assert.equal(refusal.context.status, 403);
assert.equal((await refusal.context.json()).code, "not_a_member");
for (const guest of [alice, bob]) assert.equal((await guest.client.auth.signOut()).error, null);
console.log("supabase-js: all as documented");
