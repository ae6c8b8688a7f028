// Where one writes. Grows with the text; Enter sends, Shift+Enter begins a new line; on a touch screen Enter is a new line.
// Of a field with autocomplete a browser keeps what stands in it in its session files, in clear.
import { html, useEffect, useLayoutEffect, useRef } from "../components/html.js";
import { Icon } from "../components/icon.js";

const touch = matchMedia("(pointer: coarse)");

const sends = (event) => event.key === "Enter" && !event.shiftKey && !event.isComposing && !touch.matches;

export function Composer({ group, act, draft }) {
  const input = useRef(null);
  useLayoutEffect(() => {
    const { style } = input.current;
    style.height = "auto";
    style.height = `${input.current.scrollHeight}px`;
  }, [draft]);
  useEffect(() => {
    if (!touch.matches) input.current.focus();
  }, [group.group_id]);
  const send = (event) => {
    event.preventDefault();
    act.send(group.group_id, draft);
    input.current.focus();
  };
  return html`
    <form class="composer" onSubmit=${send}>
      <textarea
        ref=${input}
        rows="1"
        autocomplete="off"
        aria-label=${`Message to ${group.name}`}
        placeholder="Write a message"
        value=${draft}
        onInput=${(event) => act.draft(group.group_id, event.currentTarget.value)}
        onKeyDown=${(event) => sends(event) && send(event)}
      ></textarea>
      <button type="submit" class="round send" aria-label="Send" disabled=${!draft.trim()}><${Icon} name="send" /></button>
    </form>
  `;
}
