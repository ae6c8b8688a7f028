import { html } from "./html.js";
import { Icon } from "./icon.js";

/** What went wrong, as plain sentences, until the reader puts them away. */
export const Problems = ({ problems, onSeen }) => html`
  <div class="problems" role="alert">
    ${problems.map(
      ({ id, sentence }) => html`
        <div class="problem" key=${id}>
          <${Icon} name="alert" />
          <p>${sentence}</p>
          <button type="button" class="round" aria-label="Put this message away" onClick=${() => onSeen(id)}><${Icon} name="close" small /></button>
        </div>
      `,
    )}
  </div>
`;
