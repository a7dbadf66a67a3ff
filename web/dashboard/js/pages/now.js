/**
 * Now: what comes in, how fast, what waits, what failed, and whether every component is well. Everything moves by the
 * WebSocket; the store is read when the page opens, when a minute turns, and after a gap.
 */

import { get, url } from "../api.js";
import { Sparkline, StackedBars, Strip } from "../charts.js";
import { fill, h, setText, update } from "../dom.js";
import { count, counted, duration, exact, hourMinute, NONE, percent, rate, sender, short, when } from "../format.js";
import { live } from "../live.js";
import { chip, label, loading, mark, meter, press, quietly, segmented } from "../parts.js";
import { path } from "../route.js";
import { CLASSES, emailItem, keyOf, series } from "../shapes.js";
import { shared, WINDOW } from "../state.js";

const NEWEST = 14;
const SEED = 100;

export function show(root, _params, signal) {
  const parts = [figures(signal), classified(signal), lastMinutes(signal), newest(signal), machine(signal)];
  const [top, chart, strip, feed, side] = parts;
  fill(root, h("h1", { class: "hidden" }, "Now"), top, h("div", { class: "now-grid" }, h("div", { class: "now-main" }, chart, strip, feed), side));
}

/** The six numbers that say how it goes, each with its last minutes. */
function figures(signal) {
  const list = [
    figure("Emails a minute", (stats) => rate(stats.emails_per_minute), (stats) => `${short(stats.total_emails_processed)} in all`, "emails_per_minute"),
    figure("Time to classify, p95", (stats) => duration(stats.p95_processing_time_ms), (stats) => `median ${duration(stats.p50_processing_time_ms)}, p99 ${duration(stats.p99_processing_time_ms)}`, "p95_processing_time_ms"),
    figure("Waiting", (stats) => short(stats.queue_depth), waitingWords, "queue_depth"),
    figure("Success", (stats) => (stats.success_rate === null ? NONE : percent(stats.success_rate / 100, stats.success_rate < 99.95 ? 1 : 0)), (stats) => counted(stats.retry_count, "retry", "retries")),
    figure("Dead letters", (stats) => short(stats.dead_letters), (stats) => (stats.dead_letters ? h("a", { href: path("dead") }, "See why") : "none"), null, (stats) => stats.dead_letters > 0),
  ];
  const row = h("dl", { class: "figures", "aria-label": "Figures" }, list.map((item) => item.element));
  shared.watch("stats", (stats) => list.forEach((item) => item.refresh(stats)), signal);
  return row;
}

function figure(name, value, note, field, trouble = () => false) {
  const big = h("b", null, NONE);
  const small = h("small", null, " ");
  const spark = field ? new Sparkline() : null;
  const element = h("div", { class: "figure" }, h("dt", null, name), h("dd", null, big, small, spark?.element));
  const refresh = (stats) => {
    setText(big, value(stats));
    const words = note(stats);
    if (typeof words === "string") setText(small, words);
    else update(small, words);
    element.classList.toggle("trouble", trouble(stats));
    spark?.draw(shared.history.map((sample) => sample[field] ?? 0));
  };
  return { element, refresh };
}

function waitingWords(stats) {
  const age = stats.oldest_queued_age_seconds;
  if (!stats.queue_depth) return "nothing waits";
  return age ? `oldest ${duration(age * 1000)}` : "just arrived";
}

