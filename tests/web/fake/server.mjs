// Serves web/ with a scripted stand-in for the worker, under the CSP of the real thing: to look at views without a service.
//   node tests/web/fake/server.mjs [port]      the cookie `scene` chooses what fake/worker.js plays
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname } from "node:path";
import { fileURLToPath } from "node:url";

const WEB = fileURLToPath(new URL("../../../web", import.meta.url));
const FAKE = fileURLToPath(new URL("./worker.js", import.meta.url));
const TYPES = { ".html": "text/html; charset=utf-8", ".css": "text/css", ".svg": "image/svg+xml" };
const CSP =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self'; img-src 'self' blob: data:; " +
  "font-src 'self'; manifest-src 'self'; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; " +
  "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types app";

const server = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://localhost");
  const file = pathname === "/worker.js" ? FAKE : WEB + (pathname === "/" ? "/index.html" : pathname);
  response.setHeader("content-security-policy", CSP);
  response.setHeader("referrer-policy", "no-referrer");
  response.setHeader("cache-control", "no-store");
  try {
    const scene = /scene=(\w+)/.exec(request.headers.cookie ?? "")?.[1] ?? "talk";
    const head = file === FAKE ? `self.SCENE = "${scene}";\n` : "";
    const body = Buffer.concat([Buffer.from(head), await readFile(file)]);
    response.setHeader("content-type", TYPES[extname(file)] ?? "text/javascript");
    response.end(body);
  } catch {
    response.writeHead(404).end();
  }
});
server.listen(Number(process.argv[2] ?? 0), "localhost", () => console.log(`http://localhost:${server.address().port}/`));
