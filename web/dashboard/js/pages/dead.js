/**
 * Dead letters: what failed for good, grouped by cause; replay one, a group or all (counted first, then confirmed).
 * One letter is shown by dead_letter.js. The address holds the filter and the open letter.
 */

import { ask, attempt, once, toast } from "../acting.js";
import { get, post, url } from "../api.js";
import { fill, h, setText, update, updateRows } from "../dom.js";
import { ago, count, counted, exact, when } from "../format.js";
import { keys, stepped } from "../keys.js";
import { live } from "../live.js";
import { Look, pagesUntil } from "../looking.js";
import { button, emptyState, heads, idOf, loading, table } from "../parts.js";
import { change, path } from "../route.js";
import { REASONS, keyOf } from "../shapes.js";
import { DeadLetter } from "./dead_letter.js";

const PAGE = 50;
const MOST = 100;
const COLUMNS = ["Email", "Cause", "Last error", "Tries", "Died"];
const MEANING = { Tries: "How often a worker received it; postponements during an outage do not count" };
const LEAD =
  "Emails that failed for good. Each keeps its error and history; a replay processes it again from the start.";

export function show(root, params, signal) {
  const page = new DeadPage(root, signal);
  page.update(params);
  return (changed) => page.update(changed);
}

const causeOf = (reason) => REASONS[reason] ?? reason;

class DeadPage {
  #items = [];
  #wanted = PAGE;
  #cursor = null;
  #reason = null;
  #open = null;

