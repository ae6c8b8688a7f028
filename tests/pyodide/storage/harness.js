// The page: hands cases to a worker with Pyodide in it, as the real page does, and runs those of JavaScript itself.
import { stretchFor } from "/stretcher.js";
import * as upgrades from "./upgrades.js";

const worker = new Worker("worker.js", { type: "module" });
const waiting = new Map();
let last = 0;

const makeStretcher = () => new Worker("/stretch_worker.js", { type: "module" });

worker.onmessage = ({ data: { id, result, error, stretch }, ports }) => {
  if (stretch) return stretchFor(makeStretcher, stretch, ports[0]);
  const { resolve, reject } = waiting.get(id);
  waiting.delete(id);
  return error === undefined ? resolve(result) : reject(new Error(error));
};

/** Call a function of harness.py in the worker with JSON values. */
globalThis.call = (name, ...args) =>
  new Promise((resolve, reject) => {
    waiting.set(++last, { resolve, reject });
    worker.postMessage({ id: last, name, args });
    setTimeout(() => reject(new Error(`no answer to ${name} ${args} in a minute`)), 60_000);
  });

globalThis.upgrades = upgrades;
