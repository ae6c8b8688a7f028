// What anybody's page does who uses the client from Pyodide: micropip, and every wheel by URL.
import { loadPyodide } from "/pyodide/pyodide.mjs";

const python = await loadPyodide({ indexURL: "/pyodide/" });
const wheels = `${location.origin}/wheels/`;
const index = await (await fetch(`${wheels}index.json`)).json();
python.unpackArchive(await (await fetch(wheels + index.micropip.file)).arrayBuffer(), "wheel");
const micropip = python.pyimport("micropip");
await micropip.install(index.install.map(({ file }) => wheels + file));
python.runPython(await (await fetch("/plain/talk.py")).text());
globalThis.person = await python.globals.get("arrive")(location.origin);
