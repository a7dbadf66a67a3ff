/**
 * Numbers, durations and times in readable form. Pure functions; `null` and `undefined` become an en dash, because the
 * server sends null before the first email and a made-up zero would be wrong.
 */

export const NONE = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const minute = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", {
  day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit",
  timeZoneName: "short",
});

const missing = (value) => value === null || value === undefined || Number.isNaN(value);

export function count(value) {
  return missing(value) ? NONE : whole.format(value);
}

/** 0 emails, 1 email, 2,345 emails. */
export function counted(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** 12, 999, 12.4K, 1.2M: for places where a long number would break the layout. */
export function short(value) {
  if (missing(value)) return NONE;
  return Math.abs(value) < 10_000 ? whole.format(value) : compact.format(value);
}

/** 0..1 → "87 %"; "0 %" means none and "100 %" all: values that only round to them become "<1 %" and ">99 %". */
export function percent(share, digits = 0) {
  if (missing(share)) return NONE;
  const text = (of100) => `${of100.toFixed(digits)}\u202f%`;
  const said = text(share * 100);
  if (share < 1 && said === text(100)) return `>${text(100 - 10 ** -digits)}`;
  if (share > 0 && said === text(0)) return `<${text(10 ** -digits)}`;
  return said;
}

/** A success rate, 0 to 100: with one more digit if something failed. */
export function success(of100) {
  return missing(of100) ? NONE : percent(of100 / 100, of100 < 100 ? 1 : 0);
}

/** A rate: one digit below ten, none above. */
export function rate(value) {
  if (missing(value)) return NONE;
  return value < 10 && value > 0 ? value.toFixed(1) : short(Math.round(value));
}

/** Milliseconds → "0.4 ms", "37 ms", "1.2 s", "4 min", "2 h 5 min", "3 d". */
export function duration(ms) {
  if (missing(ms)) return NONE;
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  if (minutes < 48 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${Math.floor(minutes / 1440)} d`;
}

/** A time today as 14:03:07, on another day as 3 Mar 14:03. */
export function when(iso, now = new Date()) {
  const date = toDate(iso);
  if (!date) return NONE;
  return date.toDateString() === now.toDateString() ? clock.format(date) : `${day.format(date)} ${minute.format(date)}`;
}

/** A time to the minute, for a chart's axis. */
export function hourMinute(ms) {
  return minute.format(ms);
}

/** "just now", "40 s ago", "3 min ago". */
export function ago(iso, now = Date.now()) {
  const date = toDate(iso);
  if (!date) return NONE;
  const ms = now - date.getTime();
  return ms < 2000 ? "just now" : `${duration(ms)} ago`;
}

/** Full date and time with the zone, for tooltips and details. */
export function exact(iso) {
  const date = toDate(iso);
  return date ? full.format(date) : "";
}

/** A sender's display name; the address if there is none. */
export function sender(text) {
  if (!text) return NONE;
  const address = /<([^<>]+)>\s*$/.exec(text);
  if (!address) return text;
  return text.slice(0, address.index).trim().replace(/^"|"$/g, "") || address[1];
}

function toDate(iso) {
  if (missing(iso) || iso === "") return null;
  const date = new Date(iso);
  return Number.isNaN(date.getTime()) ? null : date;
}
