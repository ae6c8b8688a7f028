import encodeQR from "../vendor/qr.mjs";
import { html, useMemo } from "./html.js";

const pathOf = (modules) =>
  modules.flatMap((row, y) => row.map((dark, x) => (dark ? `M${x} ${y}h1v1h-1z` : ""))).join("");

/** A QR code of `text`, dark on white in both themes, so that every camera reads it. */
export function QrCode({ text, label }) {
  const modules = useMemo(() => encodeQR(text, "raw", { ecc: "medium", border: 3 }), [text]);
  return html`
    <svg class="qr" viewBox=${`0 0 ${modules.length} ${modules.length}`} role="img" aria-label=${label} shape-rendering="crispEdges">
      <rect width=${modules.length} height=${modules.length} class="qr-light" />
      <path d=${pathOf(modules)} class="qr-dark" />
    </svg>
  `;
}
