/**
 * One dead letter: why it failed, each attempt with its error, the email's text; it can be replayed or discarded.
 * Used by dead.js, which is notified when the letter is gone.
 */

import { ask, attempt, once } from "../acting.js";
import { del, get, post, url } from "../api.js";
import { fill, h } from "../dom.js";
import { counted, exact, when } from "../format.js";
import { newestOnly } from "../looking.js";
import { button, chip, emailText, facts, failed, foreign, idOf, loading } from "../parts.js";
import { change, path } from "../route.js";
import { REASONS, isTooLong } from "../shapes.js";

const TOO_LONG = "Its id is too long to store, so it can never be fetched. You can discard it, but not replay it.";

export class DeadLetter {
  #open = null;

  /** `gone()` is called after a replay or a discard. */
  constructor(signal, gone) {
    this.gone = gone;
    this.newest = newestOnly(signal);
    this.pane = h("section", { class: "sheet letter", "aria-label": "Dead letter" });
    this.replay = once(() => this.#replay());
  }

  /** Show the letter with that id, or none. */
  open(id) {
    this.#open = id;
    if (id === null) {
      this.newest(() => Promise.resolve());
      return fill(this.pane, h("p", { class: "quiet" }, "Select a letter to see its attempts."));
    }
    fill(this.pane, loading(5));
    const missed = (error) => fill(this.pane, failed(error, () => this.open(id)));
    return this.newest((signal) => get(url(["dead-letters", id]), { signal }), (letter) => this.#draw(letter), missed);
  }

  #draw(letter) {
    const close = button("Close", () => change({ id: "" }), "plain small");
    const dead = letter.state === "dead";
    const lost = dead && isTooLong(letter);
    const replay = button("Replay", () => this.replay(), "solid");
    const discard = button("Discard", () => this.#discard(letter), "danger");
    fill(this.pane,
      h("header", null, h("h2", null, REASONS[letter.reason] ?? letter.reason), !dead && chip(letter.state),
        h("span", { class: "end" }, close)),
      h("p", { class: "error mono" }, letter.error),
      facts(factsOf(letter)),
      h("h3", null, triesWords(letter)),
      letter.tries.length > 0 && h("ol", { class: "tries" }, letter.tries.map(tryItem)),
      letter.body && emailText(letter.body),
      lost && h("p", { class: "quiet" }, TOO_LONG),
      dead && h("div", { class: "actions" }, !lost && replay, discard));
  }

  /** Replay the letter: its email is fetched and classified again. */
  async #replay() {
    const id = this.#open;
    if (id === null) return false;
    const answer = await attempt(() => post(url(["dead-letters", id, "replay"])), "Replayed");
    if (answer !== undefined) this.gone();
    return true;
  }

  async #discard(letter) {
    const words = "It stays in the books as discarded and is never processed. This cannot be undone.";
    if (!(await ask("Discard this email?", words, "Discard", "danger"))) return;
    if ((await attempt(() => del(url(["dead-letters", letter.id])), "Discarded")) !== undefined) this.gone();
  }
}

function factsOf(letter) {
  const email = path("emails", { id: letter.email_id, source: letter.source });
  return [
    ["Email", h("a", { class: "mono long", href: email, title: letter.email_id }, idOf(letter))],
    ["Subject", foreign(letter.subject)],
    ["From", foreign(letter.sender)],
    ["First seen", exact(letter.first_seen)],
    ["Died", exact(letter.dead_at)],
  ];
}

function tryItem(tried) {
  return h("li", null,
    h("b", null, `${tried.attempt}`),
    h("time", { title: exact(tried.at) }, when(tried.at)),
    h("span", null, tried.error),
    tried.processor_id && h("small", { class: "quiet mono" }, tried.processor_id));
}

/** The title of the list of attempts, and why it may be empty. */
function triesWords({ tries, attempts, reason }) {
  if (tries.length) return counted(tries.length, "attempt");
  if (reason === "gone") return "Requested until it was clearly gone";
  return attempts > 1 ? `${counted(attempts, "attempt")}, no longer stored` : "No attempts: it was rejected at once";
}
