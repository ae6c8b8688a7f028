"""Keys at rest as docs/protocol.md and ADR 20 have them, written once more, to look at what lies on a disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE = 12

READ_TABLE = """async (table) => {
  const opened = indexedDB.open("coterie");
  const db = await new Promise((done) => (opened.onsuccess = () => done(opened.result)));
  const store = db.transaction(table).objectStore(table);
  const [keys, values] = [store.getAllKeys(), store.getAll()];
  await new Promise((done) => (values.onsuccess = done));
  db.close();
  const hex = (row) => Array.from(new Uint8Array(row), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return keys.result.map((key, at) => [hex(key), hex(values.result[at])]);
}"""

READ_KEYS = """async () => {
  const text = new TextEncoder();
  const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
  const opened = indexedDB.open("coterie");
  const db = await new Promise((done) => (opened.onsuccess = () => done(opened.result)));
  const got = db.transaction("keys").objectStore("keys").get("ring");
  const record = await new Promise((done) => (got.onsuccess = () => done(got.result)));
  db.close();
  const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle("coterie.seeds");
  const seed = new Uint8Array(await (await (await folder.getFileHandle(record.place)).getFile()).arrayBuffer());
  const info = text.encode("coterie/keys/v1/wrapping-context");
  const base = await crypto.subtle.importKey("raw", seed, "HKDF", false, ["deriveKey"]);
  const hkdf = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info };
  const outer = await crypto.subtle.deriveKey(hkdf, base, { name: "AES-GCM", length: 256 }, false, ["decrypt"]);
  const open = (key, sealed, additionalData) =>
    crypto.subtle.decrypt({ name: "AES-GCM", iv: sealed.slice(0, 12), additionalData }, key, sealed.slice(12));
  const wrapped = new Uint8Array(await open(outer, record.wrapped, text.encode("ring")));
  const purpose = text.encode("coterie master key v1device");
  const master = record.way === "device" ? hex(await open(record.key, wrapped, purpose)) : null;
  return { seed: hex(seed), master };
}"""
"""The keys of a profile, read on a page of it; `master` only while nothing locks it."""


def derived(secret: bytes, label: str, salt: bytes = b"") -> bytes:
    """HKDF-SHA256, 32 bytes."""
    return HKDF(SHA256(), 32, salt, b"coterie/keys/v1/" + label.encode()).derive(secret)


@dataclass(frozen=True, repr=False)
class Keys:
    """What opens a browser's rows."""

    master: bytes
    seed: bytes

    @classmethod
    def of(cls, page: Any, master: bytes | None = None) -> Keys:
        """Those of an open page's profile; `master` where a lock keeps it from the page."""
        found = page.evaluate(READ_KEYS)
        return cls(master or bytes.fromhex(found["master"]), bytes.fromhex(found["seed"]))

    def named(self) -> dict[str, bytes]:
        """Every key by its name."""
        return {
            "master": self.master,
            "seed": self.seed,
            "encryption-context": derived(self.master, "encryption-context"),
            "mls-context": derived(self.master, "mls-context", self.seed),
        }

    def open(self, table: str, key: bytes, value: bytes) -> bytes | None:
        """A row's value in clear; None when it was not sealed under these keys, for this row."""
        named = self.named()
        secret = named["mls-context" if table == "mls" else "encryption-context"]
        try:
            return AESGCM(secret).decrypt(value[:NONCE], value[NONCE:], table.encode() + b"\0" + key)
        except (InvalidTag, ValueError):
            return None


def rows(page: Any, table: str, keys: Keys | None = None) -> dict[bytes, bytes]:
    """The rows of a table of an open page's profile, in clear. Fails for one that does not open."""
    keys = keys or Keys.of(page)
    found: dict[bytes, bytes] = {}
    for key, value in page.evaluate(READ_TABLE, table):
        clear = keys.open(table, bytes.fromhex(key), bytes.fromhex(value))
        assert clear is not None, f"a row of {table} is not sealed under the present keys"
        found[bytes.fromhex(key)] = clear
    return found