/** Bars by class: the last hour by minutes or the last day by hours. */
function classified(signal) {
  let span = localStorage.getItem("span") === "day" ? "day" : "hour";
  let buckets = [];
  let stale = false;
  let moved = false;
  const said = h("span", { class: "quiet readout" });
  const chart = new StackedBars((bucket, step) => setText(said, bucket ? readout(bucket, step) : ""));
  const body = h("div", null, loading(3));
  const choose = (value) => {
    span = value;
    localStorage.setItem("span", value);
    press(choices, value);
    load();
  };
  const choices = segmented("Time shown", [["hour", "1 hour"], ["day", "24 hours"]], span, choose);

  async function load() {
    const step = span === "hour" ? "minute" : "hour";
    const unit = step === "minute" ? 60_000 : 3_600_000;
    const end = Math.floor(Date.now() / unit) * unit + unit;
    const from = new Date(end - (step === "minute" ? 60 : 24) * unit).toISOString();
    stale = false;
    const answer = await quietly(() => get(url(["stats", "timeseries"], { from, to: new Date(end).toISOString(), step }), { signal }));
    stale ||= !answer;
    if (!answer) return;
    buckets = series(answer);
    if (!chart.element.isConnected) fill(body, chart.element);
    chart.draw(buckets, step);
  }

  // A new result goes into its own bucket at once; a label moves counts about, so the store is asked.
  const onEvent = ({ detail }) => {
    if (detail.event === "process") {
      const unit = span === "hour" ? 60_000 : 3_600_000;
      const at = Date.parse(detail.data.processed_at ?? detail.timestamp);
      const bucket = buckets.findLast((item) => at >= item.at && at < item.at + unit);
      if (bucket && detail.data.classification in bucket) {
        bucket[detail.data.classification] += 1;
        bucket.total += 1;
        moved = true;
      } else stale = true;
    } else if (detail.event === "label") stale = true;
  };
  const redraw = () => {
    const unit = span === "hour" ? 60_000 : 3_600_000;
    const last = buckets.at(-1);
    if (live.state === "live" && (stale || (last && Date.now() >= last.at + unit))) load();
    else if (moved) chart.draw(buckets, span === "hour" ? "minute" : "hour");
    moved = false;
  };
  live.addEventListener("event", onEvent, { signal });
  live.addEventListener("resync", load, { signal });
  everySecond(redraw, signal);
  load();
  return h("section", { class: "sheet" }, h("header", null, h("h2", null, "Classified"), said, h("div", { class: "end" }, choices)), body);
}

function readout(bucket, step) {
  const end = bucket.at + (step === "minute" ? 60_000 : 3_600_000);
  const parts = CLASSES.filter((name) => bucket[name]).map((name) => `${count(bucket[name])} ${name}`);
  const time = step === "minute" ? hourMinute(bucket.at) : `${hourMinute(bucket.at)}–${hourMinute(end)}`;
  return `${time}  ${parts.join(", ") || "nothing"}`;
}

/** One column a second, one lane a class. */
function lastMinutes(signal) {
  const strip = new Strip([...CLASSES, "trouble"]);
  const lanes = h("ul", { class: "lanes" }, CLASSES.map((name) => h("li", null, label(name))), h("li", null, h("span", { class: "label" }, h("span", { class: "mark cross c-trouble" }, "×"), "trouble")));
  const draw = () => strip.draw(shared.bins, Math.floor(Date.now() / 1000), WINDOW);
  everySecond(draw, signal);
  new ResizeObserver(draw).observe(strip.canvas);
  return h("section", { class: "sheet" }, h("header", null, h("h2", null, "Last two minutes"), h("span", { class: "quiet" }, "one column a second")), h("div", { class: "strip-box" }, lanes, strip.canvas));
}

/** The newest results; they keep still while the pointer or the focus is on them. */
function newest(signal) {
  const list = h("ul", { class: "feed" });
  const held = h("span", { class: "quiet" });
  const box = h("section", { class: "sheet" }, h("header", null, h("h2", null, "Newest"), held, h("a", { class: "end", href: path("emails") }, "All emails")), list);
  let items = [];
  let hover = false;
  let changed = false;
  let missed = false;

  const paint = () => {
    if (missed && live.state === "live") load();
    const still = hover || list.contains(document.activeElement);
    setText(held, still && changed ? "held while you look" : "");
    if (still || !changed) return;
    changed = false;
    fill(list, items.length ? items.map(row) : h("li", { class: "quiet none" }, "Nothing has been classified yet. Send an email from the Simulator page, or wait for FakeMail."));
  };
  async function load() {
    missed = false;
    const answer = await quietly(() => get(url(["results"], { limit: SEED }), { signal }));
    missed ||= !answer;
    if (!answer) return;
    shared.seed(answer.items);
    items = answer.items.slice(0, NEWEST).map(emailItem);
    changed = true;
    paint();
  }
  live.addEventListener("event", ({ detail }) => {
    if (detail.event !== "process" && detail.event !== "label") return;
    const item = emailItem(detail.data);
    const at = items.findIndex((known) => keyOf(known) === keyOf(item));
    if (at >= 0) items[at] = item;
    else if (detail.event === "process") items = [item, ...items].slice(0, NEWEST);
    changed = true;
  }, { signal });
  live.addEventListener("resync", load, { signal });
  list.addEventListener("pointerenter", () => (hover = true), { signal });
  list.addEventListener("pointerleave", () => ((hover = false), paint()), { signal });
  fill(list, h("li", null, loading(6)));
  everySecond(paint, signal, 400);
  load();
  return box;
}

