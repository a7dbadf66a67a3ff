/**
 * One email: its text (as text, never as HTML), its result and why, its way through the house, and the correction with
 * undo. Drawn into the pane beside the list by emails.js; relies on explain and timeline of the server.
 */

import { del, get, post, url } from "../api.js";
import { fill, h } from "../dom.js";
import { duration, exact, percent, when } from "../format.js";
import { attempt, button, chip, emptyState, facts, failed, label, loading, mark, meter, segmented, toast } from "../parts.js";
import { CLASSES, keyOf, stages } from "../shapes.js";
import { evidenceList, highlighted } from "./evidence.js";

export class EmailDetail {
  #id = null;
  #source = null;
  #generation = 0;
  #email = null;
  #timeline = null;
  #why = false;
  #timer = 0;

  constructor(pane, signal, onClose) {
    this.pane = pane;
    this.signal = signal;
    this.onClose = onClose;
    this.close();
  }

  close() {
    this.#id = null;
    this.#generation += 1;
    fill(this.pane, h("div", { class: "detail-none" }, emptyState("Nothing is open", "Choose an email, or press j.")));
  }

  async open(id, source) {
    if (id === this.#id && source === this.#source) return;
    this.#id = id;
    this.#source = source;
    this.#email = null;
    const generation = (this.#generation += 1);
    const wait = setTimeout(() => generation === this.#generation && fill(this.pane, this.#top(), loading(7)), 120);
    await this.#load(generation);
    clearTimeout(wait);
    if (generation === this.#generation) this.pane.scrollTop = 0;
  }

  /** The open email changed at the server. */
  changed(key) {
    if (!this.#email || keyOf(this.#email) !== key) return;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#load(this.#generation), 200);
  }

  async #load(generation) {
    const at = (...rest) => url(["emails", this.#id, ...rest], { source: this.#source });
    const quiet = (path) => get(path, { signal: this.signal }).catch(() => null);
    try {
      const [email, timeline, result] = await Promise.all([
        get(at(), { signal: this.signal }),
        quiet(at("timeline")),
        quiet(url(["results", this.#id], { source: this.#source, explain: true })),
      ]);
      if (generation !== this.#generation) return;
      this.#email = { ...email, result: result ?? email.result };
      this.#timeline = timeline;
      this.#draw();
    } catch (error) {
      if (this.#email) return; // it stays; the banner says that the server is away
      if (generation === this.#generation && !this.signal.aborted) fill(this.pane, this.#top(), failed(error, () => this.#load(generation)));
    }
  }

  #top(...more) {
    return h("div", { class: "detail-top" }, button("Back", () => this.onClose(), "plain small back", { "aria-label": "Back to the list" }), more);
  }

  #draw() {
    const email = this.#email;
    const held = this.pane.contains(document.activeElement) ? roleOf(document.activeElement) : null;
    this.text = h("div", { class: "text" });
    fill(this.pane,
      this.#top(h("span", { class: "mono quiet id", title: email.email_id }, email.email_id), button("Close", () => this.onClose(), "plain small close")),
      h("h2", { class: "detail-subject" }, email.subject || h("em", null, "no subject")),
      facts([["From", email.sender], ["To", email.recipient], ["Sent", email.timestamp && exact(email.timestamp)], ["Source", email.source === "main" ? null : email.source]]),
      email.result ? this.#result(email.result) : this.#noResult(email),
      this.text,
      this.#timeline && way(this.#timeline),
      email.result && h("section", { class: "block" }, h("h3", null, "Figures"), facts(figures(email.result))));
    this.#drawText();
    if (held) [...this.pane.querySelectorAll("button, a, pre")].find((node) => roleOf(node) === held)?.focus();
  }

  #result(result) {
    const name = result.classification;
    const who = { person: "A person said so", rule: "A rule said so", model: `${percent(result.confidence)} sure` }[result.decided_by];
    const choices = CLASSES.map((key) => [key, [mark(key), key]]);
    this.choices = segmented("Correct the class", choices, name, (value) => this.relabel(value));
    const why = result.explanation && button(this.#why ? "Hide why" : "Why?", () => this.toggleWhy(), "small", { "aria-pressed": String(this.#why), data: { why: "" } });
    return h("section", { class: `verdict c-${name}`, "aria-label": "Result" },
      h("div", { class: "verdict-top" }, h("strong", null, label(name)), h("span", null, who), result.below_threshold && chip(`below the threshold, else ${result.runner_up}`), why),
      result.probabilities && h("ul", { class: "odds" }, CLASSES.map((key) => h("li", null, label(key), meter(result.probabilities[key], key, percent(result.probabilities[key])), h("span", { class: "num" }, percent(result.probabilities[key]))))),
      this.#why && result.explanation && evidenceList(result),
      h("div", { class: "correct" }, h("span", { class: "quiet" }, result.decided_by === "person" ? "Corrected:" : "Not right?"), this.choices, result.decided_by === "person" && button("Undo", () => this.undo(), "small", { data: { unlabel: "" } })));
  }

  #noResult(email) {
    const words = {
      queued: "It waits for its turn.",
      retrying: `The last try failed: ${email.last_error}. The next one is at ${when(email.next_attempt_at)}.`,
      dead: `It failed for good: ${email.last_error ?? "see the dead letters"}.`,
      discarded: "A person discarded it.",
      erased: "It was erased; only its place in the books is left.",
    }[email.state];
    const trouble = email.state === "dead" || email.state === "retrying";
    return h("section", { class: "verdict none", "aria-label": "Result" }, h("div", { class: "verdict-top" }, chip(email.state, trouble ? "trouble" : ""), h("span", null, words), email.state === "dead" && h("a", { href: "#/dead" }, "Dead letters")));
  }

  #drawText() {
    const { body, result, truncated } = this.#email;
    const shown = this.#why && result?.explanation ? highlighted(body ?? "", result.explanation.evidence, "body") : body;
    fill(this.text, body ? h("pre", { class: "body", tabindex: "0", "aria-label": "Text of the email" }, shown) : h("p", { class: "quiet" }, body === null ? "The text is not kept any more, or not fetched yet." : "The email has no text."), truncated && h("p", { class: "quiet" }, "Cut: the email is longer than what is kept."));
  }

  toggleWhy() {
    if (!this.#email?.result?.explanation) return;
    this.#why = !this.#why;
    this.#draw();
  }

  async relabel(name) {
    const email = this.#email;
    const before = email?.result;
    if (!before || (before.classification === name && before.decided_by === "person")) return;
    const at = url(["emails", email.email_id, "label"], { source: email.source });
    const answer = await attempt(() => post(at, { classification: name }));
    if (answer === undefined) return;
    const undo = () => attempt(() => (before.decided_by === "person" ? post(at, { classification: before.classification }) : del(at)), "Undone").then(() => this.changed(keyOf(email)));
    toast(`Now ${name}`, { undo });
    this.changed(keyOf(email));
  }

  async undo() {
    const email = this.#email;
    if (email?.result?.decided_by !== "person") return;
    await attempt(() => del(url(["emails", email.email_id, "label"], { source: email.source })), "The correction is taken back");
    this.changed(keyOf(email));
  }
}

/** By what a control is known again when the pane is drawn anew. */
function roleOf(node) {
  return node.dataset.why === undefined ? (node.dataset.value ?? (node.textContent || node.getAttribute("aria-label"))) : "why";
}

function figures(result) {
  return [
    ["Classified", exact(result.processed_at)],
    ["Work", duration(result.processing_time_ms)],
    ["Waited", duration(result.queued_ms)],
    ["From notice to result", duration(result.total_ms)],
    ["Worker", h("span", { class: "mono" }, result.processor_id)],
    ["Model", h("span", { class: "mono" }, result.model_version)],
  ];
}

/** The stages as a waterfall: each from the one before it to its own time. */
function way(timeline) {
  const list = stages(timeline);
  const end = Math.max(1, ...list.map((stage) => stage.offset));
  return h("section", { class: "block" }, h("h3", null, "Its way"), h("ol", { class: "way" }, list.map((stage) => step(stage, end))));
}

function step(stage, end) {
  const took = stage.duration_ms ?? 0;
  const bar = h("i", { vars: { "--from": Math.max(0, stage.offset - took) / end, "--share": took / end } });
  const trouble = /fail|retry|dead|attempt|missing/i.test(stage.name);
  return h("li", { class: trouble ? "c-trouble" : "", title: `${exact(stage.at)}, ${duration(stage.offset)} after the first` },
    h("b", null, stage.name.replaceAll("_", " ")),
    h("span", { class: "way-bar", "aria-hidden": "true" }, bar),
    h("span", { class: "num" }, stage.duration_ms === null ? when(stage.at) : duration(took)),
    stage.detail && h("small", null, stage.detail));
}
