/**
 * Dead letters: what failed for good, grouped by cause, each with its attempts and errors; replay one, a group or all
 * (counted first, then asked), or discard. The address holds the filter and the open letter.
 */

import { del, get, post, url } from "../api.js";
import { fill, h, update } from "../dom.js";
import { ago, count, counted, exact, when } from "../format.js";
import { keys } from "../keys.js";
import { live } from "../live.js";
import { ask, attempt, button, chip, emptyState, facts, failed, loading, toast } from "../parts.js";
import { change, path } from "../route.js";
import { REASONS, keyOf } from "../shapes.js";

const PAGE = 50;

export function show(root, params, signal) {
  const page = new DeadPage(root, signal);
  page.update(params);
  return (changed) => page.update(changed);
}

class DeadPage {
  #items = [];
  #cursor = null;
  #timer = 0;
  #generation = 0;
  #reason = null;
  #open = null;

  constructor(root, signal) {
    this.signal = signal;
    this.groups = h("div", { class: "groups" }, loading(3));
    this.rows = h("tbody", null);
    this.more = h("p", { class: "actions more" });
    this.table = h("section", { class: "sheet" });
    this.pane = h("section", { class: "sheet letter", "aria-label": "Dead letter" });
    this.body = h("div", { class: "split" }, this.table, this.pane);
    fill(root, h("div", { class: "head" }, h("h1", null, "Dead letters"), h("p", { class: "lead" }, "Emails that failed for good. Each keeps what is known of it; a replay sends it through the whole way again.")), this.groups, this.body);
    const soon = ({ detail }) => {
      const again = detail.event === "process" && this.#items.some((item) => keyOf(item) === keyOf(detail.data)); // replayed elsewhere
      if ((detail.event !== "dead" && !again) || this.#timer) return;
      this.#timer = setTimeout(() => ((this.#timer = 0), this.#load()), 1000);
    };
    live.addEventListener("event", soon, { signal });
    live.addEventListener("resync", () => this.#load(), { signal });
    signal.addEventListener("abort", () => clearTimeout(this.#timer));
    keys.page([
      ["j", "Next letter", () => this.#step(1)],
      ["k", "Letter before", () => this.#step(-1)],
      ["r", "Replay the open letter", () => this.#open !== null && this.#replayOne(this.#open)],
      ["Escape", "Close the letter", () => this.#open !== null && change({ id: "" })],
    ]);
  }

  update(params) {
    const reason = params.get("reason") ?? "";
    if (reason !== this.#reason) {
      this.#reason = reason;
      this.#load();
    }
    this.#show(params.get("id"));
  }

  async #load() {
    const generation = (this.#generation += 1);
    try {
      const [groups, letters] = await Promise.all([get("/dead-letters/groups", { signal: this.signal }), get(this.#query(), { signal: this.signal })]);
      if (generation !== this.#generation) return;
      this.#items = letters.items;
      this.#cursor = letters.next_cursor;
      this.#draw(groups.items);
    } catch (error) {
      if (generation === this.#generation && !this.signal.aborted) fill(this.groups, failed(error, () => this.#load()));
    }
  }

  #query(extra) {
    return url(["dead-letters"], { reason: this.#reason, limit: PAGE, ...extra });
  }

  #draw(groups) {
    const total = groups.reduce((sum, group) => sum + group.count, 0);
    if (!total) {
      fill(this.groups, h("div", { class: "sheet" }, emptyState("No dead letters", "Every email that was listed has a result, or is on its way to one.")));
      this.body.hidden = true;
      return;
    }
    this.body.hidden = false;
    update(this.groups, groups.map((group) => this.#group(group)));
    fill(this.table,
      h("header", null, h("h2", null, this.#reason ? (REASONS[this.#reason] ?? this.#reason) : `All ${count(total)}`), this.#reason && h("a", { href: path("dead") }, "Show all"), h("span", { class: "end" }, button(this.#reason ? "Replay these" : "Replay all", () => this.#replayMany({ reason: this.#reason || undefined }), "small"))),
      h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Letters" }, h("table", null, h("thead", null, h("tr", null, ["Email", "Cause", "Error", "Tries", "Died"].map((name, at) => h("th", { scope: "col", class: at === 3 ? "num" : "" }, name)))), this.rows)),
      this.more);
    this.#drawRows();
  }

  #drawRows() {
    update(this.rows, this.#items.map((item) => h("tr", { "aria-current": item.id === this.#open ? "true" : undefined, data: { letter: item.id } },
      h("th", { scope: "row" }, h("a", { class: "mono", href: path("dead", { reason: this.#reason, id: item.id }) }, item.email_id)),
      h("td", null, REASONS[item.reason] ?? item.reason),
      h("td", { class: "cut", title: item.error }, item.error),
      h("td", { class: "num" }, count(item.attempts)),
      h("td", { title: exact(item.dead_at), class: "nowrap" }, when(item.dead_at)))));
    fill(this.more, this.#cursor && button("Show more", () => this.#loadMore()));
  }

  async #loadMore() {
    const generation = this.#generation;
    const answer = await attempt(() => get(this.#query({ cursor: this.#cursor }), { signal: this.signal }));
    if (!answer || generation !== this.#generation) return;
    this.#items.push(...answer.items);
    this.#cursor = answer.next_cursor;
    this.#drawRows();
  }

  #group(group) {
    return h("article", { class: "group", "aria-current": group.reason === this.#reason ? "true" : undefined },
      h("b", { class: "big" }, count(group.count)),
      h("div", null,
        h("h2", null, h("a", { href: path("dead", { reason: group.reason }) }, REASONS[group.reason] ?? group.reason)),
        h("p", { class: "error mono" }, group.error),
        h("p", { class: "quiet" }, `last ${ago(group.last_dead_at)}`)));
  }

  // -- one letter

  async #show(id) {
    this.#open = id === null ? null : Number(id);
    for (const row of this.rows.children) {
      if (Number(row.dataset.letter) === this.#open) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    this.body.classList.toggle("open", this.#open !== null);
    if (this.#open === null) return fill(this.pane, h("p", { class: "quiet" }, "Choose a letter to see each attempt."));
    fill(this.pane, loading(5));
    try {
      const letter = await get(url(["dead-letters", id]), { signal: this.signal });
      if (this.#open === Number(id)) this.#drawLetter(letter);
    } catch (error) {
      if (!this.signal.aborted) fill(this.pane, failed(error, () => this.#show(id)));
    }
  }

  #drawLetter(letter) {
    const dead = letter.state === "dead";
    fill(this.pane,
      h("header", null, h("h2", null, REASONS[letter.reason] ?? letter.reason), !dead && chip(letter.state), h("span", { class: "end" }, button("Close", () => change({ id: "" }), "plain small"))),
      h("p", { class: "error mono" }, letter.error),
      facts([["Email", h("a", { class: "mono", href: path("emails", { id: letter.email_id, source: letter.source }) }, letter.email_id)], ["Subject", letter.subject], ["From", letter.sender], ["First seen", exact(letter.first_seen)], ["Died", exact(letter.dead_at)]]),
      h("h3", null, triesWords(letter)),
      h("ol", { class: "tries" }, letter.tries.map((tried) => h("li", null, h("b", null, `${tried.attempt}`), h("time", { title: exact(tried.at) }, when(tried.at)), h("span", null, tried.error), tried.processor_id && h("small", { class: "quiet mono" }, tried.processor_id)))),
      letter.body && h("pre", { class: "body", tabindex: "0", "aria-label": "Text of the email" }, letter.body),
      dead && h("div", { class: "actions" }, button("Replay", () => this.#replayOne(letter.id), "solid"), button("Discard", () => this.#discard(letter), "danger")));
  }

  async #replayOne(id) {
    const answer = await attempt(() => post(url(["dead-letters", id, "replay"])), "It is on its way again");
    if (answer === undefined) return;
    change({ id: "" });
    this.#load();
  }

  /** Count first, then ask, then replay: exactly by the same filter. */
  async #replayMany(filter) {
    const found = await attempt(() => post("/dead-letters/replay", { ...filter, dry_run: true }));
    if (!found) return;
    if (!found.matched) return toast("There is nothing to replay");
    const what = filter.reason ? `“${REASONS[filter.reason]}”` : "all causes";
    if (!(await ask(`Replay ${counted(found.matched, "email")}?`, `Dead letters of ${what} go through fetching and classifying again, each with fresh attempts.`, "Replay"))) return;
    const answer = await attempt(() => post("/dead-letters/replay", { ...filter, dry_run: false }));
    if (answer) toast(answer.kind ? `A task sends ${counted(found.matched, "email")} on their way again, a few at a time` : `${counted(answer.replayed, "email is", "emails are")} on the way again`);
    this.#load();
  }

  async #discard(letter) {
    if (!(await ask("Discard this email?", "It stays in the books as discarded and is never processed. This cannot be undone.", "Discard", "danger"))) return;
    const answer = await attempt(() => del(url(["dead-letters", letter.id])), "Discarded");
    if (answer === undefined) return;
    change({ id: "" });
    this.#load();
  }

  #step(by) {
    if (!this.#items.length) return false;
    const at = this.#items.findIndex((item) => item.id === this.#open);
    const next = this.#items[Math.min(this.#items.length - 1, Math.max(0, at + by))];
    change({ id: next.id }, { replace: true });
    return true;
  }
}

/** What the list of attempts is called, and why it may be empty. */
function triesWords({ tries, attempts, reason }) {
  if (tries.length) return counted(tries.length, "attempt");
  if (reason === "gone") return "Asked for until it was clear that it is gone";
  return attempts > 1 ? `${counted(attempts, "attempt")}, no longer kept` : "No attempts: it was refused at once";
}
