// The lines of a conversation: follows the end while the reader is there, keeps the place while they read above.
import { html, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { labelOf, labels } from "../components/people.js";
import { lastSeq, rows } from "../components/rows.js";
import { Line } from "./line.js";

const NEAR_PX = 80;

/** Keeps the list where the reader wants it when lines come at its end or at its beginning. */
function useScroll(talk) {
  const box = useRef(null);
  const was = useRef({ height: 0, first: null, last: null });
  const [atEnd, setAtEnd] = useState(true);
  const first = talk.lines[0]?.key;
  const last = talk.lines.at(-1);
  const toEnd = () => box.current.scrollTo({ top: box.current.scrollHeight });
  useLayoutEffect(() => {
    const before = was.current;
    const list = box.current;
    const own = last?.mine && last.state === "pending" && last.key !== before.last;
    const mark = list.querySelector(".new-mark");
    if (before.first === null && mark) list.scrollTop = mark.offsetTop - list.clientHeight / 3;
    else if (before.first === null) toEnd();
    else if (first !== before.first) list.scrollTop += list.scrollHeight - before.height;
    else if (atEnd || own) toEnd();
    was.current = { height: list.scrollHeight, first, last: last?.key };
  }, [talk.lines]);
  const onScroll = () => {
    const { scrollHeight, scrollTop, clientHeight } = box.current;
    setAtEnd(scrollHeight - scrollTop - clientHeight < NEAR_PX);
  };
  // The composer grows, the keyboard of a phone opens: the end stays in sight.
  useLayoutEffect(() => {
    const watch = new ResizeObserver(() => atEnd && toEnd());
    watch.observe(box.current);
    return () => watch.disconnect();
  }, [atEnd]);
  return { box, atEnd, toEnd, onScroll };
}

/** Tells the worker what was seen: the end of the list, in a page that is looked at. */
function useRead({ talk, group, act, atEnd }) {
  const seq = lastSeq(talk.lines);
  useEffect(() => {
    const look = () => atEnd && group.unread > 0 && !document.hidden && act.markRead(group.group_id, seq);
    look();
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [atEnd, group.unread, seq]);
}

function useOlder(talk, group, act) {
  const [busy, setBusy] = useState(false);
  const more = async () => {
    setBusy(true);
    await act.older(group.group_id, talk.lines[0].key);
    setBusy(false);
  };
  return [more, busy];
}

export function Lines({ talk, group, act, offline }) {
  const { box, atEnd, toEnd, onScroll } = useScroll(talk);
  useRead({ talk, group, act, atEnd });
  const [older, busy] = useOlder(talk, group, act);
  const known = useMemo(() => labels(talk.members), [talk.members]);
  const list = useMemo(() => rows(talk.lines, talk.first_unread), [talk.lines, talk.first_unread]);
  return html`
    <div class="lines-frame">
      <div class="lines-scroll" ref=${box} onScroll=${onScroll} tabindex="0" role="region" aria-label="Messages">
        ${talk.more && html`<button type="button" class="plain older" disabled=${busy} onClick=${older}>${busy ? "Loading…" : "Show earlier messages"}</button>`}
        <ol class="lines" role="log" aria-live="polite" aria-relevant="additions" aria-busy=${busy}>
          ${list.map((row) => html`<${Line} key=${row.key} row=${row} label=${row.line && labelOf(known, row.line)} offline=${offline} act=${act} group_id=${group.group_id} />`)}
        </ol>
      </div>
      ${!atEnd &&
      html`<button type="button" class="jump" onClick=${toEnd}>
        <${Icon} name="down" small />${group.unread > 0 ? `${group.unread} new` : "To the newest"}
      </button>`}
    </div>
  `;
}
