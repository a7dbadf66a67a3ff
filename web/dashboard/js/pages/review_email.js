/**
 * The email under review: who says what of it, its text with the evidence marked, the four answers and how many similar
 * mails one of them speaks for. Drawn into its pane by review.js.
 */

import { get, url } from "../api.js";
import { fill, h } from "../dom.js";
import { count, percent } from "../format.js";
import { button, chip, failed, loading, mark, label, meter, press } from "../parts.js";
import { path } from "../route.js";
import { CLASSES, keyOf } from "../shapes.js";
import { evidenceList, highlighted } from "./evidence.js";

export class ReviewEmail {
  #item = null;

  /** `acts`: what the buttons do: {decide, skip, undo, back}. */
  constructor(pane, signal, acts) {
    this.pane = pane;
    this.signal = signal;
    this.acts = acts;
    this.who = h("table", { class: "bare opinions" });
    this.text = h("div", { class: "triage-text" });
    this.answers = h("div", { class: "segments answers", role: "group", "aria-label": "It is" }, CLASSES.map((name, index) =>
      h("button", { type: "button", "aria-pressed": "false", data: { value: name }, on: { click: () => acts.decide(name) } }, mark(name), name, h("kbd", { "aria-hidden": "true" }, index + 1))));
  }

  async open(item, decided) {
    this.#item = item;
    this.subject = h("h2", { class: "detail-subject" }, item.subject || h("em", null, "no subject"));
    this.said = h("span", { class: "quiet decided" });
    fill(this.pane,
      h("div", { class: "answer-bar" }, this.answers, button("Skip", this.acts.skip, "small"), button("Undo", this.acts.undo, "small", { data: { back: "" } }), this.said, button("List", this.acts.back, "plain small back", { "aria-label": "Back to the list" })),
      this.subject,
      h("p", { class: "quiet" }, item.sender || "no sender"),
      this.who,
      h("p", { class: "reach" }, item.similar ? [similarWords(item), " ", this.#similarLinks(item)] : "No similar mail is known."),
      this.text);
    this.opinions(item);
    this.decided(decided);
    const waiting = setTimeout(() => fill(this.text, loading(6)), 120);
    fill(this.text);
    await this.#load(item);
    clearTimeout(waiting);
  }

  /** Which answer stands. */
  decided(name) {
    press(this.answers, name);
    this.said.textContent = name ? "You said so" : "";
  }

  /** Everybody's opinion, ours first. */
  opinions(item) {
    const rows = [["The model", { classification: item.model, confidence: Math.max(...Object.values(item.probabilities)) }], ["A rule", item.rule], ["The shadow model", item.shadow], ["FakeMail", item.fakemail]];
    const said = rows.filter(([, opinion]) => opinion);
    fill(this.who,
      h("caption", { class: "hidden" }, "Who says what"),
      h("tbody", null, said.map(([who, { classification, confidence }], index) => h("tr", { class: index && classification !== item.model ? "other" : "" },
        h("th", { scope: "row" }, who), h("td", null, label(classification)), h("td", { class: "num" }, confidence == null ? "" : percent(confidence)), h("td", { class: "wide" }, index ? "" : odds(item))))));
  }

  #similarLinks(item) {
    const address = /<([^>]+)>/.exec(item.sender)?.[1] ?? item.sender;
    return address && [h("a", { href: path("emails", { sender: address }) }, "See them"), " ", h("a", { href: path("rules", { id: "new", sender: address, classification: item.runner_up ?? item.model }) }, "Make a rule instead")];
  }

  async #load(item) {
    try {
      const result = await get(url(["results", item.email_id], { source: item.source, explain: true, include_content: true }), { signal: this.signal });
      if (keyOf(item) !== keyOf(this.#item)) return;
      const evidence = result.explanation?.evidence ?? [];
      fill(this.subject, item.subject ? highlighted(result.subject ?? item.subject, evidence, "subject") : h("em", null, "no subject"));
      fill(this.text,
        result.body ? h("pre", { class: "body", tabindex: "0", "aria-label": "Text of the email" }, highlighted(result.body, evidence, "body")) : h("p", { class: "quiet" }, result.body === "" ? "The email has no text." : "The text is not kept any more."),
        result.explanation ? [h("h3", null, "Why"), evidenceList(result)] : chip("no explanation is kept"));
    } catch (error) {
      if (!this.signal.aborted && keyOf(item) === keyOf(this.#item)) fill(this.text, failed(error, () => this.#load(item)));
    }
  }
}

/** How the model's doubt is shared out. */
function odds({ probabilities }) {
  const sorted = CLASSES.filter((name) => probabilities[name] >= 0.005).sort((a, b) => probabilities[b] - probabilities[a]);
  return h("span", { class: "shares" }, sorted.map((name) => h("i", { class: `c-${name}`, vars: { "--share": probabilities[name] }, title: `${name} ${percent(probabilities[name])}` })));
}

/** How far a correction reaches. */
export function similarWords({ similar, model }) {
  const many = similar >= 1000 ? "1,000 or more" : count(similar);
  return `${many} similar ${similar === 1 ? "mail" : "mails"} labelled ${model}: it speaks for ${similar === 1 ? "that one" : "them"} too.`;
}