function row(item) {
  return h("li", null, h("a", { href: path("emails", { id: item.email_id, source: item.source }), data: { id: item.email_id } },
    mark(item.classification),
    h("span", { class: "hidden" }, `${item.classification}: `),
    h("span", { class: "feed-subject", dir: "auto" }, item.subject || h("em", null, "no subject")),
    h("span", { class: "feed-sender", dir: "auto" }, sender(item.sender)),
    h("span", { class: "feed-sure" }, percent(item.confidence)),
    h("time", { datetime: item.processed_at, title: exact(item.processed_at) }, when(item.processed_at))));
}

/** Classes, queue, workers, components. */
function machine(signal) {
  const classes = h("tbody", null);
  const queue = h("tbody", null);
  const workers = h("p", { class: "workers-words" });
  const dots = h("div", { class: "workers", "aria-hidden": "true" });
  const health = h("ul", { class: "health" }, h("li", null, loading(3)));
  const overall = h("span", { class: "end" });

  shared.watch("stats", (stats) => {
    drawClasses(classes, stats);
    drawQueue(queue, stats.queue_depth_by_priority ?? {});
    drawWorkers(dots, workers, stats);
  }, signal);
  shared.watch("health", (answer) => drawHealth(health, overall, answer), signal);

  return h("aside", { class: "now-side", "aria-label": "State of the machine" },
    h("section", { class: "sheet" }, h("header", null, h("h2", null, "Classes"), h("span", { class: "quiet end" }, "all time")), h("table", { class: "bare" }, classes)),
    h("section", { class: "sheet" }, h("header", null, h("h2", null, "Queue by priority")), h("table", { class: "bare" }, queue)),
    h("section", { class: "sheet" }, h("header", null, h("h2", null, "Workers")), workers, dots),
    h("section", { class: "sheet" }, h("header", null, h("h2", null, "Components"), overall), health));
}

function drawClasses(body, stats) {
  const counts = stats.emails_by_classification ?? {};
  const total = CLASSES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  update(body, CLASSES.map((name) => {
    const share = total ? (counts[name] ?? 0) / total : 0;
    return h("tr", null, h("th", { scope: "row" }, h("a", { href: path("emails", { classification: name }) }, label(name))), h("td", { class: "wide" }, meter(share, name, percent(share))), h("td", { class: "num" }, short(counts[name] ?? 0)), h("td", { class: "num quiet" }, percent(share)));
  }));
}

function drawQueue(body, depths) {
  const most = Math.max(1, ...Object.values(depths));
  update(body, ["high", "normal", "low"].map((lane) => h("tr", null, h("th", { scope: "row" }, lane), h("td", { class: "wide" }, meter((depths[lane] ?? 0) / most, "ink", `${depths[lane] ?? 0} waiting`)), h("td", { class: "num" }, short(depths[lane] ?? 0)))));
}

function drawWorkers(dots, words, stats) {
  const busy = stats.busy_workers ?? 0;
  const all = busy + (stats.available_workers ?? 0);
  setText(words, `${busy} of ${all} busy, ${counted(stats.nodes, "node")}, up ${duration((stats.uptime_seconds ?? 0) * 1000)}`);
  update(dots, Array.from({ length: Math.min(all, 64) }, (_, index) => h("i", { class: index < busy ? "on" : "" })));
}

function drawHealth(list, overall, answer) {
  const well = answer.status === "healthy";
  update(overall, well ? h("span", { class: "quiet" }, "all well") : chip(answer.status, "trouble"));
  update(list, Object.entries(answer.components ?? {}).map(([name, part]) => {
    const good = part.status === "healthy";
    const note = part.reason ?? (part.latency_ms == null ? "" : duration(part.latency_ms));
    return h("li", { class: good ? "" : "trouble" }, h("i", { "aria-hidden": "true" }), h("b", null, name === "fakemail" ? "FakeMail" : name), h("span", null, good ? note : [part.status, note && `: ${note}`]));
  }));
}

/** Run about each second while the page is open and visible. */
function everySecond(action, signal, ms = 1000) {
  action();
  const timer = setInterval(() => document.visibilityState === "visible" && action(), ms);
  signal.addEventListener("abort", () => clearInterval(timer));
}
