/**
 * The server's answers in the form that pages need: the only place that knows field names. Pure functions of JSON.
 */

export const CLASSES = ["meeting", "promotion", "intro", "unknown"];

/** The priorities, in the order in which they are served. */
export const LANES = ["high", "normal", "low"];

export const STATES = ["queued", "retrying", "processed", "dead", "discarded", "erased"];

export const REASONS = {
  gone: "FakeMail no longer has it",
  fetch_failed: "Could not be fetched",
  invalid_email: "Not a readable email",
  too_large: "Too large",
  classifier_error: "The classifier failed",
  classifier_timeout: "The classifier took too long",
  crashed_process: "Crashed a worker process",
};

/** Identifies an email: ids are unique only within a source. */
export function keyOf(item) {
  return `${item.source}\u0000${item.email_id}`;
}

/** The key of the email that an address names by `id` and `source`; null if it names none. */
export function keyIn(params) {
  const id = params.get("id");
  return id ? keyOf({ email_id: id, source: params.get("source") ?? "main" }) : null;
}

const HASHED = /^\\#[0-9a-f]{64}$/;

/** Whether the email's id is too long to be kept, so that it can never be fetched. */
export const isTooLong = ({ email_id: id }) => HASHED.test(id);

/** What to show for a subject that is empty or unknown. */
export function noSubject(item) {
  if (isTooLong(item)) return "never fetched: its id is too long";
  return (item.state ?? "processed") === "processed" ? "no subject" : item.email_id;
}

/** Matches a visible character: no space, mark or control character, nor a blank that Unicode counts as a letter. */
const VISIBLE = /[^\s\p{C}\p{M}\u115f\u1160\u2800\u3164\uffa0]/u;

/** Whether the text has anything to see. */
export const isVisible = (text) => VISIBLE.test(text ?? "");

/** The components of /health that are not well; without Redis nothing is known of actors, so only Redis is reported. */
export function unwellOf(components = {}) {
  const unwell = Object.entries(components).filter(([, part]) => part.status !== "healthy");
  const silent = unwell.some(([name]) => name === "redis");
  return unwell.filter(([name]) => name !== "actors" || !silent);
}

/** What is wrong with an unhealthy component, in words that begin in lower case. */
export function troubleWords(name, part) {
  if (name === "redis") return "Redis is unavailable";
  if (name === "database") return "the database is not working properly";
  if (name === "actors") return "some actors are not working properly";
  const away = Object.entries(part.sources ?? {}).filter(([, each]) => each.status !== "healthy");
  const accounts = away.length ? ` (${away.map(([account]) => account).join(", ")})` : "";
  return `FakeMail is not responding properly${accounts}`;
}

/** Words as a sentence. */
export const sentence = (words) => `${words[0].toUpperCase()}${words.slice(1)}.`;

/** An item of /emails, /results or a live event, flattened: `classification` is null while there is no result. */
export function emailItem(item) {
  const flat = { ...item.result, ...item };
  return {
    ...flat,
    subject: flat.subject ?? "",
    sender: flat.sender ?? "",
    state: flat.state ?? "processed",
    classification: flat.classification ?? null,
    at: flat.listed_at ?? flat.processed_at ?? null,
  };
}

/** /stats/timeseries → [{at: ms, total, meeting, promotion, intro, unknown}]. */
export function series(answer) {
  const flat = ({ at, total, counts }) => ({ at: Date.parse(at), total, ...zeros(), ...counts });
  return answer.buckets.map(flat);
}

function zeros() {
  return Object.fromEntries(CLASSES.map((name) => [name, 0]));
}

/** A timeline's stages with `offset`, the milliseconds since the first one. */
export function stages(answer) {
  const first = Math.min(...answer.stages.map((stage) => Date.parse(stage.at)));
  return answer.stages.map((stage) => ({ ...stage, offset: Date.parse(stage.at) - first }));
}

/** Python counts characters, JavaScript UTF-16 units: map the `wanted` character offsets to offsets in `text`. */
export function charOffsets(text, wanted) {
  const sorted = [...new Set(wanted)].sort((a, b) => a - b);
  const found = new Map();
  let units = 0;
  let characters = 0;
  for (const offset of sorted) {
    while (characters < offset && units < text.length) {
      units += text.codePointAt(units) > 0xffff ? 2 : 1;
      characters += 1;
    }
    found.set(offset, units);
  }
  return found;
}
