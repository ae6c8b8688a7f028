import { useEffect, useMemo } from "./html.js";

/** A signal that ends what a part of the page has begun, when that part goes. */
export function useLeaving() {
  const leaving = useMemo(() => new AbortController(), []);
  useEffect(() => () => leaving.abort(), []);
  return leaving.signal;
}
