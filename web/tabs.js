// How the tabs of a browser reach the one that owns this device's state (docs/bridge.md): two broadcast channels. The tabs
// ask on one of them, and only the owner's worker listens there; the owner tells on the other. What it tells stays in order,
// so an answer never overtakes the events before it.

export const ASKS = "coterie-asks";
export const TELLS = "coterie-tells";

const channel = (name) => new BroadcastChannel(name);

/**
 * Be the owner: answer what is asked of this one, and tell all tabs what happens. Each owner has a name of its own; a tab
 * addresses its requests to it, so that each owner gets each of them once, and one that was replaced gets none.
 * @param {(request: {op: string, data: unknown}) => Promise<object>} perform gives `{result}` or `{error}`, never rejects
 * @param {(name: string) => BroadcastChannel} open
 */
export function own(perform, open = channel, name = crypto.randomUUID()) {
  const asks = open(ASKS);
  const tells = open(TELLS);
  let resigned = false;
  const tell = (said) => resigned || tells.postMessage({ owner: name, ...said });
  asks.addEventListener("message", async ({ data }) => {
    if (data.hello) tell({});
    else if (data.owner === name) tell({ to: data.tab, id: data.id, ...(await perform(data)) });
  });
  tell({});
  return {
    /** Tell all tabs of an event. */
    event: (event) => tell(event),
    /** This one is the owner no longer: say so, and hear nothing more. */
    resign() {
      asks.close();
      tell({ gone: true });
      resigned = true;
      tells.close();
    },
  };
}
