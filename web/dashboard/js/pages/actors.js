/**
 * Actors: the supervision tree of every node, what waits in the mailboxes, and the controls: pause, resume, resize.
 * Read every two seconds while the page is open; rates are the difference of two answers.
 */

import { ask, attempt } from "../acting.js";
import { get, post } from "../api.js";
import { fill, h, setText, update } from "../dom.js";
import { ago, count, counted, duration, rate, short } from "../format.js";
import { Look } from "../looking.js";
import { button, chip, emptyState, heads, loading, table } from "../parts.js";
import { LANES } from "../shapes.js";
import { shared } from "../state.js";

const EVERY = 2000;
const TREE = ["Actor", "State", "Waiting", "Handled", "Per second", "Restarts", "Last error"];
const MEANING = {
  Waiting: "Emails in its mailbox, shared by all actors of its kind",
  Handled: "Messages since the process started",
  "Per second": "Messages per second, between the last two updates",
  Restarts: "By its supervisor, since the process started",
};
const MAILBOX = ["Mailbox", "High", "Normal", "Low", "Quarantine", "In progress", "Size", "Oldest"];
const PAUSE = "Notifications are still accepted, but nothing is listed, fetched or classified until you resume. "
  + "Nothing is lost, and the pause survives restarts.";

export function show(root, _params, signal) {
  const nodes = h("div", { class: "nodes" }, loading(8));
  const boxes = h("tbody", null);
  const said = h("span", { class: "quiet" });
  const controls = new Controls(() => look.now());
  const rates = new Rates();

  function draw(answer) {
    controls.show(answer);
    setText(said, summary(answer));
    rates.take(answer);
    if (nodes.querySelector(".skeleton, [role=alert]")) fill(nodes);
    update(nodes, answer.nodes.length ? answer.nodes.map((node) => drawNode(node, answer, rates)) : noNode());
    update(boxes, Object.entries(answer.mailboxes).map(drawMailbox));
  }

  fill(root, h("div", { class: "head" }, h("h1", null, "Actors"), said, controls.element), nodes, mailboxes(boxes));
  const question = (own) => get("/actors", { signal: own });
  const look = new Look({ place: nodes, ask: question, show: draw, every: EVERY, signal });
  look.now();
}

/** Pause, resume and resize; a number being typed is not overwritten. */
class Controls {
  #paused = false;
  #typed = false;

  constructor(changed) {
    this.changed = changed;
    const props = { type: "number", min: 1, max: 64, required: true, class: "pick size" };
    this.size = h("input", { ...props, "aria-label": "Workers in each process" });
    this.pause = button("Pause", () => this.#toggle());
    const submit = (event) => (event.preventDefault(), this.#resize(Number(this.size.value)));
    // A typed number stays until it is sent or the field is emptied.
    this.size.addEventListener("input", () => (this.#typed = this.size.value !== ""));
    const form = h("form", { class: "actions", on: { submit } },
      h("label", { class: "check" }, "Workers in each process", this.size),
      h("button", { class: "button" }, "Resize"));
    this.element = h("div", { class: "actions" }, form, this.pause);
  }

  show(answer) {
    this.#paused = answer.paused;
    shared.setPaused(answer.paused);
    setText(this.pause, answer.paused ? "Resume" : "Pause");
    this.pause.classList.toggle("solid", answer.paused);
    if (!this.#typed) this.size.value = answer.workers ?? this.size.value ?? "";
    if (!this.size.value) this.size.value = poolSize(answer) || 3;
  }

  async #toggle() {
    const paused = this.#paused;
    if (!paused && !(await ask("Pause all nodes?", PAUSE, "Pause"))) return;
    const done = paused ? "Resumed" : "Paused on all nodes";
    const answer = await attempt(() => post(paused ? "/actors/resume" : "/actors/pause"), done);
    if (answer) shared.setPaused(answer.paused);
    this.changed();
  }

  async #resize(workers) {
    this.#typed = false;
    await attempt(() => post("/actors/resize", { workers }), `Each process now runs ${counted(workers, "worker")}`);
    this.changed();
  }
}

function noNode() {
  const words = "No process has sent a heartbeat in the last few seconds. Mail waits until one does; none is lost.";
  return h("section", { class: "sheet" }, emptyState("No nodes are running", words));
}

function mailboxes(rows) {
  const words = "emails waiting in Redis, by priority; the rest wait in the books";
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, "Mailboxes"), h("span", { class: "quiet" }, words)),
    table("Mailboxes", null, heads(MAILBOX, MAILBOX.slice(1), { meaning: MEANING }), rows));
}

