// The one template language of the page: htm bound to Preact. Text put into it is always text.
import htm from "../vendor/htm.mjs";
import { h } from "../vendor/preact.mjs";

export { useContext, useEffect, useLayoutEffect, useMemo, useRef, useState } from "../vendor/hooks.mjs";
export { createContext, Fragment } from "../vendor/preact.mjs";

export const html = htm.bind(h);
