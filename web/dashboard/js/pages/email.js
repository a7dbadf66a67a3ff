/**
 * One email: its text (as text, never as HTML), its result and why, its timeline, and the correction with undo. Drawn
 * by emails.js into the pane beside the list; relies on the server's explanations and timelines.
 */

import { attempt, quietly, toast } from "../acting.js";
import { del, get, labelPath, post, url } from "../api.js";
import { fill, h } from "../dom.js";
import { duration, exact } from "../format.js";
import { live } from "../live.js";
import { newestOnly } from "../looking.js";
import { button, emailText, emptyState, facts, failed, foreign, loading, subjectOf } from "../parts.js";
import { keyOf } from "../shapes.js";
import { highlighted } from "./evidence.js";
import { Subject } from "./subject.js";
import { noVerdict, verdict } from "./verdict.js";
import { way } from "./way.js";

const BARS_AFTER = 120;
const CHANGED_AFTER = 200;

export class EmailDetail {
  #id = null;
  #source = null;
  #email = null;
  #timeline = null;
  #why = false;
  #bars = 0;
  #again = 0;
  #withdraw = () => {};

  constructor(pane, signal, onClose) {
    this.pane = pane;
    this.onClose = onClose;
    this.newest = newestOnly(signal);
    this.subject = new Subject();
    this.acts = {
      relabel: (name) => this.relabel(name),
      undo: () => this.undo(),
      toggleWhy: () => this.toggleWhy(),
    };
    live.addEventListener("resync", () => this.#email && this.#load(), { signal });
    this.close();
  }

  close() {
    this.#forget(null, null);
    this.newest(() => Promise.resolve());
    const nothing = emptyState("No email selected", "Select one, or press j.");
    fill(this.pane, h("div", { class: "detail-none" }, nothing));
  }

  open(id, source) {
    if (id === this.#id && source === this.#source) return;
    this.#forget(id, source);
    this.#bars = setTimeout(() => fill(this.pane, this.#top(), loading(7)), BARS_AFTER);
    this.#load();
  }

  #forget(id, source) {
    this.#id = id;
    this.#source = source;
    this.#email = null;
    clearTimeout(this.#bars);
    clearTimeout(this.#again);
  }

  /** The email with this key changed at the server: reload it soon if it is the open one. */
  changed(key) {
    if (!this.#email || keyOf(this.#email) !== key) return;
    clearTimeout(this.#again);
    this.#again = setTimeout(() => this.#load(), CHANGED_AFTER);
  }

  #load() {
    const at = (...rest) => url(["emails", this.#id, ...rest], { source: this.#source });
    const result = url(["results", this.#id], { source: this.#source, explain: true });
    const ask = (signal) => Promise.all([
      get(at(), { signal }),
      quietly(() => get(at("timeline"), { signal })),
      quietly(() => get(result, { signal })),
    ]);
    return this.newest(ask, (answers) => this.#got(...answers), (error) => this.#missed(error));
  }

  #got(email, timeline, result) {
    const fresh = this.#email === null;
    clearTimeout(this.#bars);
    this.#email = { ...email, result: result ?? email.result };
    this.#timeline = timeline;
    this.#draw({ fresh });
    if (fresh) this.pane.scrollTop = 0;
  }

  #missed(error) {
    clearTimeout(this.#bars);
    if (this.#email) return; // it stays; the banner says that the server is away
    fill(this.pane, this.#top(), failed(error, () => this.#load()));
  }

  #top(...more) {
    const back = button("Back", () => this.onClose(), "plain small back", { "aria-label": "Back to the list" });
    return h("div", { class: "detail-top" }, back, more);
  }

  #draw({ fresh = false } = {}) {
    const email = this.#email;
    const held = this.pane.contains(document.activeElement) ? roleOf(document.activeElement) : null;
    const close = button("Close", () => this.onClose(), "plain small close");
    fill(this.pane,
      this.#top(h("span", { class: "mono quiet id", title: email.email_id }, email.email_id), close),
      this.subject.element,
      h("div", { class: "letterhead" }, facts(letterhead(email))),
      email.result ? verdict(email.result, this.#why, this.acts) : noVerdict(email),
      this.#text(),
      this.#timeline && way(this.#timeline),
      email.result && h("section", { class: "block" }, h("h3", null, "Details"), facts(figures(email.result))));
    this.subject.show(this.#marked(subjectOf(email), "subject"), { fresh });
    if (held) [...this.pane.querySelectorAll("button, a, pre")].find((node) => roleOf(node) === held)?.focus();
  }

  #text() {
    const { body, truncated } = this.#email;
    if (!body) return h("div", { class: "text" }, h("p", { class: "quiet" }, noText(body)));
    return h("div", { class: "text" },
      emailText(this.#marked(body, "body")),
      truncated && h("p", { class: "quiet" }, "Truncated: only the beginning of this email is stored."));
  }

  /** The text, with the evidence marked in it while the explanation is shown. */
  #marked(words, field) {
    const explanation = this.#why && this.#email.result?.explanation;
    return explanation && typeof words === "string" ? highlighted(words, explanation.evidence, field) : words;
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
    const said = await attempt(() => post(labelPath(email), { classification: name }));
    if (said === undefined) return;
    this.#withdraw();
    this.#withdraw = toast(`Marked as ${name}`, { undo: () => this.#takeBack(email, before) });
    this.changed(keyOf(email));
  }

  /** Restore the label from before. */
  async #takeBack(email, before) {
    const again = { classification: before.classification };
    const byPerson = before.decided_by === "person";
    await attempt(() => (byPerson ? post(labelPath(email), again) : del(labelPath(email))), "Undone");
    this.changed(keyOf(email));
  }

  async undo() {
    const email = this.#email;
    if (email?.result?.decided_by !== "person") return;
    this.#withdraw();
    await attempt(() => del(labelPath(email)), "Correction undone");
    this.changed(keyOf(email));
  }
}

/** How to find a control again after the pane was redrawn. */
function roleOf(node) {
  if (node.dataset.why !== undefined) return "why";
  return node.dataset.value ?? (node.textContent || node.getAttribute("aria-label"));
}

function noText(body) {
  return body === null ? "The text is no longer stored, or not fetched yet." : "This email has no text.";
}

function letterhead(email) {
  return [
    ["From", foreign(email.sender)],
    ["To", foreign(email.recipient)],
    ["Sent", email.timestamp && exact(email.timestamp)],
    ["Source", email.source === "main" ? null : email.source],
  ];
}

function figures(result) {
  return [
    ["Classified", exact(result.processed_at)],
    ["Processing", duration(result.processing_time_ms)],
    ["Waiting", duration(result.queued_ms)],
    ["Notification to result", duration(result.total_ms)],
    ["Worker", h("span", { class: "mono" }, result.processor_id)],
    ["Model", h("span", { class: "mono" }, result.model_version)],
  ];
}
