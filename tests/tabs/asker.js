// In every tab under test: asks through the page's own bridge, and tells the test what was answered and when.
// `told` is the test's; it gets [what, value] with the time in milliseconds since 1970.
(() => {
  // A browser without a screen takes all tabs for visible; here nobody looks at one until the test does.
  Object.defineProperty(document, "hidden", { get: () => !globalThis.lookedAt });

  const now = () => performance.timeOrigin + performance.now();
  const tell = (what, value) => globalThis.told(what, value, now());
  const module = () => performance.getEntriesByType("resource").map(({ name }) => name).find((name) => name.endsWith("/bridge.js"));

  const waiting = []; // for room in the outbox: an event may mean that a line has gone out, and there is room for one

  async function connect() {
    const { Bridge } = await import(module());
    const onEvents = () => waiting.shift()?.();
    const page = { onEvents, onStart: () => tell("start", ""), onFailure: (error) => tell("failure", error.code) };
    return new Bridge(page);
  }

  let bridge = null;
  globalThis.ask = async (op, data) => (await (bridge ??= connect())).call(op, data);

  async function send(line) {
    try {
      return await globalThis.ask("send_text", line);
    } catch (error) {
      if (error.code !== "outbox_full") throw error;
      await new Promise((go) => waiting.push(go));
      return send(line);
    }
  }

  /** Say all of these, so many at once, each told as soon as it was saved. */
  globalThis.say = async (group_id, texts, width) => {
    const left = [...texts];
    const next = async () => {
      while (left.length) {
        const text = left.shift();
        await tell("said", text); // the test knows of it before it can arrive anywhere
        await send({ group_id, text, line_id: crypto.randomUUID() });
        tell("saved", text);
      }
    };
    try {
      await Promise.all(Array.from({ length: width }, next));
      tell("done", "");
    } catch (error) {
      tell("failure", `${error.code}: ${error.message}`);
    }
  };
})();
