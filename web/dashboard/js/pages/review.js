/**
 * Review: what a person should look at first, least certain and most contested on top. One email at a time with its
 * evidence; a key labels it and goes to the next, another takes that back. The address holds the email that is open.
 */

import { del, get, labelPath, post, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count, sender } from "../format.js";
import { keys } from "../keys.js";
import { live } from "../live.js";
import { attempt, button, chip, emptyState, failed, loading, mark, toast } from "../parts.js";
import { change, current, path } from "../route.js";
import { CLASSES, keyOf } from "../shapes.js";
import { ReviewEmail, similarWords } from "./review_email.js";

const PAGE = 50;
const ASKED = 20;
const REASONS = { uncertain: "unsure", shadow: "shadow differs", rule: "rule differs", fakemail: "FakeMail differs" };

export function show(root, _params, signal) {
  const page = new ReviewPage(root, signal);
  page.load().then(() => signal.aborted || page.update(current().params)); // the address may have changed meanwhile
  return (changed) => page.update(changed);
}

class ReviewPage {
  #items = [];
  #at = -1;
  #cursor = null;
  #total = 0;
  #decided = new Map();
  #history = [];
  #sent = Promise.resolve();
  #more = false;

  constructor(root, signal) {
    this.signal = signal;
    this.said = h("p", { class: "quiet", role: "status" });
    this.rows = h("ol", { class: "queue" });
    this.list = h("section", { class: "sheet queue-box", "aria-label": "What to look at" }, loading(8));
    this.pane = h("section", { class: "sheet triage", "aria-label": "Email under review" });
    this.email = new ReviewEmail(this.pane, signal, { decide: (name) => this.decide(name), skip: () => this.#step(1), undo: () => this.undo(), back: () => this.#close() });
    this.body = h("div", { class: "review" }, this.list, this.pane);
    fill(root, h("div", { class: "head" }, h("h1", null, "Review"), this.said, h("p", { class: "lead" }, "The least certain and the most contested come first. Each answer teaches the next model.")), this.body);
    live.addEventListener("event", ({ detail }) => detail.event === "label" && this.#labelled(detail.data), { signal });
    live.addEventListener("resync", () => this.load(), { signal });
    this.#keys();
  }

  async load() {
    try {
      const answer = await get(url(["review"], { limit: PAGE }), { signal: this.signal });
      this.#replace(answer.items.map(flat));
      this.#cursor = answer.next_cursor;
      this.#total = answer.total;
      this.#draw();
      this.#askFakeMail();
    } catch (error) {
      if (!this.signal.aborted) fill(this.list, failed(error, () => this.load()));
    }
  }

  /** Another list in the place of the old one; the email that is open stays so, also where it is not in the queue any more. */
  #replace(items) {
    const open = this.#items[this.#at];
    this.#items = open && !items.some((item) => keyOf(item) === keyOf(open)) ? [open, ...items] : items;
    this.#at = open ? this.#indexOf(open) : -1;
  }

  #indexOf(item) {
    return this.#items.findIndex((other) => keyOf(other) === keyOf(item));
  }

  update(params) {
    const wanted = `${params.get("source") ?? "main"}\u0000${params.get("id")}`;
    const found = params.get("id") ? this.#items.findIndex((item) => keyOf(item) === wanted) : -1;
    this.body.classList.toggle("reading", found >= 0);
    if (found >= 0) this.#show(found);
    else if (this.#at < 0 && this.#items.length) this.#show(0);
  }

  #draw() {
    if (!this.#items.length) return fill(this.body, h("div", { class: "sheet" }, emptyState("Nothing to review", "The model is sure of all that it has seen, and nobody says otherwise.", h("a", { class: "button", href: path("emails") }, "All emails"))));
    fill(this.list, this.rows);
    fill(this.rows, this.#items.map((item) => this.#row(item)));
    this.rows.children[this.#at]?.firstElementChild.setAttribute("aria-current", "true");
    this.#say();
  }

  #row(item) {
    const decided = this.#decided.get(keyOf(item));
    return h("li", { class: decided ? "done" : "" }, h("a", { href: path("review", { id: item.email_id, source: item.source }), data: { review: item.email_id } },
      mark(decided ?? item.classification),
      h("span", { class: "row-subject", dir: "auto" }, item.subject || h("em", null, "no subject")),
      h("span", { class: "row-sender", dir: "auto" }, sender(item.sender)),
      h("span", { class: "row-end" }, decided ? `now ${decided}` : item.reasons.map((reason) => chip(REASONS[reason])))));
  }

  #redraw(index) {
    const fresh = this.#row(this.#items[index]);
    if (index === this.#at) fresh.firstElementChild.setAttribute("aria-current", "true");
    this.rows.children[index].replaceWith(fresh);
  }

  #show(index) {
    this.rows.querySelector('[aria-current="true"]')?.removeAttribute("aria-current");
    this.#at = index;
    const link = this.rows.children[index]?.firstElementChild;
    link?.setAttribute("aria-current", "true");
    link?.scrollIntoView({ block: "nearest" });
    const item = this.#items[index];
    this.email.open(item, this.#decided.get(keyOf(item)));
    if (index >= this.#items.length - 10) this.#loadMore();
  }

  #say() {
    const left = Math.max(0, this.#total - this.#decided.size);
    setText(this.said, this.#decided.size ? `${count(this.#decided.size)} done, ${count(left)} left` : `${count(this.#total)} to look at`);
  }

  async #loadMore() {
    if (!this.#cursor || this.#more) return;
    this.#more = true;
    // The ranking loses what was labelled meanwhile, so the page may overlap or leave a few for the next visit.
    const answer = await get(url(["review"], { limit: PAGE, cursor: this.#cursor }), { signal: this.signal }).catch(() => null);
    this.#more = false;
    if (!answer) return;
    this.#cursor = answer.next_cursor;
    const known = new Set(this.#items.map(keyOf));
    const fresh = answer.items.map(flat).filter((item) => !known.has(keyOf(item)));
    this.#items.push(...fresh);
    this.rows.append(...fresh.map((item) => this.#row(item)));
  }

  /** FakeMail's opinions of the first ones come after the page is there; the order stays as it is. */
  async #askFakeMail() {
    const answer = await get(url(["review"], { limit: ASKED, ask_fakemail: true }), { signal: this.signal }).catch(() => null);
    for (const told of answer?.items ?? []) {
      const index = this.#indexOf(told.result);
      if (index < 0 || !told.fakemail) continue;
      Object.assign(this.#items[index], { fakemail: told.fakemail, reasons: told.reasons });
      this.#redraw(index);
      if (index === this.#at) this.email.opinions(this.#items[index]);
    }
  }

  // -- labels

  async decide(name) {
    const item = this.#items[this.#at];
    if (!item) return;
    const before = this.#decided.get(keyOf(item));
    const given = { item, before };
    this.#history.push(given);
    this.#mark(item, name);
    this.#step(1, { open: true });
    if ((await this.#send(() => post(labelPath(item), { classification: name }))) === undefined) {
      this.#history = this.#history.filter((other) => other !== given);
      return this.#mark(item, before);
    }
    toast(item.similar ? `Now ${name}. ${similarWords(item)}` : `Now ${name}`, { undo: () => this.undo(), seconds: 5 });
  }

  /** Take back the last answer, and go to that email. */
  async undo() {
    const last = this.#history.pop();
    if (!last) return toast("There is nothing to undo");
    const { item, before } = last;
    const answer = await this.#send(() => (before ? post(labelPath(item), { classification: before }) : del(labelPath(item))), "Undone");
    if (answer === undefined) return this.#history.push(last);
    this.#mark(item, before);
    if (this.#indexOf(item) >= 0) this.#go(this.#indexOf(item));
  }

  /** One after the other, so that an undo never overtakes its answer. */
  #send(action, done) {
    this.#sent = this.#sent.then(() => attempt(action, done));
    return this.#sent;
  }

  #mark(item, name) {
    const index = this.#indexOf(item);
    if (name) this.#decided.set(keyOf(item), name);
    else this.#decided.delete(keyOf(item));
    if (index >= 0) this.#redraw(index);
    this.#say();
    if (index === this.#at) this.email.decided(name);
  }

  /** Somebody labelled one elsewhere, or took that back. */
  #labelled(data) {
    const name = data.decided_by === "person" ? data.classification : undefined;
    if (this.#indexOf(data) >= 0 && this.#decided.get(keyOf(data)) !== name) this.#mark(data, name);
  }

  // -- moving

  #step(by, { open = false } = {}) {
    let index = this.#at + by;
    while (open && this.#items[index] && this.#decided.has(keyOf(this.#items[index]))) index += by;
    if (this.#items[index]) this.#go(index);
    else if (open) toast("That was the last one");
    return true;
  }

  #go(index) {
    const { email_id: id, source } = this.#items[index];
    change({ id, source }, { replace: true });
  }

  #close() {
    change({ id: "", source: "" });
    this.rows.children[this.#at]?.firstElementChild.focus();
  }

  #keys() {
    const decide = (name) => () => this.decide(name);
    keys.page([
      ...CLASSES.flatMap((name, index) => [[String(index + 1), `${name}, and on to the next; also ${name[0]}`, decide(name)], [name[0], "", decide(name)]]),
      ["s", "Skip", () => this.#step(1, { open: true })],
      ["j", "Next", () => this.#step(1)],
      ["k", "Before", () => this.#step(-1)],
      ["z", "Undo the last answer", () => this.undo()],
      ["t", "The whole subject", () => this.email.subject.toggle()],
      ["Escape", "Back to the list", () => this.#close()],
    ]);
  }
}

function flat(item) {
  return { ...item, ...item.result, subject: item.subject ?? "", sender: item.sender ?? "" };
}
