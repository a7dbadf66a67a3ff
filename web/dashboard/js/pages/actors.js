/**
 * Actors: the supervision tree of every node as it stands now, what waits in the mailboxes, and the controls: pause,
 * resume, resize. Asked each two seconds while the page is open; rates are the difference of two answers.
 */

import { get, post } from "../api.js";
import { fill, h, setText, update } from "../dom.js";
import { ago, count, counted, duration, rate, short } from "../format.js";
import { ask, attempt, button, chip, emptyState, failed, loading } from "../parts.js";
import { shared } from "../state.js";

const EVERY = 2000;

export function show(root, _params, signal) {
  const nodes = h("div", { class: "nodes" }, loading(8));
  const boxes = h("tbody", null);
  const said = h("span", { class: "quiet" });
  const size = h("input", { type: "number", min: 1, max: 64, class: "pick size", "aria-label": "Workers in each process" });
  const resize = h("form", { class: "actions", on: { submit: (event) => (event.preventDefault(), setSize(Number(size.value))) } }, h("label", { class: "check" }, "Workers in each process", size), h("button", { class: "button" }, "Resize"));
  const pause = button("Pause", () => toggle());
  const view = new Rates();
  let paused = false;

  async function load() {
    try {
      const answer = await get("/actors", { signal });
      paused = answer.paused;
      if (shared.paused !== paused) shared.set("paused", paused);
      setText(pause, paused ? "Resume" : "Pause");
      pause.classList.toggle("solid", paused);
      if (document.activeElement !== size) size.value = answer.workers ?? size.value ?? "";
      if (!size.value) size.value = poolSize(answer) || 3;
      setText(said, summary(answer));
      view.take(answer);
      update(nodes, answer.nodes.length ? answer.nodes.map((node) => drawNode(node, answer, view)) : emptyState("No node is alive", "No process has sent its heartbeat in the last seconds."));
      update(boxes, Object.entries(answer.mailboxes).map(drawMailbox));
    } catch (error) {
      if (!signal.aborted && !nodes.querySelector("table")) fill(nodes, failed(error, load));
    }
  }

  async function toggle() {
    if (!paused && !(await ask("Pause all nodes?", "Notifications are still taken, but nothing is listed, fetched or classified until you resume. Nothing is lost meanwhile, and it stays paused across restarts.", "Pause"))) return;
    const answer = await attempt(() => post(paused ? "/actors/resume" : "/actors/pause"), paused ? "Resumed" : "Paused on all nodes");
    if (answer) shared.set("paused", answer.paused);
    load();
  }

  async function setSize(workers) {
    await attempt(() => post("/actors/resize", { workers }), `Each process now runs ${counted(workers, "worker")}`);
    load();
  }

  fill(root,
    h("div", { class: "head" }, h("h1", null, "Actors"), said, h("div", { class: "actions" }, resize, pause)),
    nodes,
    h("section", { class: "sheet" }, h("header", null, h("h2", null, "Mailboxes"), h("span", { class: "quiet" }, "what waits in Redis, by priority; the rest waits in the books")),
      h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Mailboxes" }, h("table", null, h("thead", null, h("tr", null, ["Mailbox", "High", "Normal", "Low", "Quarantine", "In hand", "Size", "Oldest"].map((name, at) => h("th", { scope: "col", class: at ? "num" : "" }, name)))), boxes))));
  load();
  const timer = setInterval(() => document.visibilityState === "visible" && load(), EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
}

/** Remembers how much each actor had handled at the answer before. */
class Rates {
  #before = new Map();
  #at = 0;
  #rates = new Map();

  take(answer) {
    const now = performance.now();
    const seconds = (now - this.#at) / 1000;
    const after = new Map();
    for (const node of answer.nodes) {
      for (const process of node.processes) {
        for (const actor of process.actors) {
          const key = `${node.node}/${process.process}/${actor.name}`;
          const handled = actor.handled ?? 0;
          after.set(key, handled);
          if (this.#before.has(key)) this.#rates.set(key, Math.max(0, handled - this.#before.get(key)) / seconds);
        }
      }
    }
    this.#before = after;
    this.#at = now;
  }

  of(key) {
    return this.#rates.get(key);
  }
}

function poolSize(answer) {
  return Math.max(0, ...answer.nodes.flatMap((node) => node.processes.map((process) => process.workers ?? 0)));
}

function summary(answer) {
  const processes = answer.nodes.flatMap((node) => node.processes);
  const actors = processes.reduce((sum, process) => sum + process.actors.length, 0);
  return `${counted(answer.nodes.length, "node")}, ${counted(processes.length, "process", "processes")}, ${counted(actors, "actor")}`;
}

function drawNode(node, answer, rates) {
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, node.node), answer.paused && chip("paused", "solid")),
    h("div", { class: "table", tabindex: 0, role: "region", "aria-label": `Actors of ${node.node}` }, h("table", { class: "tree" },
      h("thead", null, h("tr", null, ["Actor", "State", "Waiting", "Handled", "A second", "Restarts", "Last error"].map((name, at) => h("th", { scope: "col", class: at > 1 && at < 6 ? "num" : "" }, name)))),
      node.processes.map((process) => drawProcess(node, process, answer, rates)))));
}

function drawProcess(node, process, answer, rates) {
  const words = [process.role, process.pid && `pid ${process.pid}`, process.started_at && `up ${ago(process.started_at).replace(" ago", "")}`, process.workers && `${process.busy ?? 0} of ${process.workers} workers busy`].filter(Boolean).join(", ");
  return h("tbody", null,
    h("tr", { class: "process" }, h("th", { scope: "rowgroup", colspan: 7 }, h("b", null, process.process.replace(`${node.node}/`, "")), h("span", { class: "quiet" }, words))),
    ordered(process.actors).map(({ actor, depth }) => drawActor(actor, depth, `${node.node}/${process.process}/${actor.name}`, answer, rates)));
}

/** Parents before their children, with how deep each stands. */
function ordered(actors) {
  const names = new Set(actors.map((actor) => actor.name));
  const children = new Map();
  for (const actor of actors) {
    const parent = names.has(actor.parent) && actor.parent !== actor.name ? actor.parent : "";
    children.set(parent, [...(children.get(parent) ?? []), actor]);
  }
  const walk = (parent, depth) => (children.get(parent) ?? []).flatMap((actor) => [{ actor, depth }, ...walk(actor.name, depth + 1)]);
  return walk("", 0);
}

function drawActor(actor, depth, key, answer, rates) {
  const state = actor.busy_seconds === null ? actor.state : "busy";
  const trouble = actor.state === "failed" || actor.state === "waiting";
  const box = actor.mailbox && answer.mailboxes[actor.mailbox];
  const waiting = box ? Object.values(box).reduce((sum, lane) => sum + lane.messages, 0) : null;
  return h("tr", { class: trouble ? "trouble" : "" },
    h("th", { scope: "row", vars: { "--depth": depth } }, h("span", { class: "tree-name" }, actor.name)),
    h("td", null, h("span", { class: `dot ${state}` }, state), actor.reason && h("small", { class: "quiet" }, ` ${actor.reason}`)),
    h("td", { class: "num" }, waiting === null ? "" : short(waiting)),
    h("td", { class: "num" }, actor.handled ? short(actor.handled) : ""),
    h("td", { class: "num" }, rates.of(key) ? rate(rates.of(key)) : ""),
    h("td", { class: "num" }, actor.restarts ? count(actor.restarts) : ""),
    h("td", { class: "cut", title: actor.last_error ?? "" }, actor.last_error ?? ""));
}

function drawMailbox([name, lanes]) {
  const of = (lane) => lanes[lane]?.messages ?? 0;
  const all = Object.values(lanes);
  const sum = (field) => all.reduce((total, lane) => total + lane[field], 0);
  const oldest = Math.max(0, ...all.map((lane) => lane.oldest_age_seconds));
  return h("tr", null, h("th", { scope: "row" }, name), ["high", "normal", "low", "quarantine"].map((lane) => h("td", { class: "num" }, short(of(lane)))), h("td", { class: "num" }, short(sum("in_hand"))), h("td", { class: "num" }, `${short(Math.ceil(sum("bytes") / 1024))} kB`), h("td", { class: "num" }, oldest ? duration(oldest * 1000) : ""));
}
