/**
 * The email under review: each opinion of it, its text with the evidence marked, the four answers, and how many
 * similar emails an answer also speaks for. Drawn into its pane by review.js.
 */

import { get, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count, percent } from "../format.js";
import { newestOnly } from "../looking.js";
import { button, chip, emailText, failed, foreign, label, loading, mark, press, subjectOf } from "../parts.js";
import { path } from "../route.js";
import { CLASSES, isVisible } from "../shapes.js";
import { evidenceList, highlighted } from "./evidence.js";
import { Subject } from "./subject.js";

const BARS_AFTER = 120;
const WORTH_SHOWING = 0.005;

export class ReviewEmail {
  /** `acts` are the buttons' actions: {decide, skip, undo, back}. */
  constructor(pane, signal, acts) {
    this.pane = pane;
    this.newest = newestOnly(signal);
    this.subject = new Subject();
    this.said = h("span", { class: "quiet" });
    this.who = h("table", { class: "bare opinions" });
    this.text = h("div", null);
    this.answers = answers(acts.decide);
    this.bar = h("div", { class: "answer-bar" },
      this.answers,
      button("Skip", acts.skip, "small"),
      button("Undo", acts.undo, "small", { data: { back: "" } }),
      this.said,
      button("List", acts.back, "plain small back", { "aria-label": "Back to the list" }));
  }

  /** Show this email and the answer it already has, if any. */
  open(item, decided) {
    fill(this.pane, this.bar, this.subject.element, sentBy(item), this.who, reach(item), this.text);
    this.subject.show(subjectOf(item), { fresh: true });
    this.opinions(item);
    this.decided(decided);
    fill(this.text);
    return this.#load(item);
  }

  /** Show which answer was given. */
  decided(name) {
    press(this.answers, name);
    setText(this.said, name ? "Your answer" : "");
  }

  /** All opinions, the model's first. */
  opinions(item) {
    const own = { classification: item.model, confidence: Math.max(...Object.values(item.probabilities)) };
    const others = [["A rule", item.rule], ["The shadow model", item.shadow], ["FakeMail", item.fakemail]];
    const rows = [
      opinion("The model", own, odds(item)),
      ...others.filter(([, said]) => said).map(([who, said]) => opinion(who, said, "", item.model)),
    ];
    fill(this.who, h("caption", { class: "hidden" }, "Opinions"), h("tbody", null, rows));
  }

  async #load(item) {
    const bars = setTimeout(() => fill(this.text, loading(6)), BARS_AFTER);
    const query = { source: item.source, explain: true, include_content: true };
    const address = url(["results", item.email_id], query);
    const ask = (signal) => get(address, { signal }).finally(() => clearTimeout(bars));
    const missed = (error) => fill(this.text, failed(error, () => this.#load(item)));
    await this.newest(ask, (result) => this.#draw(item, result), missed);
  }

  #draw(item, result) {
    const evidence = result.explanation?.evidence ?? [];
    if (isVisible(item.subject)) this.subject.show(highlighted(result.subject ?? item.subject, evidence, "subject"));
    const why = result.explanation && [h("h3", null, "Why"), evidenceList(result)];
    fill(this.text, textOf(result.body, evidence), why ?? chip("no explanation stored"));
  }
}

function answers(decide) {
  const choice = (name, index) => {
    const props = { type: "button", "aria-pressed": "false", data: { value: name }, on: { click: () => decide(name) } };
    return h("button", props, mark(name), name, h("kbd", { "aria-hidden": "true" }, index + 1));
  };
  return h("div", { class: "segments answers", role: "group", "aria-label": "Answer" }, CLASSES.map(choice));
}

function sentBy({ sender }) {
  return h("p", { class: "quiet" }, foreign(sender) ?? "no sender");
}

function textOf(body, evidence) {
  const none = body === "" ? "This email has no text." : "The text is no longer stored.";
  if (!body) return h("p", { class: "quiet" }, none);
  return emailText(highlighted(body, evidence, "body"));
}

/** One row; an opinion that differs from the model's is highlighted. */
function opinion(who, { classification, confidence }, shares, model = classification) {
  return h("tr", { class: classification === model ? "" : "other" },
    h("th", { scope: "row" }, who),
    h("td", null, label(classification)),
    h("td", { class: "num" }, confidence == null ? "" : percent(confidence)),
    h("td", { class: "wide" }, shares));
}

/** The model's probabilities, as far as they are worth showing. */
function odds({ probabilities }) {
  const worth = CLASSES.filter((name) => probabilities[name] >= WORTH_SHOWING);
  const sorted = worth.sort((a, b) => probabilities[b] - probabilities[a]);
  const share = (name) => {
    const title = `${name} ${percent(probabilities[name])}`;
    return h("i", { class: `c-${name}`, vars: { "--share": probabilities[name] }, title });
  };
  return h("span", { class: "shares" }, sorted.map(share));
}

/** How many similar emails an answer speaks for, and links to them. */
function reach(item) {
  if (!item.similar) return h("p", { class: "reach" }, "There is no similar mail.");
  const address = /<([^>]+)>/.exec(item.sender)?.[1] ?? item.sender;
  const rule = { id: "new", sender: address, classification: item.runner_up ?? item.model };
  return h("p", { class: "reach" }, similarWords(item), " ",
    address && [
      h("a", { href: path("emails", { sender: address }) }, "See them"),
      " ",
      h("a", { href: path("rules", rule) }, "Create a rule instead"),
    ]);
}

/** How many similar emails a correction speaks for. */
export function similarWords({ similar, model }) {
  const many = similar >= 1000 ? "1,000 or more" : count(similar);
  const [emails, them] = similar === 1 ? ["email", "it"] : ["emails", "them"];
  return `${many} similar ${emails} labelled ${model}: your answer may fit ${them} too.`;
}
