// How a group stands: for a look, and as text for whoever is asked for help.
import { CopyButton } from "../components/copy.js";
import { Dialog } from "../components/dialog.js";
import { html, useEffect, useState } from "../components/html.js";
import { report } from "../components/report.js";
import { useTask } from "../components/task.js";
import { Facts } from "./health_facts.js";

const Cause = ({ cause }) => html`
  <details class="more">
    <summary>${cause.sentence} <span class="tag">${cause.times} ×</span></summary>
    <p>${cause.advice}</p>
    <p class="hint">Cause <code>${cause.code}</code>; in all groups ${cause.everywhere} ×</p>
  </details>
`;

function Causes({ health }) {
  const here = health.causes.filter(({ times }) => times > 0);
  return html`
    <section class="part" aria-labelledby="causes">
      <h3 id="causes">What went wrong here</h3>
      ${here.length ? here.map((cause) => html`<${Cause} key=${cause.code} cause=${cause} />`) : html`<p class="hint">Nothing so far.</p>`}
    </section>
  `;
}

function verdict({ good, service }) {
  if (!good) return "Something needs a look.";
  return service ? "Nothing wrong is known here, but the service could not be asked." : "All is well.";
}

export function Health({ act, group }) {
  const [seen, setSeen] = useState(null);
  const [look, busy, problem] = useTask(async () => setSeen(await act.health(group.group_id)));
  useEffect(() => void look(), []);
  const text = seen && report(seen.health, seen.kept);
  return html`
    <${Dialog} title=${`Health of ${group.name}`} onClose=${act.hide}>
      <div class="dialog-body" aria-busy=${busy}>
        ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
        <p class="hint" role="status">${busy ? "Looking…" : seen ? verdict(seen.health) : ""}</p>
        ${seen && html`<${Facts} ...${seen} /><${Causes} health=${seen.health} />`}
        ${seen &&
        html`<details class="more">
          <summary>As text</summary>
          <p>For somebody whom you ask for help: it has no names, no keys and nothing of what was written.</p>
          <pre class="report" tabindex="0">${text}</pre>
        </details>`}
        <div class="dialog-foot">
          <button type="button" class="plain" disabled=${busy} onClick=${look}>Look again</button>
          ${seen && html`<${CopyButton} text=${text} label="Copy as text" what="text" />`}
        </div>
      </div>
    <//>
  `;
}
