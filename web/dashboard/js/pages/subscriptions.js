/**
 * Outgoing webhooks: who receives which events and how far each has come; new ones are created here. One webhook's
 * deliveries, and what can be done with it, are in subscription.js. The address holds the open subscription.
 */

import { get } from "../api.js";
import { fill, h, setText, update } from "../dom.js";
import { ago, count, counted } from "../format.js";
import { keys } from "../keys.js";
import { Look } from "../looking.js";
import { button, emptyState, failed, loading } from "../parts.js";
import { change, current, path } from "../route.js";
import { dotOf, OpenSubscription } from "./subscription.js";
import { secretOnce, SubscriptionForm } from "./subscription_form.js";

const EVERY = 3000;
const LEAD =
  "Send events to a URL of yours: the same messages as in the event log, signed, in order and complete.";
const NOBODY =
  "Add the URL of your program, and it is called for each result, retry, dead letter and correction.";

export function show(root, _params, signal) {
  const page = new SubscriptionsPage(root, signal);
  page.look.now().then(() => signal.aborted || page.update(current().params)); // the address may have changed meanwhile
  return (changed) => page.update(changed);
}

const makeNew = () => button("New webhook", () => change({ id: "new" }), "solid");

class SubscriptionsPage {
  #items = [];
  #id;

  constructor(root, signal) {
    this.said = h("span", { class: "quiet" });
    this.list = h("section", { class: "sheet", "aria-label": "Webhooks" }, loading(4));
    this.pane = h("section", { class: "sheet letter", "aria-label": "Webhook" });
    this.body = h("div", { class: "split even" }, this.list, this.pane);
    fill(root,
      h("div", { class: "head" }, h("h1", null, "Webhooks"), this.said, h("div", { class: "actions" }, makeNew()),
        h("p", { class: "lead" }, LEAD)),
      this.body);
    this.one = new OpenSubscription(this.pane, signal, () => this.look.now());
    const ask = (own) => get("/subscriptions", { signal: own });
    this.look = new Look({ place: this.list, ask, show: (answer) => this.#show(answer.items), every: EVERY, signal });
    keys.page([
      ["n", "New webhook", () => change({ id: "new" })],
      ["Escape", "Close", () => change({ id: "" })],
    ]);
  }

  update(params) {
    const id = params.get("id");
    this.body.classList.toggle("open", id !== null);
    if (id === this.#id) return;
    this.#id = id;
    this.#draw();
    if (id === null) this.#choose();
    else if (id === "new") this.#write();
    else this.#open();
  }

  #show(items) {
    const any = this.#items.length > 0;
    this.#items = items;
    this.#draw();
    if (this.#id === null && any !== items.length > 0) this.#choose();
    this.one.refresh(items);
  }

  /** No webhook is open: say how to open one, if there is any. */
  #choose() {
    this.one.close(this.#items.length > 0 && "Select a webhook to see its deliveries.");
  }

  #draw() {
    setText(this.said, this.#items.length ? counted(this.#items.length, "webhook") : "");
    if (!this.#items.length) return fill(this.list, emptyState("No webhooks yet", NOBODY, makeNew()));
    if (!this.list.querySelector(".hooks")) fill(this.list, h("ul", { class: "hooks" }));
    update(this.list.firstElementChild, this.#items.map((item) => row(item, this.#id)));
  }

  #open() {
    const item = this.#items.find((each) => String(each.id) === this.#id);
    if (item) return this.one.open(item);
    this.one.close();
    fill(this.pane, failed({ status: 404, message: "This webhook no longer exists." }));
  }

  #write() {
    this.one.close();
    fill(this.pane, new SubscriptionForm((made) => this.#made(made), () => change({ id: "" })).element);
    this.pane.querySelector("input").focus();
  }

  async #made(made) {
    await secretOnce(made.secret);
    await this.look.now();
    change({ id: made.id }, { replace: true });
  }
}

function row(item, open) {
  const words = [
    item.description,
    item.events.join(", ") || "all events",
    `${count(item.delivered)} delivered`,
    item.last_delivered_at && `last ${ago(item.last_delivered_at)}`,
  ];
  return h("li", { "aria-current": String(item.id) === open ? "true" : undefined },
    h("span", { class: `dot ${dotOf(item.state)}` }, item.state),
    h("a", { href: path("subscriptions", { id: item.id }), class: "mono long", title: item.url }, item.url),
    h("p", { class: "quiet" }, words.filter(Boolean).join(" · ")));
}
