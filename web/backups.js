// Backup and restore, piece by piece: no file stands in memory, here or in the worker.
// What is in one, and how it is sealed, is coterie/core/backup.py's affair.
import { saveFile } from "./files.js";

const PIECE = 256 * 1024; // bytes that are handed over at once; between two of them the page goes on

const today = () => new Date().toISOString().slice(0, 10);

/** @param {(op: string, data?: object) => Promise<any>} call */
export const createBackups = (call) => ({
  /** Make a backup, and hand it to the downloads; its size in bytes. `onSize` hears how much there is so far; `signal` ends it without a file. */
  async backUp(passphrase, onSize, signal) {
    const begun = await call("backup_begin", { passphrase }); // its id: another one may be begun meanwhile
    const read = async () => {
      const piece = await call("backup_read", begun);
      signal?.throwIfAborted();
      return piece;
    };
    const pieces = [];
    let size = 0;
    for (let piece = await read(); piece.length; piece = await read()) {
      pieces.push(new Blob([piece])); // which the browser may keep on its disk
      size += piece.length;
      onSize(size);
    }
    saveFile(pieces, `coterie-${today()}.backup`);
    return size;
  },

  /**
   * Put a backup beside what is here: `{groups, lines}` that were new. The file is handed over twice: first to see whether it is
   * whole, which costs little. Rejects with a BridgeError: nothing was changed.
   * @param {Blob} file
   * @param {{passphrase: string, mine?: boolean, onPart: (part: number) => void, signal?: AbortSignal}} options
   *   `onPart` hears how far it is, from 0 to 1: then it is carried out, and `signal` ends it no more
   */
  async restore(file, { passphrase, mine = false, onPart, signal }) {
    const begun = await call("restore_begin", { passphrase, mine });
    for (const [op, before] of [["restore_check", 0], ["restore_write", file.size]]) {
      for (let at = 0; at < file.size; at += PIECE) {
        const data = new Uint8Array(await file.slice(at, at + PIECE).arrayBuffer());
        await call(op, { ...begun, data });
        signal?.throwIfAborted();
        onPart((before + Math.min(file.size, at + PIECE)) / (2 * file.size));
      }
    }
    return call("restore_end", begun);
  },
});
