// One row of a conversation. Drawn again only when something in it changed.
import { Avatar } from "../components/avatar.js";
import { Explained } from "../components/explained.js";
import { html, useMemo } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { clock } from "../components/time.js";

const MARKS = { pending: ["clock", "Waiting to be sent"], sent: ["check", "Sent"], failed: ["alert", "Not sent"] };

const Mark = ({ state }) => html`
  <span class=${`mark mark-${state}`} title=${MARKS[state][1]}><${Icon} name=${MARKS[state][0]} small /><span class="hidden">${MARKS[state][1]}</span></span>
`;

const Failed = ({ line, act, group_id }) => html`
  <div class="failed">
    <p>${line.why || "Not sent: the service refused it."}</p>
    <button type="button" class="link" onClick=${() => act.sendAgain(group_id, line)}>Send again</button>
    <button type="button" class="link" onClick=${() => act.discard(group_id, line.key)}>Discard</button>
  </div>
`;

const Sender = ({ label }) => html`
  <span class="sender">${label.name}${label.fingerprint && html` <code title="The beginning of this person's key, because two members have this name">${label.fingerprint}</code>`}</span>
`;

const Bubble = ({ line }) => html`
  <div class="bubble">
    <span class="text">${line.text}</span>
    <span class="meta"><time datetime=${new Date(line.at).toISOString()}>${clock(line.at)}</time>${line.state && html`<${Mark} state=${line.state} />`}</span>
  </div>
`;

const Face = ({ line, last, label }) =>
  last ? html`<${Avatar} name=${label.name} id=${line.sender ?? ""} />` : html`<span class="avatar-room"></span>`;

/** What is said under a bubble: why it waits, why it failed, or why its text is not there. */
function Below({ line, offline, act, group_id }) {
  if (line.state === "failed") return html`<${Failed} ...${{ line, act, group_id }} />`;
  if (line.state === "pending") return offline && html`<p class="waits">Goes out by itself when the connection is back.</p>`;
  return line.advice && html`<${Explained} line=${line}>What is this?<//>`;
}

function Text({ row: { line, first, last }, label, offline, act, group_id }) {
  const classes = ["line", line.mine ? "mine" : "theirs", first && "first", last && "last", line.state === "failed" && "is-failed"];
  return html`
    <li class=${classes.filter(Boolean).join(" ")} data-key=${line.key}>
      ${!line.mine && html`<${Face} ...${{ line, last, label }} />`}
      <div class="bubble-box">
        ${first && !line.mine ? html`<${Sender} label=${label} />` : html`<span class="hidden">${line.mine ? "You" : label.name}: </span>`}
        <${Bubble} line=${line} />
        <${Below} ...${{ line, offline, act, group_id }} />
      </div>
    </li>
  `;
}

const Said = ({ line }) => html`<span>${line.text}</span> <time datetime=${new Date(line.at).toISOString()}>${clock(line.at)}</time>`;

const Notice = ({ line }) => html`
  <li class="notice" data-code=${line.code} data-key=${line.key}>
    ${line.advice ? html`<${Explained} line=${line}><${Said} line=${line} /> <span class="what-now">What now?</span><//>` : html`<${Said} line=${line} />`}
  </li>
`;

const DRAW = {
  day: ({ row }) => html`<li class="day" role="presentation"><span>${row.text}</span></li>`,
  new: () => html`<li class="new-mark"><span>New</span></li>`,
  text: Text,
  notice: ({ row }) => html`<${Notice} line=${row.line} />`,
};

export function Line(props) {
  const { row, label, offline } = props;
  const held = [row.type, row.text, row.line, row.first, row.last, label?.name, label?.fingerprint];
  return useMemo(() => html`<${DRAW[row.type]} ...${props} />`, [...held, offline && row.line?.state === "pending"]);
}
