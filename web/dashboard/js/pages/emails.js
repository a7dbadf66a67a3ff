/**
 * Emails: the list of all known ones, filtered by what the address says, live at the top without moving what is being
 * read; beside it (on a phone: over it) one email, which email.js draws. Keyset pages, few elements.
 */

import { get, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count, exact, percent, sender, when } from "../format.js";
import { keys } from "../keys.js";
import { live } from "../live.js";
import { chip, emptyState, failed, loading, mark, meter } from "../parts.js";
import { change, current, path } from "../route.js";
import { CLASSES, emailItem, keyOf } from "../shapes.js";
import { VirtualList } from "../virtual.js";
import { filterBar } from "./filters.js";
import { EmailDetail } from "./email.js";

const PAGE = 50;
const KEPT = 10_000;
const ROW = 58;
const LOOK_EVERY = 1000;
const FILTERS = ["q", "classification", "state", "decided_by", "sender", "source_only", "min_confidence", "max_confidence", "since", "until"];

export function show(root, params, signal) {
  const page = new EmailsPage(root, signal);
  page.update(params);
  return (changed) => page.update(changed);
}

class EmailsPage {
  #filter = null;
  #cursor = null;
  #busy = false;
  #ended = false;
  #index = new Map();
  #fresh = [];
  #freshMany = false;
  #lookTimer = 0;
  #again = false;
  #generation = 0;

