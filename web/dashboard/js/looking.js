/**
 * How pages read from the server: only the answer to the newest request counts, and what is shown is refreshed while
 * somebody looks. Used by the pages; relies on live.js to learn of gaps and on parts.js to show failures.
 */

import { fill, h } from "./dom.js";
import { when } from "./format.js";
import { live } from "./live.js";
import { failed } from "./parts.js";

/**
 * Requests of which a newer one supersedes the older: `ask(question, got, missed)` calls `got` or `missed` with the
 * outcome of `question(signal)`, and neither if another request was made meanwhile or the page was left.
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

/** Read page after page until `enough(items)`, as one list; `ask(cursor, items)` requests the next page. */
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
 * The content of `place`, kept up to date: read by `now()`, by `soon()` after bursts of events, after a gap in the
 * events and, with `every`, periodically, but not while a read is running. A failure fills `place` until the first
 * answer; later failures leave the content and add a line above it that says how old it is.
 */
export class Look {
  #busy = 0;
  #timer = 0;
  #at = null;

  /** `ask(signal)` returns a promise of the answer, `show(answer)` draws it; `every` is in milliseconds. */
  constructor({ place, ask, show, every = 0, signal }) {
    Object.assign(this, { place, ask, show, signal });
    this.newest = newestOnly(signal);
    this.old = h("p", { class: "old", role: "status", hidden: true });
    live.addEventListener("resync", () => this.now(), { signal });
    if (every) everyWhileShown(every, () => this.#busy || this.now(), signal);
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
  }

  /** Read now and discard any read under way. Resolves when the answer has come or is discarded. */
  async now() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#busy += 1;
    await this.newest(this.ask, (answer) => this.#got(answer), (error) => this.#missed(error));
    this.#busy -= 1;
  }

  /** Read within `ms`, once for all calls until then. */
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
    fill(this.old, `Last updated ${when(this.#at)}; could not refresh: ${error.message}`);
    this.old.hidden = false;
  }
}
