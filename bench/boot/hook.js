// Runs before the page's own modules: writes down when things happen, and asks for one encryption as soon as the client
// has started. Times are milliseconds since the navigation began.
(() => {
  const told = { first_line: null, started: null, operation: null, gap: 0 };
  let done;
  globalThis.benchDone = new Promise((resolve) => (done = resolve));
  const now = () => Math.round(performance.now() * 10) / 10;

  let last = performance.now();
  const beat = setInterval(() => {
    const at = performance.now();
    if (told.operation === null) told.gap = Math.max(told.gap, Math.round(at - last));
    else clearInterval(beat);
    last = at;
  }, 5);

  const asks = new BroadcastChannel("coterie-asks");
  new BroadcastChannel("coterie-tells").addEventListener("message", ({ data: { owner, to, result, error } }) => {
    if (result?.groups?.length && told.started === null) {
      told.started = now();
      const data = { group_id: result.groups[0].group_id, text: "A line of the usual length, to be encrypted, saved and sent." };
      asks.postMessage({ tab: "bench", owner, id: 1, op: "send_text", data });
    }
    if (to !== "bench") return;
    told.operation = error ? error.sentence : now();
    done(told);
  });
  new PerformanceObserver((list) => {
    told.first_line ??= Math.round(list.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 0) || null;
  }).observe({ type: "paint", buffered: true });
})();
