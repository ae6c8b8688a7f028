// Full-page states: the state is in another tab, or Coterie can't run here.
import { Brand } from "../components/brand.js";
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";
import { useTask } from "../components/task.js";

const TEXTS = {
  elsewhere: {
    icon: "tabs",
    title: "Coterie is open in another tab",
    text: "Only one tab at a time can write, so that no message is ever encrypted twice with one key. Close the other tab and this one goes on by itself, or take it over now.",
    button: "Use it here",
  },
  moved: {
    icon: "tabs",
    title: "Coterie was moved to another tab",
    text: "You asked for it there. What you had typed here is kept. Close the other tab and this one goes on by itself.",
    button: "Use it here",
  },
  failed: { icon: "alert", title: "Coterie can't run here", text: "", button: "Reload the page" },
};

export function Screen({ state, act }) {
  const { icon, title, text, button } = TEXTS[state.phase];
  const [run, busy, problem] = useTask(state.phase === "failed" ? act.reload : act.takeOver);
  return html`
    <main class="screen">
      <${Brand} />
      <section class="card card-center" aria-live="polite">
        <span class="card-sign"><${Icon} name=${icon} /></span>
        <h1>${title}</h1>
        <p>${state.reason ?? text}</p>
        <button type="button" class="primary" onClick=${run} disabled=${busy}>${busy ? "Asking the other tab…" : button}</button>
        ${problem && html`<p class="wrong" role="alert">${problem}</p>`}
      </section>
    </main>
  `;
}
