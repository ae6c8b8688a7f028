// Broadcast channels within one test: messages are cloned, and arrive in order, each in a task of its own.

export class Channels {
  #open = new Set();

  open = (name) => {
    const channel = new Channel(name, (data, from) => this.#send(data, from), () => this.#open.delete(channel));
    this.#open.add(channel);
    return channel;
  };

  #send(data, from) {
    for (const channel of this.#open) {
      if (channel.name === from.name && channel !== from) this.#deliver(channel, structuredClone(data));
    }
  }

  #deliver(channel, data) {
    setImmediate(() => this.#open.has(channel) && channel.dispatchEvent(Object.assign(new Event("message"), { data })));
  }
}

class Channel extends EventTarget {
  constructor(name, send, close) {
    super();
    this.name = name;
    this.close = close;
    this.postMessage = (data) => send(data, this);
  }
}

/** Until everything that was sent, and what it gave rise to, has arrived. */
export async function settled() {
  for (let round = 0; round < 20; round += 1) await new Promise(setImmediate);
}
