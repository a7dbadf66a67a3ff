/**
 * Emails: the list of all known emails, filtered by the address; beside it (on a phone: over it) one email, drawn by
 * email.js. The list itself is email_list.js.
 */

import { fill, h } from "../dom.js";
import { exact, percent, sender, when } from "../format.js";
import { keys, stepped } from "../keys.js";
import { chip, mark, meter, subjectOf } from "../parts.js";
import { change, current, path } from "../route.js";
import { CLASSES, keyIn, keyOf } from "../shapes.js";
import { EmailDetail } from "./email.js";
import { EmailList } from "./email_list.js";
import { FILTERS, filterBar } from "./filters.js";

export function show(root, params, signal) {
  const page = new EmailsPage(root, signal);
  page.update(params);
  return (changed) => page.update(changed);
}

class EmailsPage {
  #filter = null;
  #opened = null;

  constructor(root, signal) {
    this.emails = new EmailList(signal, {
      draw: (item) => this.#row(item),
      drawn: () => this.#mark(),
      changed: (key) => this.detail.changed(key),
      reading: () => this.#opened,
    });
    this.bar = filterBar((values) => change({ ...values, id: "", source: "" }));
    this.pane = h("section", { class: "detail", "aria-label": "Email" });
    this.detail = new EmailDetail(this.pane, signal, () => this.#close());
    const parts = [this.bar.element, this.emails.status, this.emails.body];
    const list = h("section", { class: "list", "aria-label": "List of emails" }, parts);
    this.root = h("div", { class: "emails" }, list, this.pane);
    root.classList.add("fixed");
    fill(root, h("h1", { class: "hidden" }, "Emails"), this.root);
    this.#keys();
  }

  update(params) {
    const values = Object.fromEntries(FILTERS.map((name) => [name, params.get(name) ?? ""]));
    const text = JSON.stringify(values);
    if (text !== this.#filter) {
      this.#filter = text;
      this.bar.show(values);
      this.emails.filter(values);
    }
    this.#open(params);
  }

  #row(item) {
    const open = this.#opened === keyOf(item);
    const href = path("emails", { ...Object.fromEntries(current().params), id: item.email_id, source: item.source });
    const at = item.at ?? item.processed_at;
    const props = { class: "row", href, "aria-current": open ? "true" : undefined };
    return h("a", { ...props, data: { id: item.email_id, state: item.state } },
      item.classification ? mark(item.classification) : h("i", { class: "mark none", "aria-hidden": "true" }),
      h("span", { class: "row-line" },
        h("span", { class: "row-subject", dir: "auto" }, subjectOf(item)),
        h("time", { datetime: at, title: exact(at) }, when(at))),
      h("span", { class: "row-line under" },
        h("span", { class: "row-sender", dir: "auto" }, sender(item.sender)),
        h("span", { class: "row-end" }, rowEnd(item))));
  }

  #open(params) {
    this.#opened = keyIn(params);
    this.root.classList.toggle("reading", this.#opened !== null);
    this.#mark();
    if (this.#opened === null) this.detail.close();
    else this.detail.open(params.get("id"), params.get("source"));
  }

  #mark() {
    for (const link of this.root.querySelectorAll('.row[aria-current="true"]')) link.removeAttribute("aria-current");
    this.emails.link(this.#opened)?.setAttribute("aria-current", "true");
  }

  #close() {
    const link = this.emails.link(this.#opened);
    change({ id: "", source: "" });
    link?.focus();
  }

  #step(by) {
    const { items } = this.emails;
    if (!items.length) return false;
    const at = this.emails.indexOf(this.#opened) ?? -1;
    const index = stepped(at, by, items.length);
    this.emails.list.reveal(index);
    change({ id: items[index].email_id, source: items[index].source }, { replace: true });
    return true;
  }

  #keys() {
    const opened = (action) => () => this.#opened !== null && action();
    const relabel = (name) => opened(() => this.detail.relabel(name));
    keys.page([
      ["j", "Next email", () => this.#step(1)],
      ["k", "Previous email", () => this.#step(-1)],
      ...CLASSES.map((name, index) => [String(index + 1), `Correct to ${name}`, relabel(name)]),
      ["u", "Undo the correction", opened(() => this.detail.undo())],
      ["w", "Show why", opened(() => this.detail.toggleWhy())],
      ["t", "Show the whole subject", opened(() => this.detail.subject.toggle())],
      ["n", "Show new emails", () => this.emails.takeFresh()],
      ["Escape", "Back to the list", opened(() => this.#close())],
    ]);
  }
}

function rowEnd(item) {
  if (item.state !== "processed") return chip(item.state, ["dead", "retrying"].includes(item.state) ? "trouble" : "");
  const words = `${item.classification}, ${percent(item.confidence)} sure`;
  return [
    item.decided_by !== "model" && chip(item.decided_by),
    h("span", { class: "row-class" }, item.classification),
    item.decided_by !== "person" && meter(item.confidence, item.classification, words),
  ];
}