  constructor(root, signal) {
    this.signal = signal;
    this.status = h("p", { class: "rows-status quiet", role: "status" });
    this.pill = h("button", { class: "pill", type: "button", hidden: true, on: { click: () => this.#takeFresh() } });
    this.list = new VirtualList({ height: ROW, label: "Emails", draw: (item) => this.#row(item), more: () => this.#more() });
    this.body = h("div", { class: "rows-body" }, this.pill, this.list.element);
    this.bar = filterBar((values) => change({ ...values, id: "", source: "" }));
    this.pane = h("section", { class: "detail", "aria-label": "Email" });
    this.detail = new EmailDetail(this.pane, signal, () => this.#close());
    root.classList.add("fixed");
    fill(root, h("h1", { class: "hidden" }, "Emails"), h("div", { class: "emails" }, h("section", { class: "list", "aria-label": "List of emails" }, this.bar.element, this.status, this.body), this.pane));
    this.root = root.lastElementChild;
    this.#listen();
    this.#keys();
  }

  update(params) {
    const values = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ""]));
    const text = JSON.stringify(values);
    if (text !== this.#filter) {
      this.#filter = text;
      this.values = values;
      this.bar.show(values);
      this.#reload();
    }
    this.#open(params.get("id"), params.get("source"));
  }

  #query(extra) {
    const { source_only: source, ...values } = this.values;
    return url(["emails"], { ...values, source, limit: PAGE, ...extra });
  }

  async #reload() {
    const generation = (this.#generation += 1);
    this.#fresh = [];
    this.#freshMany = false;
    this.#showPill();
    this.#busy = true;
    this.#ended = false;
    this.#cursor = null;
    this.#index.clear();
    this.list.items = [];
    const waiting = setTimeout(() => fill(this.body, h("div", { class: "rows-pad" }, loading(8))), 150);
    try {
      const answer = await get(this.#query(), { signal: this.signal });
      if (generation !== this.#generation) return;
      this.#busy = false;
      this.#take(answer);
    } catch (error) {
      if (generation === this.#generation && !this.signal.aborted) fill(this.body, h("div", { class: "rows-pad" }, failed(error, () => this.#reload())));
    } finally {
      clearTimeout(waiting);
    }
  }

  #take(answer) {
    this.#cursor = answer.next_cursor;
    this.#ended = !answer.next_cursor;
    const items = answer.items.map(emailItem);
    fill(this.body, items.length ? [this.pill, this.list.element] : h("div", { class: "rows-pad" }, this.#nothing()));
    this.list.element.scrollTop = 0;
    this.#reindex(items);
    this.list.set(items);
    this.#mark();
    setText(this.status, answer.index_lag ? `${count(answer.index_lag)} new emails are not searchable yet` : "");
  }

  async #more() {
    if (this.#busy || this.#ended) return;
    if (this.list.items.length >= KEPT) return this.#stop();
    const generation = this.#generation;
    this.#busy = true;
    try {
      const answer = await get(this.#query({ cursor: this.#cursor }), { signal: this.signal });
      if (generation !== this.#generation) return;
      this.#cursor = answer.next_cursor;
      this.#ended = !answer.next_cursor;
      const items = answer.items.map(emailItem).filter((item) => !this.#index.has(keyOf(item)));
      items.forEach((item, at) => this.#index.set(keyOf(item), this.list.items.length + at));
      this.#busy = false;
      this.list.add(items);
    } catch (error) {
      if (this.signal.aborted || generation !== this.#generation) return;
      setText(this.status, `Could not load more: ${error.message}`);
      setTimeout(() => ((this.#busy = false), setText(this.status, "")), 3000);
    }
  }

  #stop() {
    this.#ended = true;
    setText(this.status, `The first ${count(KEPT)} are shown. Narrow the search or choose a date to see older ones.`);
  }

  #nothing() {
    if (Object.values(this.values).some(Boolean)) return emptyState("No email fits", "Nothing in the books fits this search and these filters.", h("a", { class: "button", href: path("emails") }, "Clear all"));
    return emptyState("No email yet", "As soon as FakeMail lists an email it stands here.", h("a", { class: "button", href: path("simulator") }, "Send one from the simulator"));
  }

  #reindex(items) {
    this.#index = new Map(items.map((item, index) => [keyOf(item), index]));
  }

  // -- live

  #listen() {
    live.addEventListener("event", ({ detail }) => this.#onEvent(detail), { signal: this.signal });
    live.addEventListener("resync", () => this.#lookSoon(0), { signal: this.signal });
    document.addEventListener("visibilitychange", () => this.#lookSoon(0), { signal: this.signal });
    this.signal.addEventListener("abort", () => clearTimeout(this.#lookTimer));
  }

  #onEvent({ event, data }) {
    if (event !== "new") this.#change(event, data);
    if (event === "new" || event === "process" || event === "label") this.#lookSoon(LOOK_EVERY);
  }

  /** A row that is loaded changes where it stands. */
  #change(event, data) {
    const index = this.#index.get(keyOf(data));
    if (index === undefined) return;
    const item = this.list.items[index];
    const state = { process: "processed", label: item.state, retry: "retrying", dead: "dead" }[event];
    const fields = event === "process" || event === "label" ? data : { attempts: data.attempts, last_error: data.error };
    this.list.items[index] = { ...item, ...fields, subject: data.subject ?? item.subject, sender: data.sender ?? item.sender, state };
    this.list.refresh(index);
    this.#mark();
    this.detail.changed(keyOf(data));
  }

  /** Ask the store what is new at the top: it alone knows what fits the filter, and in which order. Once a second at most. */
  #lookSoon(delay) {
    this.#again = Boolean(this.#lookTimer); // the look that is under way may have been answered before this event
    if (this.#again) return;
    this.#lookTimer = setTimeout(() => this.#look(), delay);
  }

  async #look() {
    const generation = this.#generation;
    this.#again = false;
    try {
      if (document.visibilityState !== "visible") return;
      const answer = await get(this.#query(), { signal: this.signal });
      if (generation === this.#generation) this.#compare(answer.items.map(emailItem));
    } catch {
      // The next event looks again; a lost connection has its own banner.
    } finally {
      this.#lookTimer = 0;
      if (this.#again && !this.signal.aborted) this.#lookSoon(LOOK_EVERY);
    }
  }

  #compare(items) {
    const known = items.findIndex((item) => this.#index.has(keyOf(item)));
    for (const item of items) {
      const index = this.#index.get(keyOf(item));
      if (index !== undefined && this.list.items[index].state !== item.state) {
        this.list.items[index] = item;
        this.list.refresh(index);
      }
    }
    this.#fresh = known < 0 ? items : items.slice(0, known);
    this.#freshMany = known < 0 && this.list.items.length > 0;
    if (!this.#fresh.length) return this.#showPill();
    if (!this.list.items.length || this.#mayMove()) this.#takeFresh();
    else this.#showPill();
  }

  /** The list may move only at its top, with nobody pointing at it, standing on it or reading an email from it. */
  #mayMove() {
    const { element } = this.list;
    return this.list.atTop && !element.matches(":hover") && !element.contains(document.activeElement) && !current().params.get("id");
  }

  #takeFresh() {
    const fresh = this.#fresh;
    const many = this.#freshMany;
    this.#fresh = [];
    this.#freshMany = false;
    this.#showPill();
    if (many || !this.list.items.length) return this.#reload();
    const items = [...fresh, ...this.list.items];
    this.#reindex(items);
    this.list.element.scrollTop = 0;
    this.list.set(items);
    this.#mark();
  }

  #showPill() {
    this.pill.hidden = this.#fresh.length === 0;
    if (!this.pill.hidden) setText(this.pill, this.#freshMany ? `${PAGE}+ new` : `${this.#fresh.length} new`);
  }

  // -- rows, and the one that is open

  #row(item) {
    const open = this.opened === keyOf(item);
    const href = path("emails", { ...Object.fromEntries(current().params), id: item.email_id, source: item.source });
    const at = item.at ?? item.processed_at;
    return h("a", { class: "row", href, "aria-current": open ? "true" : undefined, data: { id: item.email_id, state: item.state } },
      item.classification ? mark(item.classification) : h("i", { class: "mark none", "aria-hidden": "true" }),
      h("span", { class: "row-subject", dir: "auto" }, item.subject || h("em", null, item.subject === "" && item.state === "processed" ? "no subject" : item.email_id)),
      h("time", { datetime: at, title: exact(at) }, when(at)),
      h("span", { class: "row-sender", dir: "auto" }, sender(item.sender)),
      h("span", { class: "row-end" }, rowEnd(item)));
  }

  #open(id, source) {
    this.opened = id ? `${source ?? "main"}\u0000${id}` : null;
    this.root.classList.toggle("reading", Boolean(id));
    this.#mark();
    if (id) this.detail.open(id, source);
    else this.detail.close();
  }

  #mark() {
    for (const node of this.list.list.querySelectorAll('[aria-current="true"]')) node.removeAttribute("aria-current");
    const index = this.#index.get(this.opened);
    this.list.row(index)?.firstElementChild.setAttribute("aria-current", "true");
  }

  #close() {
    const index = this.#index.get(this.opened);
    change({ id: "", source: "" });
    this.list.row(index)?.firstElementChild.focus();
  }

  #step(by) {
    const items = this.list.items;
    if (!items.length) return false;
    const at = this.#index.get(this.opened) ?? -1;
    const index = Math.min(items.length - 1, Math.max(0, at + by));
    this.list.reveal(index);
    change({ id: items[index].email_id, source: items[index].source }, { replace: true });
    return true;
  }

  #keys() {
    const relabel = (name) => () => this.opened !== null && this.detail.relabel(name);
    keys.page([
      ["j", "Next email", () => this.#step(1)],
      ["k", "Email before", () => this.#step(-1)],
      ...CLASSES.map((name, index) => [String(index + 1), `Correct to ${name}`, relabel(name)]),
      ["u", "Undo the correction", () => this.opened !== null && this.detail.undo()],
      ["w", "Show why", () => this.opened !== null && this.detail.toggleWhy()],
      ["t", "The whole subject", () => this.detail.subject.toggle()],
      ["n", "Show what is new", () => !this.pill.hidden && this.#takeFresh()],
      ["Escape", "Back to the list", () => this.opened !== null && this.#close()],
    ]);
  }
}

function rowEnd(item) {
  if (item.state !== "processed") return chip(item.state, item.state === "dead" || item.state === "retrying" ? "trouble" : "");
  const words = `${item.classification}, ${percent(item.confidence)} sure`;
  return [item.decided_by !== "model" && chip(item.decided_by), h("span", { class: "row-class" }, item.classification), item.decided_by !== "person" && meter(item.confidence, item.classification, words)];
}
