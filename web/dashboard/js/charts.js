/**
 * The charts: stacked bars over time and sparklines (SVG), and the strip of the last two minutes (canvas, one step per
 * second). Colours come from the style sheet's tokens, so light and dark need no code. Used by pages/now.js and
 * pages/now_charts.js.
 */

import { h, s, setText, update } from "./dom.js";
import { count, hourMinute } from "./format.js";
import { stepped } from "./keys.js";
import { CLASSES } from "./shapes.js";

const MINUTE = 60_000;

/** Stacked bars by class. `draw(buckets, step)` redraws; hover, touch or the arrow keys read out one bar. */
export class StackedBars {
  #buckets = [];
  #step = "minute";
  #at = -1;

  constructor(readout) {
    this.readout = readout;
    this.svg = s("svg", { class: "bars", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.axis = h("div", { class: "bars-axis", "aria-hidden": "true" });
    this.top = h("div", { class: "bars-top", "aria-hidden": "true" });
    this.plot = h("div", { class: "bars-plot", tabindex: "0", role: "img" }, this.top, this.svg);
    this.element = h("div", null, this.plot, this.axis);
    this.plot.addEventListener("pointermove", (event) => this.#point(event));
    this.plot.addEventListener("pointerleave", () => this.#choose(-1));
    this.plot.addEventListener("blur", () => this.#choose(-1));
    this.plot.addEventListener("keydown", (event) => this.#onKey(event));
  }

  draw(buckets, step) {
    this.#buckets = buckets;
    this.#step = step;
    const peak = Math.max(4, ...buckets.map((bucket) => bucket.total));
    const height = niceCeiling(peak);
    this.svg.setAttribute("viewBox", `0 0 ${Math.max(1, buckets.length) * 10} 100`);
    const lines = [25, 50, 75].map((y) => s("path", { class: "grid", d: `M0 ${y}H${buckets.length * 10}` }));
    update(this.svg, lines, buckets.map((bucket, index) => bar(bucket, index, height)));
    setText(this.top, count(height));
    update(this.axis, ticks(buckets, step).map(tickOf));
    this.plot.setAttribute("aria-label", summary(buckets, step));
    this.#choose(this.#at);
  }

  #point(event) {
    const box = this.svg.getBoundingClientRect();
    this.#choose(Math.floor(((event.clientX - box.left) / box.width) * this.#buckets.length));
  }

  #onKey(event) {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!move) return;
    event.preventDefault();
    const from = this.#at < 0 ? (move < 0 ? this.#buckets.length : -1) : this.#at;
    this.#choose(stepped(from, move, this.#buckets.length));
  }

  #choose(index) {
    this.#at = index;
    const bucket = this.#buckets[index];
    for (const node of this.svg.querySelectorAll(".bar")) {
      node.classList.toggle("on", Number(node.dataset.index) === index);
    }
    this.readout(bucket ?? null, this.#step);
  }
}

function bar(bucket, index, height) {
  const hit = s("rect", { class: "hit", x: index * 10, y: 0, width: 10, height: 100 });
  const group = s("g", { class: "bar", data: { index } }, hit);
  let y = 100;
  for (const name of CLASSES) {
    const tall = (bucket[name] / height) * 100;
    const place = { x: index * 10 + 1, y: y - tall, width: 8, height: tall };
    if (tall > 0) group.append(s("rect", { class: `c-${name}`, ...place }));
    y -= tall;
  }
  return group;
}

/** The next of 4, 10, 20, 40, 100, …: a round top for the axis, so that it does not move with each email. */
function niceCeiling(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 10].map((step) => step * power).find((top) => top >= value);
}

/** The bars at which a quarter of an hour or of a day begins in the reader's time zone; `place` is 0 to 1. */
function ticks(buckets, step) {
  const round = (step === "minute" ? 15 : 360) * MINUTE;
  const quarter = (at) => Math.floor((at - new Date(at).getTimezoneOffset() * MINUTE) / round);
  return buckets.flatMap(({ at }, index) => {
    const begins = index > 0 && quarter(at) !== quarter(buckets[index - 1].at);
    return begins ? [{ at, place: (index + 0.5) / buckets.length }] : [];
  });
}

function tickOf({ at, place }) {
  return h("span", { vars: { "--at": place } }, hourMinute(at));
}

function summary(buckets, step) {
  const total = buckets.reduce((sum, bucket) => sum + bucket.total, 0);
  const of = (name) => count(buckets.reduce((sum, bucket) => sum + bucket[name], 0));
  const parts = CLASSES.map((name) => `${of(name)} ${name}`).join(", ");
  return `${count(total)} emails in ${buckets.length} ${step}s: ${parts}. Use the arrow keys to read each ${step}.`;
}

const SPARK_SAMPLES = 90;
const SPARK_FEWEST = 10;

/** A sparkline: `draw(values)`, newest at the right. Its scale starts at zero, so small changes stay small. */
export class Sparkline {
  constructor() {
    this.line = s("path", { class: "spark-line", "vector-effect": "non-scaling-stroke" });
    this.area = s("path", { class: "spark-area" });
    const props = { viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" };
    this.element = s("svg", { class: "spark", ...props }, this.area, this.line);
  }

  draw(values) {
    const shown = values.slice(-SPARK_SAMPLES);
    if (shown.length < SPARK_FEWEST) return;
    const top = Math.max(...shown) || 1;
    const span = Math.max(SPARK_SAMPLES / 3, shown.length) - 1;
    const x = (index) => (100 - ((shown.length - 1 - index) / span) * 100).toFixed(2);
    const points = shown.map((value, index) => `${x(index)} ${(23 - (value / top) * 21).toFixed(2)}`);
    this.line.setAttribute("d", `M${points.join("L")}`);
    this.area.setAttribute("d", `M${x(0)} 24L${points.join("L")}L100 24Z`);
  }
}

/** The last two minutes, one column per second and one lane per class: incoming mail at a glance. */
export class Strip {
  constructor(lanes) {
    this.lanes = lanes;
    this.canvas = h("canvas", { class: "strip", "aria-hidden": "true" });
  }

  draw(bins, now, seconds) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width) return;
    const context = this.#cleared(width, height);
    const lane = height / this.lanes.length;
    const column = width / seconds;
    const style = getComputedStyle(this.canvas);
    this.lanes.forEach((name, row) => {
      const middle = row * lane + lane / 2;
      context.fillStyle = style.getPropertyValue("--line");
      context.fillRect(0, Math.round(middle), width, 1);
      context.fillStyle = style.getPropertyValue(`--c-${name}`);
      for (let back = 0; back < seconds; back += 1) {
        const amount = bins.get(now - back)?.[name] ?? 0;
        const tall = Math.min(lane - 3, 5 + Math.log2(amount) * 3.2);
        if (amount) tick(context, width - (back + 1) * column, middle, column, tall);
      }
    });
  }

  /** The canvas's context, cleared and scaled to the screen's resolution. */
  #cleared(width, height) {
    const scale = devicePixelRatio || 1;
    if (this.canvas.width !== Math.round(width * scale)) {
      this.canvas.width = Math.round(width * scale);
      this.canvas.height = Math.round(height * scale);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    return context;
  }
}

function tick(context, x, middle, column, tall) {
  context.fillRect(x + column * 0.15, middle - tall / 2, Math.max(1.5, column * 0.7), tall);
}
