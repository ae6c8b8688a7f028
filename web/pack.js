// The client's packages, already unpacked, in one file.

/**
 * Write the files of a pack below `root`.
 * A pack is: length of the index (u32, little-endian), the index (JSON: path -> length), the files one after the other.
 */
export function unpack(FS, root, pack) {
  const size = new DataView(pack.buffer, pack.byteOffset).getUint32(0, true);
  const index = JSON.parse(new TextDecoder().decode(pack.subarray(4, 4 + size)));
  let at = 4 + size;
  for (const [path, length] of Object.entries(index)) {
    const full = `${root}/${path}`;
    FS.mkdirTree(full.slice(0, full.lastIndexOf("/")));
    FS.writeFile(full, pack.subarray(at, at + length), { canOwn: true });
    at += length;
  }
}
