/**
 * Webhooks of others: who is told of what, how far each has come, each try with its answer; made, tested, given a new
 * secret and deleted here. A secret is shown once, when it is made. The address holds the subscription that is open.
 */

import { del, get, post, url } from "../api.js";
import { fill, h, setText, update } from "../dom.js";
import { ago, count, duration, exact, when } from "../format.js";
import { keys } from "../keys.js";
import { ask, attempt, button, chip, emptyState, facts, failed, loading, toast } from "../parts.js";
import { change, current, path } from "../route.js";
import { secretOnce, SubscriptionForm } from "./subscription_form.js";

const EVERY = 3000;

export function show(root, _params, signal) {
  const page = new SubscriptionsPage(root, signal);
  page.load().then(() => signal.aborted || page.update(current().params)); // the address may have changed meanwhile
  return (changed) => page.update(changed);
}

class SubscriptionsPage {
  #items = [];
  #open = null;
  #failed = false;

  constructor(root, signal) {
    this.signal = signal;
    this.said = h("span", { class: "quiet" });
    this.list = h("section", { class: "sheet", "aria-label": "Webhooks" }, loading(4));
    this.pane = h("section", { class: "sheet letter", "aria-label": "Webhook" });
    this.body = h("div", { class: "split even" }, this.list, this.pane);
    fill(root, h("div", { class: "head" }, h("h1", null, "Webhooks"), this.said, h("div", { class: "actions" }, button("New webhook", () => change({ id: "new" }), "solid")),
      h("p", { class: "lead" }, "A URL of yours is told what happens: the very messages of the event log, signed, in order, none left out.")), this.body);
    const timer = setInterval(() => document.visibilityState === "visible" && this.#refresh(), EVERY);
    signal.addEventListener("abort", () => clearInterval(timer));
    keys.page([["n", "New webhook", () => change({ id: "new" })], ["Escape", "Close", () => change({ id: "" })]]);
  }

  async load() {
    try {
      this.#items = (await get("/subscriptions", { signal: this.signal })).items;
      this.#draw();
    } catch (error) {
      if (!this.signal.aborted && !this.list.querySelector("li")) fill(this.list, failed(error, () => this.load()));
    }
  }

  async #refresh() {
    await this.load();
    if (this.#open !== null && this.#open !== "new") this.#drawState();
  }

  update(params) {
    const id = params.get("id");
    this.body.classList.toggle("open", id !== null);
    if (id === this.#open) return;
    this.#open = id;
    this.#draw();
    if (id === null) return fill(this.pane, h("p", { class: "quiet" }, "Choose a webhook to see what was sent to it."));
    if (id === "new") {
      fill(this.pane, new SubscriptionForm((made) => this.#made(made), () => change({ id: "" })).element);
      return this.pane.querySelector("input").focus();
    }
    this.#drawOpen();
  }

  #draw() {
    setText(this.said, this.#items.length ? `${count(this.#items.length)} told` : "");
    if (!this.#items.length) return fill(this.list, emptyState("Nobody is told yet", "Give the URL of a program of yours, and it is called for each result, retry, dead letter and correction.", button("New webhook", () => change({ id: "new" }), "solid")));
    if (!this.list.querySelector(".hooks")) fill(this.list, h("ul", { class: "hooks" }));
    update(this.list.firstElementChild, this.#items.map((item) => h("li", { "aria-current": String(item.id) === this.#open ? "true" : undefined },
      h("span", { class: `dot ${dotOf(item.state)}` }, item.state),
      h("a", { href: path("subscriptions", { id: item.id }), class: "mono" }, item.url),
      h("p", { class: "quiet" }, [item.description, `${item.events.join(", ") || "all events"}`, `${count(item.delivered)} delivered`, item.last_delivered_at && `last ${ago(item.last_delivered_at)}`].filter(Boolean).join(" · ")))));
  }

  // -- one of them

  #item() {
    return this.#items.find((item) => String(item.id) === this.#open);
  }

  #drawOpen() {
    const item = this.#item();
    if (!item) return fill(this.pane, failed({ status: 404, message: "There is no such webhook any more." }));
    this.state = h("div", { class: "hook-state" });
    this.rows = h("tbody", null);
    this.none = h("p", { class: "quiet" });
    const only = h("input", { type: "checkbox", checked: this.#failed, on: { change: () => ((this.#failed = only.checked), this.#drawState()) } });
    this.enable = button("Go on", () => this.#act("enable", "It goes on where it stood"), "", { hidden: true });
    fill(this.pane,
      h("header", null, h("h2", { class: "mono" }, item.url), h("span", { class: "end" }, button("Close", () => change({ id: "" }), "plain small"))),
      this.state,
      h("div", { class: "actions" }, button("Send a test message", () => this.#test(), "solid"), this.enable, button("New secret", () => this.#rotate()), button("Delete", () => this.#remove(), "danger")),
      h("div", { class: "log-head" }, h("h3", null, "Deliveries"), h("label", { class: "check" }, only, "only what failed")),
      h("div", { class: "table", tabindex: 0, role: "region", "aria-label": "Deliveries" }, h("table", null, h("thead", null, h("tr", null, ["When", "Event", "Try", "Answer", "Took"].map((name, at) => h("th", { scope: "col", class: at === 2 || at === 4 ? "num" : "" }, name)))), this.rows)),
      this.none);
    this.#drawState();
  }

  async #drawState() {
    const item = this.#item();
    if (!item || !this.state) return;
    this.enable.hidden = item.state === "active";
    const words = { failing: `It does not take messages since ${when(item.failing_since)}: ${count(item.failures)} tries. Next at ${when(item.next_attempt_at)}.`, disabled: `Disabled: ${item.reason}. Nothing is lost while the log reaches back.` }[item.state];
    update(this.state, words && h("p", { class: "field-error" }, words),
      facts([["State", item.state], ["Events", item.events.join(", ") || "all"], ["Delivered", count(item.delivered)], ["Has all up to", item.after && h("span", { class: "mono" }, item.after)], ["Old secret valid until", item.old_secret_until && exact(item.old_secret_until)], ["Since", exact(item.created_at)]]));
    const answer = await get(url(["subscriptions", item.id, "deliveries"], { limit: 50, failed: this.#failed || undefined }), { signal: this.signal }).catch(() => null);
    if (!answer || String(item.id) !== this.#open) return;
    update(this.rows, answer.items.map((tried) => h("tr", { class: tried.error ? "trouble" : "" },
      h("td", { class: "nowrap", title: exact(tried.at) }, when(tried.at)), h("td", null, tried.event), h("td", { class: "num" }, tried.attempt),
      h("td", null, tried.error ? chip(tried.error, "trouble") : String(tried.status)), h("td", { class: "num" }, duration(tried.duration_ms)))));
    setText(this.none, answer.items.length ? "" : this.#failed ? "None failed." : "Nothing was sent to it yet.");
  }

  async #made(made) {
    await secretOnce(made.secret);
    await this.load();
    change({ id: made.id }, { replace: true });
  }

  async #act(what, done) {
    await attempt(() => post(url(["subscriptions", this.#open, what])), done);
    this.#refresh();
  }

  async #test() {
    const answer = await attempt(() => post(url(["subscriptions", this.#open, "test"]), {}, { timeout: 30_000 }));
    if (!answer) return;
    toast(answer.delivered ? `Taken with ${answer.status} after ${duration(answer.duration_ms)}` : `Not taken: ${answer.error}`, answer.delivered ? {} : { kind: "trouble", seconds: 9 });
    this.#drawState();
  }

  async #rotate() {
    if (!(await ask("Make a new secret?", "For a day, each message is signed with both the new and the old one, so nothing is refused while you change it in your program.", "Make one"))) return;
    const answer = await attempt(() => post(url(["subscriptions", this.#open, "rotate"])));
    if (answer) await secretOnce(answer.secret);
    this.#refresh();
  }

  async #remove() {
    const item = this.#item();
    if (!item || !(await ask("Delete this webhook?", `${item.url} is told nothing more, and its log of deliveries is forgotten. This cannot be undone.`, "Delete", "danger"))) return;
    if ((await attempt(() => del(url(["subscriptions", item.id])), "Deleted")) === undefined) return;
    change({ id: "" });
    this.load();
  }
}

const dotOf = (state) => ({ active: "running", failing: "failed", disabled: "stopped" })[state];
