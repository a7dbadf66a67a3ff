/**
 * One webhook: its state, and each try with its answer; it can be retried now, tested, given a new secret, deleted.
 * Used by subscriptions.js, which passes it the newest state and is notified of changes.
 */

import { ask, attempt, complain, once, toast } from "../acting.js";
import { del, get, post, url } from "../api.js";
import { fill, h, setText, update } from "../dom.js";
import { count, counted, duration, exact, when } from "../format.js";
import { newestOnly } from "../looking.js";
import { button, chip, facts, heads, table } from "../parts.js";
import { change } from "../route.js";
import { secretOnce } from "./subscription_form.js";

const SHOWN = 50;
const COLUMNS = ["When", "Event", "Try", "Response", "Took"];

export const dotOf = (state) => ({ active: "running", failing: "failed", disabled: "stopped" })[state];

export class OpenSubscription {
  #item = null;
  #failed = false;
  #asking = 0;

  /** `changed()` is called when the list should be read again. */
  constructor(pane, signal, changed) {
    this.pane = pane;
    this.changed = changed;
    this.newest = newestOnly(signal);
    this.state = h("div", { class: "hook-state" });
    this.rows = h("tbody", null);
    this.none = h("p", { class: "quiet" });
    this.again = button("Try now", once(() => this.#enable()), "", { data: { enable: "" } });
  }

  /** Show none, but `words` instead, if there are any. */
  close(words) {
    this.#item = null;
    this.newest(() => Promise.resolve());
    fill(this.pane, words && h("p", { class: "quiet" }, words));
  }

  open(item) {
    this.#item = item;
    update(this.rows);
    setText(this.none, "");
    fill(this.pane,
      h("header", null, h("h2", { class: "mono long", title: item.url }, item.url),
        h("span", { class: "end" }, button("Close", () => change({ id: "" }), "plain small"))),
      this.state, this.#actions(), this.#log());
    this.#draw();
  }

  /** The newest state of all webhooks: redraw the open one. */
  refresh(items) {
    const item = this.#item && items.find((each) => each.id === this.#item.id);
    if (!item) return;
    this.#item = item;
    this.#drawState();
    if (!this.#asking) this.#askLog();
  }

  #actions() {
    return h("div", { class: "actions" },
      button("Send a test message", once(() => this.#test()), "solid"),
      this.again,
      button("New secret", once(() => this.#rotate())),
      button("Delete", once(() => this.#remove()), "danger"));
  }

  #log() {
    const toggle = () => ((this.#failed = only.checked), this.#draw());
    const only = h("input", { type: "checkbox", checked: this.#failed, on: { change: toggle } });
    return [
      h("div", { class: "log-head" }, h("h3", null, `Deliveries, the newest ${SHOWN}`),
        h("label", { class: "check" }, only, "failed only")),
      table("Deliveries", null, heads(COLUMNS, ["Try", "Took"]), this.rows),
      this.none,
    ];
  }

  #draw() {
    this.#drawState();
    this.#askLog();
  }

  #drawState() {
    const item = this.#item;
    this.again.hidden = item.state === "active";
    setText(this.again, item.state === "disabled" ? "Enable" : "Try now");
    const trouble = troubleWords(item);
    update(this.state, trouble && h("p", { class: "field-error" }, trouble), facts(factsOf(item)));
  }

  async #askLog() {
    const address = url(["subscriptions", this.#item.id, "deliveries"], { limit: SHOWN, failed: this.#failed || "" });
    const deliveries = (signal) => get(address, { signal });
    const missed = (error) => setText(this.none, `Could not load the deliveries: ${error.message}`);
    this.#asking += 1;
    await this.newest(deliveries, (answer) => this.#drawLog(answer.items), missed);
    this.#asking -= 1;
  }

  #drawLog(tries) {
    update(this.rows, tries.map(tryRow));
    setText(this.none, tries.length ? "" : this.#failed ? "None failed." : "Nothing has been sent to it yet.");
  }

  async #enable() {
    const done = this.#item.state === "disabled" ? "Enabled: deliveries resume where they stopped" : "Retrying now";
    await attempt(() => post(url(["subscriptions", this.#item.id, "enable"])), done);
    this.changed();
  }

  async #test() {
    const answer = await attempt(() => post(url(["subscriptions", this.#item.id, "test"]), {}, { timeout: 30_000 }));
    if (!answer) return;
    if (answer.delivered) toast(`Delivered: status ${answer.status} after ${duration(answer.duration_ms)}`);
    else complain(`Not delivered: ${answer.error}`);
    if (this.#item) this.#draw();
  }

  async #rotate() {
    const words = "For one day, each message is signed with both the new and the old secret, so nothing is rejected "
      + "while you update your program.";
    if (!(await ask("Create a new secret?", words, "Create"))) return;
    const answer = await attempt(() => post(url(["subscriptions", this.#item.id, "rotate"])));
    if (answer) await secretOnce(answer.secret);
    this.changed();
  }

  async #remove() {
    const item = this.#item;
    const words = `${shortened(item.url)} gets no more messages, and its delivery log is deleted. `
      + "This cannot be undone.";
    if (!(await ask("Delete this webhook?", words, "Delete", "danger"))) return;
    if ((await attempt(() => del(url(["subscriptions", item.id])), "Deleted")) === undefined) return;
    change({ id: "" });
    this.changed();
  }
}

/** What is wrong with the webhook, and when the next try is due. */
function troubleWords(item) {
  if (item.state === "disabled") return `Disabled: ${item.reason}. Nothing is lost while the log reaches back.`;
  if (item.state !== "failing") return null;
  const since = `Failing since ${when(item.failing_since)}`;
  const due = item.next_attempt_at;
  const next = due ? `Next automatic try: ${when(due)}.` : "The next try is due.";
  return `${since}: ${counted(item.failures, "try", "tries")} failed. ${next}`;
}

function factsOf(item) {
  return [
    ["State", item.state],
    ["Events", item.events.join(", ") || "all"],
    ["Delivered", counted(item.delivered, "message")],
    ["Delivered up to", item.after && h("span", { class: "mono" }, item.after)],
    ["Old secret valid until", item.old_secret_until && exact(item.old_secret_until)],
    ["Created", exact(item.created_at)],
  ];
}

function tryRow(tried) {
  return h("tr", { class: tried.error ? "trouble" : "" },
    h("td", { class: "nowrap", title: exact(tried.at) }, when(tried.at)),
    h("td", null, tried.event),
    h("td", { class: "num" }, count(tried.attempt)),
    h("td", null, tried.error ? chip(tried.error, "trouble") : String(tried.status)),
    h("td", { class: "num" }, duration(tried.duration_ms)));
}

const shortened = (text) => (text.length > 120 ? `${text.slice(0, 119)}…` : text);
