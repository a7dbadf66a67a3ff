/**
 * The list of emails that match a filter: more pages load as one scrolls; live at the top without moving what is being
 * read, with new emails behind a pill where the list must not move. Used by emails.js, which draws the rows.
 */

import { get, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count, counted } from "../format.js";
import { live } from "../live.js";
import { newestOnly, pagesUntil } from "../looking.js";
import { emptyState, failed, loading } from "../parts.js";
import { path } from "../route.js";
import { emailItem, keyOf } from "../shapes.js";
import { VirtualList } from "../virtual.js";

const PAGE = 50;
const MOST = 100;
const KEPT = 10_000;
const KEPT_AT_TOP = 500;
const TOLD = ["state", "classification", "decided_by", "confidence"];
const ROW = 3.625; // rem, as in pages.css: it grows with the reader's text size
const LOOK_EVERY = 1_000;
const BARS_AFTER = 150;
const AGAIN_AFTER = 3_000;
const NARROW = `The first ${count(KEPT)} are shown. Narrow the search or choose a date to see older ones.`;

export class EmailList {
  #values = {};
  #cursor = null;
  #busy = false;
  #ended = false;
  #index = new Map();
  #fresh = [];
  #freshMany = false;
  #lookTimer = 0;
  #told = new Set();
  #again = false;

  /**
   * `draw(item)` makes a row; `drawn()` is called after rows were redrawn, `changed(key)` when an email has changed;
   * `reading()` returns the key of the open email, beside which nothing may move, or null.
   */
  constructor(signal, { draw, drawn, changed, reading }) {
    Object.assign(this, { signal, drawn, changed, reading });
    this.pages = newestOnly(signal);
    this.looks = newestOnly(signal);
    this.status = h("p", { class: "rows-status quiet", role: "status" });
    const take = () => this.takeFresh();
    this.pill = h("button", { class: "pill", type: "button", hidden: true, on: { click: take } });
    this.list = new VirtualList({ height: inPixels(ROW), label: "Emails", draw, more: () => this.#more() });
    this.body = h("div", { class: "rows-body" }, this.pill, this.list.element);
    this.#listen();
  }

  get items() {
    return this.list.items;
  }

  indexOf(key) {
    return this.#index.get(key);
  }

  /** The link of a row, if it is drawn. */
  link(key) {
    return this.list.row(this.#index.get(key))?.firstElementChild;
  }

  /** Show what matches these values, and scroll to the open email if it is among the first. */
  async filter(values) {
    this.#values = values;
    await this.#reload();
    const open = this.#index.get(this.reading());
    if (open !== undefined) this.list.reveal(open);
  }

  // -- pages

  #query(extra) {
    const { source_only: source, ...values } = this.#values;
    return url(["emails"], { ...values, source, limit: PAGE, ...extra });
  }

  async #reload() {
    this.looks(() => Promise.resolve()); // discard the answer to a look for the old filter
    this.#setFresh([]);
    this.#busy = true;
    this.#ended = false;
    this.#cursor = null;
    this.#index.clear();
    this.list.items = [];
    const bars = setTimeout(() => this.#instead(loading(8)), BARS_AFTER);
    const ask = (signal) => get(this.#query(), { signal }).finally(() => clearTimeout(bars));
    const missed = (error) => this.#instead(failed(error, () => this.#reload()));
    await this.pages(ask, (answer) => this.#first(answer), missed);
  }

  #instead(...content) {
    fill(this.body, h("div", { class: "rows-pad" }, content));
  }

  #first(answer) {
    this.#busy = false;
    this.#turn(answer);
    const items = answer.items.map(emailItem);
    if (items.length) fill(this.body, this.pill, this.list.element);
    else this.#instead(this.#nothing());
    this.#show(items);
    const lag = answer.index_lag;
    setText(this.status, lag ? `${counted(lag, "new email is", "new emails are")} not searchable yet` : "");
  }

  #turn(answer) {
    this.#cursor = answer.next_cursor;
    this.#ended = !answer.next_cursor;
  }

  #show(items) {
    this.#index = new Map(items.map((item, index) => [keyOf(item), index]));
    this.list.element.scrollTop = 0;
    this.list.set(items);
    this.drawn();
  }

