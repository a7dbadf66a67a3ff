/**
 * Review: what a person should look at first, least certain and most contested on top. One email at a time with its
 * evidence; one key labels it and goes to the next, another takes the answer back. The address holds the open email.
 */

import { quietly, toast } from "../acting.js";
import { get, post, url } from "../api.js";
import { fill, h, setText, updateRows } from "../dom.js";
import { count, sender } from "../format.js";
import { keys } from "../keys.js";
import { live } from "../live.js";
import { Look } from "../looking.js";
import { chip, emptyState, loading, mark, subjectOf } from "../parts.js";
import { change, current, path } from "../route.js";
import { CLASSES, keyIn, keyOf } from "../shapes.js";
import { Answers } from "./review_answers.js";
import { ReviewEmail, similarWords } from "./review_email.js";

const PAGE = 50;
const ASKED = 20;
const NEAR_THE_END = 10;
const LEAD = "The least certain and most disputed emails come first. Each answer teaches the next model.";
const NOTHING = "The model is sure of everything so far, and nothing disagrees with it. Mail appears here when the "
  + "model is unsure, or when a rule, the shadow model or FakeMail disagrees.";
const DIFFERING = { rule: "rule", shadow: "shadow", fakemail: "FakeMail" };

export function show(root, _params, signal) {
  const page = new ReviewPage(root, signal);
  page.look.now();
  return (changed) => page.update(changed);
}

class ReviewPage {
  #items = [];
  #at = -1;
  #cursor = null;
  #total = 0;
  #counted = 0;
  #more = false;
  #withdraw = () => {};

