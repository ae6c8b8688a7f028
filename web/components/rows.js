// What a conversation's list shows, from its lines: separators of days, the mark above what is new, runs of one sender.
import { dayName } from "./time.js";

const RUN_MS = 5 * 60_000;

const runsOn = (before, line) =>
  before?.kind === "text" && line.kind === "text" && before.sender === line.sender && line.at - before.at < RUN_MS;

/**
 * @returns {{type: "day"|"new"|"text"|"notice", key: string, line?: object, text?: string, first?: boolean, last?: boolean}[]}
 *   `first`, `last`: of a run of one sender
 */
export function rows(lines, firstUnread, now = Date.now(), locale = undefined) {
  const out = [];
  let today = null;
  lines.forEach((line, at) => {
    const name = dayName(line.at, now, locale);
    const newDay = name !== today;
    if (newDay) out.push({ type: "day", key: `day ${name} ${line.key}`, text: name });
    today = name;
    const isNew = line.key === firstUnread;
    if (isNew) out.push({ type: "new", key: "new" });
    const next = lines[at + 1];
    const first = newDay || isNew || !runsOn(lines[at - 1], line);
    const last = !next || next.key === firstUnread || !runsOn(line, next) || dayName(next.at, now, locale) !== name;
    out.push({ type: line.kind, key: line.dom ?? line.key, line, first, last });
  });
  return out;
}

const HIGHEST = 2 ** 53;

/** The highest seq among the lines; a key begins with the seq as 16 hex digits, pending ones with a number beyond. */
export function lastSeq(lines) {
  const seqs = lines.map((line) => Number.parseInt(line.key.slice(0, 16), 16)).filter((seq) => seq < HIGHEST);
  return seqs.length ? Math.max(...seqs) : 0;
}
