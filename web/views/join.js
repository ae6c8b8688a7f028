// Joining from a link: what it leads to, and under which name. Can be filled in while the link is still being checked.
import { Avatar } from "../components/avatar.js";
import { Brand } from "../components/brand.js";
import { Field, NAME_MAX } from "../components/field.js";
import { html, useState } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { useTask } from "../components/task.js";
import { until } from "../components/time.js";
import { Lost, Private } from "./storage.js";

const Dead = ({ problem, act, retry }) => html`
  <section class="card card-center">
    <span class="card-sign"><${Icon} name="link" /></span>
    <h1>This link can't be used</h1>
    <p role="alert">${problem}</p>
    ${retry && html`<button type="button" class="primary" onClick=${retry}>Try again</button>`}
    <button type="button" class="plain" onClick=${act.linkDone}>Go to Coterie</button>
  </section>
`;

const Preview = ({ preview }) => html`
  <div class="preview" aria-live="polite" aria-busy=${!preview}>
    <${Avatar} large name=${preview?.group_name ?? "…"} id=${preview?.group_name ?? ""} />
    <h1>${preview ? `Join “${preview.group_name}”` : "You are invited"}</h1>
    <p>${preview ? `${preview.inviter_name || "Someone"} invites you. The link expires ${until(preview.expires_at)}.` : "Checking the link…"}</p>
  </div>
`;

export function Join({ state, act }) {
  const { preview, problem, link } = state.link;
  const own = state.me?.name;
  const [typed, setTyped] = useState(null);
  const name = typed ?? own ?? "";
  const [join, busy, wrong] = useTask(() => act.join(link, name));
  const onSubmit = (event) => {
    event.preventDefault();
    if (name.trim()) join();
  };
  if (problem) return html`<main class="screen"><${Brand} /><${Dead} ...${{ problem, act }} retry=${link && act.preview} /></main>`;
  return html`
    <main class="screen">
      <${Brand} />
      <form class="card" onSubmit=${onSubmit}>
        <${Preview} preview=${preview} />
        <${Lost} state=${state} />
        <${Private} state=${state} />
        <${Field} id="name" label="Your name in the group" value=${name} onInput=${setTyped} maxlength=${NAME_MAX} autofocus />
        <button type="submit" class="primary wide" disabled=${busy || !name.trim()}>${busy ? "Joining…" : "Join"}</button>
        ${wrong && html`<p class="wrong" role="alert">${wrong}</p>`}
        <p class="hint">Everything in the group is encrypted from device to device. You will read what is written from now on; what was said before stays with those who were there.</p>
        <button type="button" class="plain wide" onClick=${act.linkDone}>Not now</button>
      </form>
    </main>
  `;
}
