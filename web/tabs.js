// One tab owns this device's state (the Web Lock is taken by its worker); tabs ask each other for it here.

/** `onAsked` runs when another tab wants to be the owner: the owner lets go, those that wait let it pass. */
export function joinTabs(onAsked, channel = new BroadcastChannel("coterie-tabs"), me = crypto.randomUUID()) {
  channel.addEventListener("message", ({ data }) => {
    if (data?.type === "hand_over" && data.to !== me) onAsked();
  });
  return {
    /** Ask whichever tab owns the state to let this one have it. */
    ask: () => channel.postMessage({ type: "hand_over", to: me }),
  };
}
