// What is known of how a group stands, one row each.
import { CONNECTION } from "../components/connection.js";
import { html } from "../components/html.js";
import { storageWord } from "../components/report.js";
import { counted, moment, span } from "../components/time.js";

const STATES = { active: "In use", left: "Left", removed: "Not a member any more", broken: "Broken" };

const capital = (text) => text[0].toUpperCase() + text.slice(1);

/** Whether a finding, by what it is about, needs a look. */
const needsLook = ({ findings }, what) => findings.some((one) => one.what === what && !one.good);

const Fact = ({ name, bad, children }) => html`
  <div class="fact">
    <dt>${name}</dt>
    <dd>${bad && html`<p class="tag tag-warn">Needs a look</p>`}${children}</dd>
  </div>
`;

const Members = ({ health }) => html`
  <${Fact} name="Members">
    <p>${health.members}</p>
    ${health.out_of_date.map(({ leaf, name, days }) => html`<p class="hint" key=${leaf}>${name ?? "Someone new"} has not renewed their keys for ${counted(days, "day")}.</p>`)}
  <//>
`;

function Change({ health: { epoch, last_commit: made } }) {
  const by = made && `${made.name ? `by ${made.name}, ` : ""}${moment(made.at)}`;
  return html`<${Fact} name="Last change"><p>Epoch ${epoch}</p>${by && html`<p class="hint">${by}</p>`}<//>`;
}

function Waiting({ health }) {
  const { at, outbox } = health;
  const age = outbox.oldest_at && at - outbox.oldest_at;
  return html`<${Fact} name="Waiting to be sent" bad=${needsLook(health, "outbox")}>${outbox.waiting ? outbox.waiting : "Nothing"}${age ? `, the oldest for ${span(age)}` : ""}<//>`;
}

function Received({ health }) {
  const { cursor, last_seq, service } = health;
  const bad = needsLook(health, "cursor");
  return html`
    <${Fact} name="Received" bad=${bad}>
      <p>${last_seq === null ? cursor : `${cursor} of ${last_seq}`}</p>
      ${bad && html`<p class="hint">The service has lost what this device already has.</p>`}
      ${service && html`<p class="hint">How far the service is, is not known: ${service}</p>`}
    <//>
  `;
}

export const Facts = ({ health, kept }) => html`
  <dl class="facts">
    <${Fact} name="State" bad=${needsLook(health, "state")}><p>${STATES[health.state]}</p>${health.why && html`<p class="hint">${health.why}</p>`}<//>
    <${Change} health=${health} /><${Members} health=${health} /><${Waiting} health=${health} /><${Received} health=${health} />
    <${Fact} name="Connection" bad=${needsLook(health, "connection")}>${CONNECTION[health.connection]}${health.session && html`<p class="hint">The service does not take this device any more.</p>`}<//>
    <${Fact} name="This device's data">${capital(storageWord(kept))}<//>
  </dl>
`;
