/**
 * The two charts of the page Now: results by class in the last hour or day, and the last two minutes second by second.
 * Used by now.js; the drawing is in charts.js.
 */

import { get, url } from "../api.js";
import { StackedBars, Strip } from "../charts.js";
import { fill, h, setText } from "../dom.js";
import { count, hourMinute } from "../format.js";
import { live } from "../live.js";
import { everyWhileShown, newestOnly } from "../looking.js";
import { label, loading, press, segmented } from "../parts.js";
import { CLASSES, series } from "../shapes.js";
import { shared, WINDOW } from "../state.js";

const SECOND = 1_000;
const SETTLED_AFTER = 3 * SECOND;
const SPANS = {
  hour: { step: "minute", each: "one column a minute", unit: 60 * SECOND, bars: 60 },
  day: { step: "hour", each: "one column an hour", unit: 3600 * SECOND, bars: 24 },
};
const CHOICES = [["hour", "1 hour"], ["day", "24 hours"]];
const STORED = "span";

/** Bars by class: the last hour in minutes or the last day in hours. */
export class Classified {
  #buckets = [];
  #busy = false;
  #stale = false;
  #moved = false;
  #asOf = 0;
  #doubtful = false;
  #second = false;

  constructor(signal) {
    this.newest = newestOnly(signal);
    const stored = localStorage.getItem(STORED) === "day" ? "day" : "hour";
    this.span = SPANS[stored];
    this.said = h("span", { class: "quiet readout" }, this.span.each);
    this.chart = new StackedBars((bucket) => setText(this.said, bucket ? readout(bucket, this.span) : this.span.each));
    this.body = h("div", null, loading(3));
    this.choices = segmented("Time shown", CHOICES, stored, (value) => this.#choose(value));
    const head = h("header", null, h("h2", null, "Classified"), this.said, h("div", { class: "end" }, this.choices));
    this.element = h("section", { class: "sheet" }, head, this.body);
    live.addEventListener("event", ({ detail }) => this.#onEvent(detail), { signal });
    live.addEventListener("resync", () => this.#load(), { signal });
    everyWhileShown(SECOND, () => this.#tick(), signal);
    this.#load();
  }

  #choose(value) {
    this.span = SPANS[value];
    localStorage.setItem(STORED, value);
    press(this.choices, value);
    this.#load();
  }

  /** `second`: a second read soon after the first, for results so close to it that it may or may not contain them. */
  #load({ second = false } = {}) {
    const { step, unit, bars } = this.span;
    const end = Math.floor(live.serverTime() / unit) * unit + unit;
    const iso = (ms) => new Date(ms).toISOString();
    const address = url(["stats", "timeseries"], { from: iso(end - bars * unit), to: iso(end), step });
    this.#stale = false;
    this.#doubtful = false;
    this.#second = second;
    this.#busy = true;
    return this.newest((signal) => get(address, { signal }), (answer) => this.#got(answer), () => this.#missed());
  }

  #got(answer) {
    this.#busy = false;
    this.#asOf = Date.now();
    this.#buckets = series(answer);
    if (!this.chart.element.isConnected) fill(this.body, this.chart.element);
    this.chart.draw(this.#buckets, this.span.step);
  }

  #missed() {
    this.#busy = false;
    this.#stale = true;
  }

  /** A new result is added to its bucket at once; a label moves counts between buckets, so read the store again. */
  #onEvent({ event, data, timestamp }) {
    if (event === "label") this.#stale = true;
    if (event !== "process") return;
    const at = Date.parse(data.processed_at ?? timestamp);
    const before = at <= live.serverTime(this.#asOf);
    if (before || Date.now() < this.#asOf + SETTLED_AFTER) this.#doubtful = true;
    if (before) return; // the answer contains it; if not, the second read will
    const bucket = this.#buckets.findLast((item) => at >= item.at && at < item.at + this.span.unit);
    if (!bucket || !(data.classification in bucket)) {
      this.#stale = true;
      return;
    }
    bucket[data.classification] += 1;
    bucket.total += 1;
    this.#moved = true;
  }

  #tick() {
    const last = this.#buckets.at(-1);
    const over = last && Math.floor(live.serverTime() / this.span.unit) * this.span.unit !== last.at;
    const settled = this.#doubtful && !this.#second && Date.now() >= this.#asOf + SETTLED_AFTER;
    if (live.state === "live" && !this.#busy && (this.#stale || over)) this.#load();
    else if (live.state === "live" && !this.#busy && settled) this.#load({ second: true });
    else if (this.#moved) this.chart.draw(this.#buckets, this.span.step);
    this.#moved = false;
  }
}

function readout(bucket, { step, unit }) {
  const parts = CLASSES.filter((name) => bucket[name]).map((name) => `${count(bucket[name])} ${name}`);
  const begin = hourMinute(bucket.at);
  const time = step === "minute" ? begin : `${begin}–${hourMinute(bucket.at + unit)}`;
  return `${time}  ${parts.join(", ") || "nothing"}`;
}

/** The strip: one column per second, one lane per class. */
export function lastMinutes(signal) {
  const strip = new Strip([...CLASSES, "trouble"]);
  const cross = h("span", { class: "mark cross c-trouble" }, "×");
  const names = [...CLASSES.map((name) => label(name)), h("span", { class: "label" }, cross, "trouble")];
  const lanes = h("ul", { class: "lanes" }, names.map((name) => h("li", null, name)));
  const draw = () => strip.draw(shared.bins, Math.floor(live.serverTime() / SECOND), WINDOW);
  everyWhileShown(SECOND, draw, signal);
  new ResizeObserver(draw).observe(strip.canvas);
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, "Last two minutes"), h("span", { class: "quiet readout" }, "one column a second")),
    h("div", { class: "strip-box" }, lanes, strip.canvas));
}