/** Remembers how much each actor had handled at the previous answer. */
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
  const words = [counted(answer.nodes.length, "node"), counted(processes.length, "process", "processes")];
  return [...words, counted(actors, "actor")].join(", ");
}

function drawNode(node, answer, rates) {
  const processes = node.processes.map((process) => drawProcess(node, process, answer, rates));
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, node.node), answer.paused && chip("paused", "solid")),
    table(`Actors of ${node.node}`, { class: "tree" },
      heads(TREE, TREE.slice(2, 6), { meaning: MEANING }),
      processes));
}

function drawProcess(node, process, answer, rates) {
  const keyOf = (actor) => `${node.node}/${process.process}/${actor.name}`;
  const name = process.process.replace(`${node.node}/`, "");
  const title = h("th", { scope: "rowgroup", colspan: TREE.length },
    h("b", null, name), h("span", { class: "quiet" }, processWords(process, name)));
  return h("tbody", null,
    h("tr", { class: "process" }, title),
    ordered(process.actors).map(({ actor, depth }) => drawActor(actor, depth, rates.of(keyOf(actor)), answer)));
}

function processWords(process, name) {
  const words = [
    process.role !== name && process.role,
    process.pid && `pid ${process.pid}`,
    process.started_at && `up ${ago(process.started_at).replace(" ago", "")}`,
    process.workers && `${process.busy ?? 0} of ${process.workers} workers busy`,
  ];
  return words.filter(Boolean).join(", ");
}

/** Parents before their children, each with its depth. */
function ordered(actors) {
  const names = new Set(actors.map((actor) => actor.name));
  const children = new Map();
  for (const actor of actors) {
    const parent = names.has(actor.parent) && actor.parent !== actor.name ? actor.parent : "";
    children.set(parent, [...(children.get(parent) ?? []), actor]);
  }
  const walk = (parent, depth) => {
    return (children.get(parent) ?? []).flatMap((actor) => [{ actor, depth }, ...walk(actor.name, depth + 1)]);
  };
  return walk("", 0);
}

function drawActor(actor, depth, perSecond, answer) {
  const state = actor.busy_seconds === null ? actor.state : "busy";
  const trouble = actor.state === "failed" || actor.state === "waiting";
  const box = actor.mailbox && answer.mailboxes[actor.mailbox];
  const number = (text) => h("td", { class: "num" }, text);
  return h("tr", { class: trouble ? "trouble" : "" },
    h("th", { scope: "row", vars: { "--depth": depth } }, h("span", { class: "tree-name" }, actor.name)),
    h("td", null,
      h("span", { class: `dot ${state}` }, state), actor.reason && h("small", { class: "quiet" }, ` ${actor.reason}`)),
    number(box ? short(sumOf(box, "messages")) : ""),
    number(actor.handled ? short(actor.handled) : ""),
    number(perSecond ? rate(perSecond) : ""),
    number(actor.restarts ? count(actor.restarts) : ""),
    h("td", { class: "cut", title: actor.last_error ?? "" }, actor.last_error ?? ""));
}

const sumOf = (lanes, field) => Object.values(lanes).reduce((total, lane) => total + lane[field], 0);

function drawMailbox([name, lanes]) {
  const oldest = Math.max(0, ...Object.values(lanes).map((lane) => lane.oldest_age_seconds));
  const cells = [
    ...[...LANES, "quarantine"].map((lane) => short(lanes[lane]?.messages ?? 0)),
    short(sumOf(lanes, "in_hand")),
    `${short(Math.ceil(sumOf(lanes, "bytes") / 1024))} kB`,
    oldest ? duration(oldest * 1000) : "none waiting",
  ];
  return h("tr", null, h("th", { scope: "row" }, name), cells.map((text) => h("td", { class: "num" }, text)));
}
