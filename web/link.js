// The invite link in the page's address: https://host/?join=<invite_id>#1.<secret>, and the place in the page, #g=<group>.
// The secret stands in the fragment, which no server sees; the page takes it out of the address bar at once.

const ID = /^[A-Za-z0-9_-]{22}$/;
const GROUP = /^#g=([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/;

const INCOMPLETE = "This invite link is not complete. Copy it again, to its very end, or ask for a new one.";
const NEWER = "This invite link was made by a newer version of Coterie. Reload the page and open it again.";

/**
 * Read an invite link.
 * @param {string} text a URL, as typed, pasted or opened
 * @returns {{link: string} | {problem: string} | null} null when the text is no invite link at all
 */
export function readLink(text) {
  let url;
  try {
    url = new URL(text.trim());
  } catch {
    return null;
  }
  const invite = url.searchParams.get("join");
  if (invite === null) return null;
  const [version, secret, ...rest] = url.hash.slice(1).split(".");
  if (/^[2-9]\d*$/.test(version) && secret) return { problem: NEWER };
  if (!ID.test(invite) || version !== "1" || !ID.test(secret ?? "") || rest.length) return { problem: INCOMPLETE };
  return { link: `${url.origin}/?join=${invite}#1.${secret}` };
}

/** The group that the fragment names, or null. */
export function groupInHash(hash) {
  return GROUP.exec(hash)?.[1] ?? null;
}

/** The address of a place in the page: only a group has one of its own, so that a reload stays in it. */
export function addressOf(route) {
  return route.view === "group" ? `/#g=${route.group_id}` : "/";
}
