/**
 * How pages ask the server: only the newest question's answer counts, and what is shown is asked for again while
 * somebody looks. Used by the pages; relies on live.js for the gaps and on parts.js for what stands where it fails.
 */

import { fill, h } from "./dom.js";
import { when } from "./format.js";
import { live } from "./live.js";
import { failed } from "./parts.js";

/**
 * Questions of which a newer one makes the older one void: `ask(question, got, missed)` calls one of the two with what
 * came of `question(signal)`, and neither when another was asked meanwhile or the page was left.
 */
export function newestOnly(pageSignal) {
  let last = new AbortController();
  return async function ask(question, got = () => {}, missed = () => {}) {
    last.abort();
    last = new AbortController();
    const signal = AbortSignal.any([pageSignal, last.signal]);
    let answer;
    try {
      answer = await question(signal);
    } catch (error) {
      if (!signal.aborted) missed(error);
      return;
    }
    if (!signal.aborted) got(answer);
  };
}

/** Read page after page until `enough(items)`, as if they were one; `ask(cursor, items)` asks for the next. */
export async function pagesUntil(enough, ask) {
  const items = [];
  let cursor;
  do {
    const answer = await ask(cursor, items);
    items.push(...answer.items);
    cursor = answer.next_cursor;
  } while (cursor && !enough(items));
  return { items, next_cursor: cursor };
}

/** Run `action` every `ms` while the tab is shown and until the page is left; also when the tab comes back. */
export function everyWhileShown(ms, action, signal) {
  const shown = () => document.visibilityState === "visible";
  const timer = setInterval(() => shown() && action(), ms);
  document.addEventListener("visibilitychange", () => shown() && action(), { signal });
  signal.addEventListener("abort", () => clearInterval(timer));
}

/**
 * What stands in `place` and how it is kept true: asked for by `now()`, by `soon()` after events that come in numbers,
 * after a gap, and (with `every`) again and again, never two at once. A failure stands in `place` until the first
 * answer; later ones leave what is there and say in a line above it that it is old.
 */
export class Look {
  #busy = 0;
  #timer = 0;
  #at = null;

  /** `ask(signal)` gives a promise of the answer, `show(answer)` draws it; `every` in milliseconds. */
  constructor({ place, ask, show, every = 0, signal }) {
    Object.assign(this, { place, ask, show, signal });
    this.newest = newestOnly(signal);
    this.old = h("p", { class: "old", role: "status", hidden: true });
    live.addEventListener("resync", () => this.now(), { signal });
    if (every) everyWhileShown(every, () => this.#busy || this.now(), signal);
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  /** Ask now; what is under way is void. Resolves when the answer is there, or void. */
  async now() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#busy += 1;
    await this.newest(this.ask, (answer) => this.#got(answer), (error) => this.#missed(error));
    this.#busy -= 1;
  }

  /** Ask within `ms`, once for all who want it till then. */
  soon(ms = 1000) {
    this.#timer ||= setTimeout(() => this.now(), ms);
  }

  #got(answer) {
    this.#at = new Date();
    this.old.hidden = true;
    this.show(answer);
  }

  #missed(error) {
    if (this.#at === null) return fill(this.place, failed(error, () => this.now()));
    if (error.status === 401 || (error.status === 0 && live.state !== "live")) return; // a banner says so
    if (!this.old.isConnected) this.place.before(this.old);
    fill(this.old, `As of ${when(this.#at)}; it cannot be read anew: ${error.message}`);
    this.old.hidden = false;
  }
}
