// A worker in the folder of the page's modules (bench/chat/at_rest.py puts it there): Pyodide as the page boots it, with one
// store that seals what it keeps and one that does not.
import * as plain from "../plain/store.js";
import { boot } from "./boot.js";
import { openDatabase, rowsOf } from "./database.js";
import * as sealed from "./store.js";

/** Write the programs, as names and texts, where Python finds them. */
function install(python, programs) {
  for (const [name, text] of Object.entries(programs)) {
    const path = `/bench/${name}`;
    python.FS.mkdirTree(path.slice(0, path.lastIndexOf("/")));
    python.FS.writeFile(path, text);
  }
  python.pyimport("sys").path.append("/bench");
}

/** Whether what was said can be read in a database as it lies there. */
async function readable(name, text) {
  const db = await openDatabase(name);
  const rows = await rowsOf(db, "messages");
  db.close();
  return rows.some(([, value]) => new TextDecoder("latin1").decode(value).includes(text));
}

async function measure({ programs, messages, text }) {
  const python = await boot(() => {});
  install(python, programs);
  const found = await python.pyimport("at_rest_page").measure(plain, sealed, messages);
  if (!(await readable("plain Bob", text)) || (await readable("sealed Bob", text))) throw new Error("not one plain and one sealed");
  return JSON.parse(found);
}

self.addEventListener("message", async ({ data }) => {
  try {
    postMessage({ found: await measure(data) });
  } catch (error) {
    postMessage({ error: String(error.stack ?? error) });
  }
});
