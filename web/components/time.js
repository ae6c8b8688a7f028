// Times and names in words. Pure: `now` and the locale are handed in by tests.

const DAY = 86_400_000;
const day = (at) => new Date(at).setHours(0, 0, 0, 0);

/** 14:05, as the reader's locale writes it. */
export const clock = (at, locale) =>
  new Date(at).toLocaleTimeString(locale, { hour: "2-digit", minute: "2-digit" });

/** The day of a separator: Today, Yesterday, or a date. */
export function dayName(at, now = Date.now(), locale = undefined) {
  const days = Math.round((day(now) - day(at)) / DAY);
  if (days === 0) return "Today";
  if (days === 1) return "Yesterday";
  const sameYear = new Date(at).getFullYear() === new Date(now).getFullYear();
  const year = sameYear ? undefined : "numeric";
  return new Date(at).toLocaleDateString(locale, { weekday: "long", day: "numeric", month: "long", year });
}

/** Date and time to the second. */
export const moment = (at, locale) => new Date(at).toLocaleString(locale, { dateStyle: "medium", timeStyle: "medium" });

/** The short time of a list: a clock time today, else a date. */
export function shortTime(at, now = Date.now(), locale = undefined) {
  if (day(at) === day(now)) return clock(at, locale);
  if (day(now) - day(at) < 1.5 * DAY) return "Yesterday";
  return new Date(at).toLocaleDateString(locale, { day: "numeric", month: "short" });
}

/** The same for a time in RFC 3339, as the service writes it. */
export const since = (time) => shortTime(Date.parse(time));

/** How long something holds: "in 3 days", "in 5 hours". */
export function until(at, now = Date.now()) {
  const minutes = Math.round((at - now) / 60_000);
  if (minutes <= 0) return "now";
  const [count, unit] =
    minutes < 90 ? [minutes, "minute"] : minutes < 36 * 60 ? [Math.round(minutes / 60), "hour"] : [Math.round(minutes / 1440), "day"];
  return `in ${count} ${unit}${count === 1 ? "" : "s"}`;
}

const SPANS = [
  [1440, "day"],
  [60, "hour"],
  [1, "minute"],
];

/** How long something has been: in minutes up to two hours, in hours up to two days, in days. */
export function span(milliseconds) {
  const minutes = Math.floor(milliseconds / 60_000);
  const [size, unit] = SPANS.find(([size]) => minutes >= 2 * size || size === 1);
  return counted(Math.floor(minutes / size), unit);
}

/** "1 member", "3 members". */
export const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** One or two letters that stand for a name. */
export function initials(name) {
  const words = name.trim().split(/\s+/u).filter(Boolean);
  const letters = words.length > 1 ? [words[0], words.at(-1)] : words;
  return letters.map((word) => [...word][0].toUpperCase()).join("") || "?";
}

/** A number from 0 to 7 for an id: which of the avatar's tones it gets. */
export const toneOf = (id) => [...id].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 9973, 7) % 8;
