/**
 * The state of the machine, for the page Now: a notice of what does not answer and, beside the charts, the classes,
 * what waits, the workers and the components. Drawn from the shared stats and health; used by now.js.
 */

import { h, setText, update } from "../dom.js";
import { counted, duration, percent, short, when } from "../format.js";
import { chip, label, loading, meter } from "../parts.js";
import { path } from "../route.js";
import { CLASSES, LANES, sentence, troubleWords, unwellOf } from "../shapes.js";
import { shared } from "../state.js";

const MOST_DOTS = 64;
const SAFE = "Nothing is lost, and work resumes by itself.";
const MEANWHILE = {
  fakemail: `Mail that is already here is still processed; new mail is fetched when FakeMail is back. ${SAFE}`,
  redis: `Mail waits in the database and at FakeMail until Redis is back. ${SAFE}`,
  database: `Notifications are still accepted; mail waits until the database is back. ${SAFE}`,
  actors: "Mail that they do not get to waits where it is; nothing is lost.",
};

/** What does not answer, since when, and what happens meanwhile; empty if all is well. */
export function trouble(signal) {
  const box = h("div", { class: "notices", role: "status" });
  const draw = (answer) => {
    const unwell = unwellOf(answer.components);
    update(box, unwell.map(([name, part]) => notice(name, part)));
  };
  shared.watch("health", draw, signal);
  return box;
}

function notice(name, part) {
  const words = troubleWords(name, part);
  return h("div", { class: "notice", data: { unwell: name } },
    h("strong", null, part.since ? `Since ${when(part.since)}: ${words}.` : sentence(words)),
    h("p", null, MEANWHILE[name], name === "actors" && [" ", h("a", { href: path("actors") }, "See the actors")]),
    part.reason && h("p", { class: "reason" }, `Reason: ${part.reason}`));
}

/** Classes, queue, workers, components. */
export function machine(signal) {
  const classes = h("tbody", null);
  const queue = h("tbody", null);
  const words = h("p", { class: "workers-words" });
  const dots = h("div", { class: "workers", "aria-hidden": "true" });
  const health = h("ul", { class: "health" }, h("li", null, loading(3)));
  const overall = h("span", { class: "end" });
  const drawStats = (stats) => {
    drawClasses(classes, stats);
    drawQueue(queue, stats.queue_depth_by_priority ?? {});
    drawWorkers(dots, words, stats);
  };
  shared.watch("stats", drawStats, signal);
  shared.watch("health", (answer) => drawHealth(health, overall, answer), signal);
  return h("aside", { class: "now-side", "aria-label": "System state" },
    sheet("Classes", h("span", { class: "quiet end" }, "all time"), h("table", { class: "bare" }, classes)),
    sheet("Queue by priority", null, h("table", { class: "bare" }, queue)),
    sheet("Workers", null, words, dots),
    sheet("Components", overall, health));
}

function sheet(name, end, ...content) {
  return h("section", { class: "sheet" }, h("header", null, h("h2", null, name), end), content);
}

function drawClasses(body, stats) {
  const counts = stats.emails_by_classification ?? {};
  const total = CLASSES.reduce((sum, name) => sum + (counts[name] ?? 0), 0);
  const row = (name) => {
    const number = counts[name] ?? 0;
    const share = total ? number / total : 0;
    const emails = h("a", { href: path("emails", { classification: name }) }, label(name));
    return h("tr", null,
      h("th", { scope: "row" }, emails),
      h("td", { class: "wide" }, meter(share, name, percent(share))),
      h("td", { class: "num" }, short(number)),
      h("td", { class: "num quiet" }, percent(share)));
  };
  update(body, CLASSES.map(row));
}

function drawQueue(body, depths) {
  const most = Math.max(1, ...Object.values(depths));
  const row = (lane) => {
    const depth = depths[lane] ?? 0;
    return h("tr", null,
      h("th", { scope: "row" }, lane),
      h("td", { class: "wide" }, meter(depth / most, "ink", `${depth} waiting`)),
      h("td", { class: "num" }, short(depth)));
  };
  update(body, LANES.map(row));
}

function drawWorkers(dots, words, stats) {
  const busy = stats.busy_workers ?? 0;
  const all = busy + (stats.available_workers ?? 0);
  const up = duration((stats.uptime_seconds ?? 0) * 1000);
  setText(words, `${busy} of ${all} busy, ${counted(stats.nodes, "node")}, up ${up}`);
  const dot = (_, index) => h("i", { class: index < busy ? "on" : "" });
  update(dots, Array.from({ length: Math.min(all, MOST_DOTS) }, dot));
}

function drawHealth(list, overall, answer) {
  const well = answer.status === "healthy";
  update(overall, well ? h("span", { class: "quiet" }, "all healthy") : chip(answer.status, "trouble"));
  update(list, Object.entries(answer.components ?? {}).map(component));
}

/** A component's latency; what is wrong with it is in the notice at the top. */
function component([name, part]) {
  const good = part.status === "healthy";
  const latency = part.latency_ms == null ? "" : duration(part.latency_ms);
  return h("li", { class: good ? "" : "trouble" },
    h("i", { "aria-hidden": "true" }),
    h("b", null, name === "fakemail" ? "FakeMail" : name),
    h("span", null, good ? latency : part.status));
}
