/**
 * Now: what comes in, how fast, what waits, what failed, and whether every component is well. Updated by the
 * WebSocket; the store is read when the page opens, when a minute turns, and after a gap.
 */

import { get, url } from "../api.js";
import { Sparkline } from "../charts.js";
import { fill, h, setText, update } from "../dom.js";
import { count, counted, duration, exact, NONE, percent, rate, sender, short, success, when } from "../format.js";
import { live } from "../live.js";
import { everyWhileShown, newestOnly } from "../looking.js";
import { loading, mark, subjectOf } from "../parts.js";
import { path } from "../route.js";
import { emailItem, keyOf } from "../shapes.js";
import { shared } from "../state.js";
import { Classified, lastMinutes } from "./now_charts.js";
import { machine, trouble } from "./now_state.js";

const NEWEST = 10;
const SEED = 100;
const PAINT_EVERY = 400;
const STILL_WAITING_MS = 5_000;
const LOOKED_AT_MS = 10_000;
const NO_RESULT = "Nothing has been classified yet. Send an email from the Simulator page, or wait for FakeMail.";
const PUT_OFF = "How often an email was postponed and retried later, including because of an outage. "
  + "How often a worker received an email is shown with that email.";

export function show(root, _params, signal) {
  const left = h("div", { class: "now-main" },
    new Newest(signal).element,
    h("div", { class: "charts" }, new Classified(signal).element, lastMinutes(signal)));
  const grid = h("div", { class: "now-grid" }, left, machine(signal));
  fill(root, h("h1", { class: "hidden" }, "Now"), trouble(signal), figures(signal), grid);
}

/** The five main figures, each with its last minutes. */
function figures(signal) {
  const list = [flow(), latency(), waiting(), successes(), deadLetters()];
  const row = h("dl", { class: "figures", "aria-label": "Figures" }, list.map((item) => item.element));
  shared.watch("stats", (stats) => list.forEach((item) => item.refresh(stats)), signal);
  return row;
}

function flow() {
  return figure("Emails a minute", {
    value: (stats) => rate(stats.emails_per_minute),
    note: (stats) => `${short(stats.total_emails_processed)} in total`,
    field: "emails_per_minute",
  });
}

function latency() {
  const part = (name, ms) => h("span", { class: "nowrap" }, `${name} ${duration(ms)}`);
  return figure("Time to classify, p95", {
    value: (stats) => duration(stats.p95_processing_time_ms),
    note: (stats) => [part("p50", stats.p50_processing_time_ms), ", ", part("p99", stats.p99_processing_time_ms)],
    field: "p95_processing_time_ms",
  });
}

/** Emails that wait in no mailbox have come this moment, or wait for their next try. */
function waiting() {
  let since = null;
  const note = ({ queue_depth: depth, oldest_queued_age_seconds: age }) => {
    if (!depth || age !== null) since = null;
    else since ??= Date.now();
    if (!depth) return "nothing waiting";
    if (age) return `oldest ${duration(age * 1000)}`;
    return since === null || Date.now() - since < STILL_WAITING_MS ? "just arrived" : "all waiting to retry";
  };
  return figure("Waiting", { value: (stats) => short(stats.queue_depth), note, field: "queue_depth" });
}

function successes() {
  return figure("Success", {
    value: (stats) => success(stats.success_rate),
    note: ({ retry_count: times }) => (times ? `postponed ${counted(times, "time")}` : "none postponed"),
    title: PUT_OFF,
  });
}

function deadLetters() {
  return figure("Dead letters", {
    value: (stats) => short(stats.dead_letters),
    note: (stats) => (stats.dead_letters ? h("a", { href: path("dead") }, "See why") : "none"),
    troubled: (stats) => stats.dead_letters > 0,
  });
}

function figure(name, { value, note, field, title, troubled = () => false }) {
  const big = h("b", null, NONE);
  const small = h("small", { title }, " ");
  const spark = field ? new Sparkline() : null;
  const element = h("div", { class: "figure" }, h("dt", null, name), h("dd", null, big, small, spark?.element));
  const refresh = (stats) => {
    setText(big, value(stats));
    update(small, note(stats));
    element.classList.toggle("trouble", troubled(stats));
    spark?.draw(shared.history.map((sample) => sample[field] ?? 0));
  };
  return { element, refresh };
}

/** The newest results; the list keeps still while it has the focus or a pointer has just moved over it. */
class Newest {
  #items = [];
  #stillUntil = 0;
  #changed = false;
  #missed = false;

  constructor(signal) {
    this.newest = newestOnly(signal);
    this.held = h("span", { class: "quiet" });
    this.list = h("ul", { class: "feed" }, h("li", null, loading(6)));
    const all = h("a", { class: "end", href: path("emails") }, "All emails");
    const head = h("header", null, h("h2", null, "Newest"), this.held, all);
    this.element = h("section", { class: "sheet" }, head, this.list);
    this.#listen(signal);
    everyWhileShown(PAINT_EVERY, () => this.#tick(), signal);
    this.#load();
  }

  #listen(signal) {
    const still = (ms) => () => {
      this.#stillUntil = Date.now() + ms;
      this.#paint();
    };
    live.addEventListener("event", ({ detail }) => this.#onEvent(detail), { signal });
    live.addEventListener("resync", () => this.#load(), { signal });
    this.list.addEventListener("pointermove", still(LOOKED_AT_MS), { signal });
    this.list.addEventListener("pointerleave", still(0), { signal });
  }

  #onEvent({ event, data }) {
    if (event !== "process" && event !== "label") return;
    const item = emailItem(data);
    const at = this.#items.findIndex((known) => keyOf(known) === keyOf(item));
    if (at >= 0) this.#items[at] = item;
    else if (event === "process") this.#items = [item, ...this.#items].slice(0, NEWEST);
    this.#changed = true;
  }

  #load() {
    this.#missed = false;
    const ask = (signal) => get(url(["results"], { limit: SEED }), { signal });
    return this.newest(ask, (answer) => this.#got(answer.items), () => (this.#missed = true));
  }

  #got(results) {
    shared.seed(results);
    this.#items = results.slice(0, NEWEST).map(emailItem);
    this.#changed = true;
    this.#paint();
  }

  #tick() {
    if (this.#missed && live.state === "live") this.#load();
    this.#paint();
  }

  #paint() {
    const still = Date.now() < this.#stillUntil || this.list.contains(document.activeElement);
    setText(this.held, still && this.#changed ? "held while you read" : "");
    if (still || !this.#changed) return;
    this.#changed = false;
    fill(this.list, this.#items.length ? this.#items.map(row) : h("li", { class: "quiet none" }, NO_RESULT));
  }
}

function row(item) {
  const href = path("emails", { id: item.email_id, source: item.source });
  return h("li", null, h("a", { href, data: { id: item.email_id } },
    mark(item.classification),
    h("span", { class: "hidden" }, `${item.classification}: `),
    h("span", { class: "feed-subject", dir: "auto" }, subjectOf(item)),
    h("span", { class: "feed-sender", dir: "auto" }, sender(item.sender)),
    h("span", { class: "feed-sure" }, percent(item.confidence)),
    h("time", { datetime: item.processed_at, title: exact(item.processed_at) }, when(item.processed_at))));
}