  constructor(root, signal) {
    this.signal = signal;
    this.groups = h("div", { class: "groups" }, loading(3));
    this.rows = h("tbody", null);
    this.more = h("p", { class: "actions more", hidden: true }, button("Show more", once(() => this.#loadMore())));
    this.list = h("section", { class: "sheet", "aria-label": "Letters" });
    this.title = h("h2", null);
    this.all = h("a", { href: path("dead") }, "Show all");
    this.replay = button("Replay all", once(() => this.#replayMany()), "small");
    this.letter = new DeadLetter(signal, () => (change({ id: "" }), this.look.now()));
    this.body = h("div", { class: "split", hidden: true }, this.list, this.letter.pane);
    const head = h("div", { class: "head" }, h("h1", null, "Dead letters"), h("p", { class: "lead" }, LEAD));
    fill(root, head, this.groups, this.body);
    const show = (answers) => this.#draw(...answers);
    this.look = new Look({ place: this.groups, ask: (own) => this.#ask(own), show, signal });
    live.addEventListener("event", ({ detail }) => this.#concerns(detail) && this.look.soon(), { signal });
    this.#keys();
  }

  #keys() {
    keys.page([
      ["j", "Next letter", () => this.#step(1)],
      ["k", "Previous letter", () => this.#step(-1)],
      ["r", "Replay the open letter", () => this.letter.replay()],
      ["Escape", "Close the letter", () => this.#open !== null && change({ id: "" })],
    ]);
  }

  update(params) {
    const reason = params.get("reason") ?? "";
    if (reason !== this.#reason) {
      this.#reason = reason;
      this.#wanted = PAGE;
      this.look.now();
    }
    this.#open = params.get("id") === null ? null : Number(params.get("id"));
    this.#mark();
    this.body.classList.toggle("open", this.#open !== null);
    this.letter.open(this.#open);
    this.#showPane();
  }

  /** Whether an event matters here: a new dead letter, or a result of a listed one after a replay elsewhere. */
  #concerns({ event, data }) {
    return event === "dead" || (event === "process" && this.#items.some((item) => keyOf(item) === keyOf(data)));
  }

  #ask(signal) {
    return Promise.all([get("/dead-letters/groups", { signal }), this.#shown(signal)]);
  }

  /** As many letters as were shown, in as few requests as possible. */
  #shown(signal) {
    const enough = (items) => items.length >= this.#wanted;
    return pagesUntil(enough, (cursor, items) => {
      const limit = Math.min(MOST, this.#wanted - items.length);
      return get(this.#query({ cursor, limit }), { signal });
    });
  }

  #query(extra) {
    return url(["dead-letters"], { reason: this.#reason, limit: PAGE, ...extra });
  }

  #draw(groups, letters) {
    this.#items = letters.items;
    this.#cursor = letters.next_cursor;
    const total = groups.items.reduce((sum, group) => sum + group.count, 0);
    this.body.hidden = !total;
    this.#showPane();
    if (!total) return fill(this.groups, h("div", { class: "sheet" }, this.#nothing()));
    if (!this.groups.querySelector(".group")) fill(this.groups);
    update(this.groups, groups.items.map((group) => this.#group(group)));
    if (this.#items.length) this.#drawTable(groups.items);
    else this.#drawNoMatch(total);
  }

  /** Hide the pane if there is no letter to choose. */
  #showPane() {
    this.letter.pane.hidden = this.#open === null && !this.#items.length;
  }

  #nothing() {
    return emptyState("No dead letters", "Every email that was listed has a result, or is on its way to one.");
  }

  #drawNoMatch(total) {
    const others = counted(total, "letter has another cause", "letters have other causes");
    const words = `No dead letter has the cause “${causeOf(this.#reason)}”; ${others}.`;
    const clear = h("a", { class: "button", href: path("dead") }, "Clear the filter");
    fill(this.list, emptyState("Nothing matches", words, clear));
  }

  #drawTable(groups) {
    const matching = groups.filter((group) => !this.#reason || group.reason === this.#reason);
    const total = matching.reduce((sum, group) => sum + group.count, 0);
    setText(this.title, this.#reason ? `${causeOf(this.#reason)}: ${count(total)}` : `All ${count(total)}`);
    setText(this.replay, this.#reason ? "Replay these" : "Replay all");
    this.all.hidden = !this.#reason;
    if (!this.rows.isConnected) this.#layTable();
    this.#drawRows();
  }

  #layTable() {
    fill(this.list,
      h("header", null, this.title, this.all, h("span", { class: "end" }, this.replay)),
      table("Letters", null, heads(COLUMNS, ["Tries"], { meaning: MEANING }), this.rows),
      this.more);
  }

  #drawRows() {
    updateRows(this.rows, this.#items.map((item) => this.#row(item)));
    this.more.hidden = !this.#cursor;
  }

  #row(item) {
    const address = path("dead", { reason: this.#reason, id: item.id });
    const props = { "aria-current": item.id === this.#open ? "true" : undefined };
    return h("tr", { ...props, data: { letter: item.id, key: item.id } },
      h("th", { scope: "row" }, h("a", { class: "mono", href: address, title: item.email_id }, idOf(item))),
      h("td", null, causeOf(item.reason)),
      h("td", { class: "cut", title: item.error }, item.error),
      h("td", { class: "num" }, count(item.attempts)),
      h("td", { title: exact(item.dead_at), class: "nowrap" }, when(item.dead_at)));
  }

  async #loadMore() {
    const cursor = this.#cursor;
    const answer = await attempt(() => get(this.#query({ cursor }), { signal: this.signal }));
    if (!answer || cursor !== this.#cursor) return; // the list has changed meanwhile
    const first = this.#items.length;
    this.#items.push(...answer.items);
    this.#wanted = this.#items.length;
    this.#cursor = answer.next_cursor;
    this.#drawRows();
    if (!this.#cursor) this.rows.children[first]?.querySelector("a").focus(); // the button is hidden now
  }

  #group(group) {
    return h("article", { class: "group", "aria-current": group.reason === this.#reason ? "true" : undefined },
      h("b", { class: "big" }, count(group.count)),
      h("div", null,
        h("h2", null, h("a", { href: path("dead", { reason: group.reason }) }, causeOf(group.reason))),
        h("p", { class: "error mono", title: group.error }, group.error),
        h("p", { class: "quiet" }, `last ${ago(group.last_dead_at)}`)));
  }

  #mark() {
    for (const row of this.rows.children) {
      if (Number(row.dataset.letter) === this.#open) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  /** Count first, then ask, then replay, all with the same filter. */
  async #replayMany() {
    const filter = { reason: this.#reason || undefined };
    const found = await attempt(() => post("/dead-letters/replay", { ...filter, dry_run: true }));
    if (!found) return;
    if (!found.matched) return toast("Nothing to replay");
    const what = filter.reason ? `the cause “${causeOf(filter.reason)}”` : "any cause";
    const words = `Dead letters with ${what} are fetched and classified again, each with a fresh set of attempts. `
      + "Those that fail again come back here; those that can never be fetched stay.";
    if (!(await ask(`Replay ${counted(found.matched, "email")}?`, words, "Replay"))) return;
    const answer = await attempt(() => post("/dead-letters/replay", { ...filter, dry_run: false }));
    if (answer) toast(replayed(answer, found.matched));
    this.look.now();
  }

  #step(by) {
    if (!this.#items.length) return false;
    const at = this.#items.findIndex((item) => item.id === this.#open);
    const next = this.#items[stepped(at, by, this.#items.length)];
    change({ id: next.id }, { replace: true });
    return true;
  }
}

/** The outcome in words: a large replay is the work of a task. */
function replayed(answer, matched) {
  if (answer.kind) return `Replaying ${counted(matched, "email")} in the background, a few at a time`;
  const stay = matched - answer.replayed;
  const words = `Replayed ${counted(answer.replayed, "email")}`;
  return stay > 0 ? `${words}; ${counted(stay, "stays", "stay")} here and can never be fetched` : words;
}