  constructor(root, signal) {
    this.signal = signal;
    this.answers = new Answers((item, name) => this.#answered(item, name));
    this.said = h("p", { class: "quiet", role: "status" });
    this.rows = h("ol", { class: "queue" });
    this.list = h("section", { class: "sheet queue-box", "aria-label": "Emails to review" }, loading(8));
    this.pane = h("section", { class: "sheet triage", "aria-label": "Email under review" });
    this.email = new ReviewEmail(this.pane, signal, this.#acts());
    this.body = h("div", { class: "review" }, this.list, this.pane);
    const head = h("div", { class: "head" }, h("h1", null, "Review"), this.said, h("p", { class: "lead" }, LEAD));
    fill(root, head, this.body);
    const ask = (own) => get(url(["review"], { limit: PAGE }), { signal: own });
    this.look = new Look({ place: this.list, ask, show: (answer) => this.#got(answer), signal });
    live.addEventListener("event", ({ detail }) => this.#onEvent(detail), { signal });
    this.#keys();
  }

  #acts() {
    return {
      decide: (name) => this.decide(name),
      skip: () => this.#step(1),
      undo: () => this.undo(),
      back: () => this.#close(),
    };
  }

  #onEvent({ event, data }) {
    if (event === "label") this.#labelled(data);
    else if (event === "process" && !this.#items.length) this.look.soon();
  }

  // -- the queue

  #got(answer) {
    this.#replace(answer.items.map(flat));
    this.#cursor = answer.next_cursor;
    this.#total = answer.total;
    this.#counted = this.answers.size; // these are no longer in the total
    this.#draw();
    if (this.#at < 0) this.update(current().params); // the open email stays open
    this.#askFakeMail();
  }

  /** Replace the list; the open email stays open, even if the new list does not contain it. */
  #replace(items) {
    const open = this.#items[this.#at];
    const gone = open && !items.some((item) => keyOf(item) === keyOf(open));
    this.#items = gone ? [open, ...items] : items;
    this.#at = open ? this.#indexOf(open) : -1;
  }

  #indexOf(item) {
    return this.#items.findIndex((other) => keyOf(other) === keyOf(item));
  }

  #draw() {
    if (!this.#items.length) return fill(this.body, h("div", { class: "sheet nothing" }, nothing()));
    if (!this.list.isConnected) fill(this.body, this.list, this.pane);
    if (!this.rows.isConnected) fill(this.list, this.rows);
    this.#drawRows();
    this.#say();
  }

  #drawRows() {
    updateRows(this.rows, this.#items.map((item, index) => this.#row(item, index)));
  }

  #row(item, index) {
    const answer = this.answers.of(item);
    const href = path("review", { id: item.email_id, source: item.source });
    const end = answer ? `now ${answer}` : reasons(item.reasons);
    const current = index === this.#at ? "true" : undefined;
    return h("li", { class: answer ? "done" : "", data: { key: keyOf(item) } },
      h("a", { href, "aria-current": current, data: { review: item.email_id } },
        mark(answer ?? item.classification),
        h("span", { class: "row-subject", dir: "auto" }, subjectOf(item)),
        h("span", { class: "row-line under" },
          h("span", { class: "row-sender", dir: "auto" }, sender(item.sender)),
          h("span", { class: "row-end" }, end))));
  }

  #say() {
    const done = this.answers.size;
    const left = Math.max(0, this.#total + this.#counted - done);
    setText(this.said, done ? `${count(done)} done, ${count(left)} left` : `${count(left)} to review`);
  }

  async #loadMore() {
    if (!this.#cursor || this.#more) return;
    this.#more = true;
    // Opinions that arrived meanwhile may have moved emails up or down, so the page may repeat some.
    const query = url(["review"], { limit: PAGE, cursor: this.#cursor });
    const answer = await quietly(() => get(query, { signal: this.signal }));
    this.#more = false;
    if (!answer) return;
    this.#cursor = answer.next_cursor;
    const known = new Set(this.#items.map(keyOf));
    const fresh = answer.items.map(flat).filter((item) => !known.has(keyOf(item)));
    this.#items.push(...fresh);
    this.#drawRows();
  }

  /** FakeMail's opinions of the first emails arrive after the page is shown; they do not change the order. */
  async #askFakeMail() {
    if (document.body.dataset.session === "read") return;
    const query = url(["review", "opinions"], { limit: ASKED });
    const answer = await quietly(() => post(query, {}, { signal: this.signal }));
    for (const told of answer?.items ?? []) {
      const index = this.#indexOf(told.result);
      if (index < 0 || !told.fakemail) continue;
      Object.assign(this.#items[index], { fakemail: told.fakemail, reasons: told.reasons });
      this.#drawRows();
      if (index === this.#at) this.email.opinions(this.#items[index]);
    }
  }

  // -- answers

  async decide(name) {
    const item = this.#items[this.#at];
    if (!item) return;
    const taken = this.answers.give(item, name);
    this.#step(1, { open: true });
    if (!(await taken)) return;
    const words = item.similar ? `Marked as ${name}. ${similarWords(item)}` : `Marked as ${name}`;
    this.#withdraw(); // an undo takes back the newest answer, so only the newest offers it
    this.#withdraw = toast(words, { undo: () => this.undo(), seconds: 5 });
  }

  /** Take back the last answer and go to its email. */
  async undo() {
    this.#withdraw();
    const item = await this.answers.takeBack();
    if (item && this.#indexOf(item) >= 0) this.#go(this.#indexOf(item));
  }

  #answered(item, name) {
    const index = this.#indexOf(item);
    if (index >= 0) this.#drawRows();
    this.#say();
    if (index >= 0 && index === this.#at) this.email.decided(name);
  }

  /** Somebody labelled an email elsewhere, or took a label back. */
  #labelled(data) {
    const name = data.decided_by === "person" ? data.classification : undefined;
    if (this.#indexOf(data) >= 0 && this.answers.of(data) !== name) this.answers.note(data, name);
  }

  // -- moving

  update(params) {
    const wanted = keyIn(params);
    const found = this.#items.findIndex((item) => keyOf(item) === wanted);
    this.body.classList.toggle("reading", found >= 0);
    if (found >= 0) this.#show(found);
    else if (this.#at < 0 && this.#items.length) this.#show(0);
  }

  #show(index) {
    this.rows.querySelector('[aria-current="true"]')?.removeAttribute("aria-current");
    this.#at = index;
    const link = this.rows.children[index]?.firstElementChild;
    link?.setAttribute("aria-current", "true");
    link?.scrollIntoView({ block: "nearest" });
    if (this.rows.contains(document.activeElement)) link?.focus({ preventScroll: true }); // the focus moves along
    const item = this.#items[index];
    this.email.open(item, this.answers.of(item));
    if (index >= this.#items.length - NEAR_THE_END) this.#loadMore();
  }

  #step(by, { open = false } = {}) {
    let index = this.#at + by;
    while (open && this.#items[index] && this.answers.of(this.#items[index])) index += by;
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
    const answers = CLASSES.map((name, index) => [String(index + 1), `Answer ${name}, go to the next`, decide(name)]);
    keys.page([
      ...answers,
      ["s", "Skip", () => this.#step(1, { open: true })],
      ["j", "Next", () => this.#step(1)],
      ["k", "Previous", () => this.#step(-1)],
      ["u", "Undo the last answer", () => this.undo()],
      ["z", "", () => this.undo()],
      ["t", "Show the whole subject", () => this.email.subject.toggle()],
      ["Escape", "Back to the list", () => this.#close()],
    ]);
  }
}

/** Why an email is in the queue, in short: its sender is shown beside it. */
function reasons(names) {
  const others = Object.keys(DIFFERING).filter((name) => names.includes(name)).map((name) => DIFFERING[name]);
  return [
    names.includes("uncertain") && chip("unsure"),
    others.length > 0 && chip(`${others.join(", ")} ${others.length > 1 ? "differ" : "differs"}`),
  ];
}

function nothing() {
  return emptyState("Nothing to review", NOTHING, h("a", { class: "button", href: path("emails") }, "All emails"));
}

function flat(item) {
  return { ...item, ...item.result, subject: item.subject ?? "", sender: item.sender ?? "" };
}