  #more() {
    if (this.#busy || this.#ended) return;
    if (this.items.length >= KEPT) return this.#stop();
    this.#busy = true;
    const ask = (signal) => get(this.#query({ cursor: this.#cursor }), { signal });
    return this.pages(ask, (answer) => this.#next(answer), (error) => this.#noMore(error));
  }

  #next(answer) {
    this.#turn(answer);
    const items = answer.items.map(emailItem).filter((item) => !this.#index.has(keyOf(item)));
    items.forEach((item, at) => this.#index.set(keyOf(item), this.items.length + at));
    this.#busy = false;
    this.list.add(items);
  }

  #noMore(error) {
    setText(this.status, `Could not load more: ${error.message}`);
    setTimeout(() => this.#retry(), AGAIN_AFTER);
  }

  #retry() {
    this.#busy = false;
    setText(this.status, "");
  }

  #stop() {
    this.#ended = true;
    setText(this.status, NARROW);
  }

  #nothing() {
    if (Object.values(this.#values).some(Boolean)) {
      const clear = h("a", { class: "button", href: path("emails") }, "Clear all");
      return emptyState("No matching emails", "No email matches this search and these filters.", clear);
    }
    const send = h("a", { class: "button", href: path("simulator") }, "Send one from the simulator");
    return emptyState("No emails yet", "Emails appear here as soon as FakeMail lists them.", send);
  }

  // -- live

  #listen() {
    const { signal } = this;
    live.addEventListener("event", ({ detail }) => this.#onEvent(detail), { signal });
    live.addEventListener("resync", () => this.#readAgain(), { signal });
    document.addEventListener("visibilitychange", () => this.#lookSoon(0), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#lookTimer));
  }

  #onEvent({ event, data }) {
    if (event !== "new") this.#change(event, data);
    this.#lookSoon(LOOK_EVERY); // whatever happened, an email may match the filter now
  }

  /** Events were missed that may concern any row: read again what is loaded, without moving what is being read. */
  #readAgain() {
    if (!this.items.length || (this.#mayMove() && this.items.length > PAGE)) return this.#reload();
    this.#lookSoon(0);
    this.#busy = true;
    this.#told.clear();
    const missed = (error) => this.#noMore(error);
    return this.pages((signal) => this.#loaded(signal), (answer) => this.#inPlace(answer), missed);
  }

  /** As many as are loaded, newest first. */
  #loaded(signal) {
    const enough = (items) => items.length >= this.items.length;
    return pagesUntil(enough, (cursor) => get(this.#query({ cursor, limit: MOST }), { signal }));
  }

  /** Replace what was loaded; new emails stay behind the pill, and the first row in view stays in place. */
  #inPlace(answer) {
    this.#busy = false;
    this.#turn(answer);
    const read = answer.items.map(emailItem);
    const known = read.findIndex((item) => this.#index.has(keyOf(item)));
    if (known < 0) return read.length ? undefined : this.#reload();
    const items = read.slice(known).map((item) => this.#newer(item));
    this.#index = new Map(items.map((item, index) => [keyOf(item), index]));
    this.list.exchange(items, keyOf);
    this.drawn();
  }

  /** The item as an event updated it meanwhile, else as it was read. */
  #newer(item) {
    const key = keyOf(item);
    return this.#told.has(key) && this.#index.has(key) ? this.items[this.#index.get(key)] : item;
  }

  /** Update a loaded row in place. */
  #change(event, data) {
    const index = this.#index.get(keyOf(data));
    if (index === undefined) return;
    this.items[index] = after(event, data, this.items[index]);
    this.#told.add(keyOf(data));
    this.list.refresh(index);
    this.drawn();
    this.changed(keyOf(data));
  }

  /** Ask the store what is new at the top, at most once a second: only it knows what matches, and in which order. */
  #lookSoon(delay) {
    this.#again = Boolean(this.#lookTimer); // the look under way may have been answered before this event
    if (this.#again) return;
    this.#lookTimer = setTimeout(() => this.#look(), delay);
  }

  async #look() {
    this.#again = false;
    // If it fails, the next event triggers another look; a lost connection has its own banner.
    if (document.visibilityState === "visible") {
      const ask = (signal) => get(this.#query(), { signal });
      await this.looks(ask, (answer) => this.#compare(answer.items.map(emailItem)));
    }
    this.#lookTimer = 0;
    if (this.#again && !this.signal.aborted) this.#lookSoon(LOOK_EVERY);
  }

  #compare(items) {
    for (const item of items) this.#correct(item);
    const known = items.findIndex((item) => this.#index.has(keyOf(item)));
    this.#setFresh(known < 0 ? items : items.slice(0, known), known < 0 && this.items.length > 0);
    if (this.#fresh.length && (!this.items.length || this.#mayMove())) this.takeFresh();
  }

  /** Update a loaded row from the store if no event has reported the change. */
  #correct(item) {
    const index = this.#index.get(keyOf(item));
    if (index === undefined || TOLD.every((name) => this.items[index][name] === item[name])) return;
    this.items[index] = item;
    this.list.refresh(index);
    this.drawn();
    this.changed(keyOf(item));
  }

  /** True only at the top, with no pointer or focus on the list and no email from it open. */
  #mayMove() {
    const { element } = this.list;
    const looked = element.matches(":hover") || element.contains(document.activeElement);
    return this.list.atTop && !looked && this.reading() === null;
  }

  /** Show the new emails; false if there are none. */
  takeFresh() {
    const fresh = this.#fresh;
    const many = this.#freshMany;
    if (!fresh.length) return false;
    this.#setFresh([]);
    // Reload now and then if the page stays open for days; older rows load again when needed.
    if (many || !this.items.length || (this.list.atTop && this.items.length >= KEPT_AT_TOP)) this.#reload();
    else this.#show([...fresh, ...this.items]);
    return true;
  }

  #setFresh(items, many = false) {
    this.#fresh = items;
    this.#freshMany = many;
    this.pill.hidden = items.length === 0;
    if (items.length) setText(this.pill, many ? `${PAGE}+ new` : `${items.length} new`);
  }
}

const inPixels = (rem) => rem * parseFloat(getComputedStyle(document.documentElement).fontSize);

/** The item after an event that concerns it. */
function after(event, data, item) {
  const state = { process: "processed", label: item.state, retry: "retrying", dead: "dead" }[event];
  const told = event === "process" || event === "label";
  const fields = told ? data : { attempts: data.attempts, last_error: data.error };
  const { subject = item.subject, sender = item.sender } = data;
  return { ...item, ...fields, subject: subject ?? item.subject, sender: sender ?? item.sender, state };
}
