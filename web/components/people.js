// How members are called: by the name they chose; two equal names are told apart by their keys' fingerprints.

const NAMELESS = "Someone new";

/** identity -> {name, fingerprint | null}: the fingerprint where another member has the same name. */
export function labels(members) {
  const same = new Map();
  for (const member of members) {
    const name = fold(member.name);
    same.set(name, (same.get(name) ?? 0) + 1);
  }
  return new Map(
    members.map((member) => [
      member.identity,
      { name: member.name ?? NAMELESS, fingerprint: same.get(fold(member.name)) > 1 ? member.fingerprint : null },
    ]),
  );
}

// Names that look equal count as equal: case, width and spaces aside.
const fold = (name) => (name ?? NAMELESS).normalize("NFKC").toLocaleLowerCase().replace(/\s+/gu, " ").trim();

/** A sender's label; someone who is no member any more keeps the name that the line carries. */
export const labelOf = (known, line) => known.get(line.sender) ?? { name: line.name ?? "Someone", fingerprint: null };
