// The whole page where Coterie can't run, with the reason.
import { Brand } from "../components/brand.js";
import { html } from "../components/html.js";
import { Icon } from "../components/icon.js";

export const Screen = ({ state, act }) => html`
  <main class="screen">
    <${Brand} />
    <section class="card card-center" aria-live="polite">
      <span class="card-sign"><${Icon} name="alert" /></span>
      <h1>${state.phase === "gone" ? "What Coterie kept here is gone" : "Coterie can't run here"}</h1>
      <p>${state.reason}</p>
      <button type="button" class="primary" onClick=${state.phase === "gone" ? act.beginAnew : act.reload}>Reload the page</button>
    </section>
  </main>
`;
