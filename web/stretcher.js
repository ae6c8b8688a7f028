// The page's end of web/stretching.js. In Firefox a worker that makes a worker may wait for ever, with all that it is asked
// meanwhile: 3 of 82 did on a busy machine (Firefox 153), and none of 1,500 that were made by a page.

const running = new Set(); // a worker that nothing else holds may be collected before it has answered, in Firefox

/**
 * Have Argon2id computed in a worker of its own; what comes of it goes to the port.
 * @param {() => Worker} make
 */
export function stretchFor(make, given, port) {
  const worker = make();
  running.add(worker);
  const end = (said) => {
    port.postMessage(said);
    worker.terminate();
    running.delete(worker);
  };
  worker.onmessage = ({ data }) => end(data);
  worker.onerror = (event) => {
    event.preventDefault();
    end({ failed: "it could not be loaded" });
  };
  worker.postMessage(given);
}
