/**
 * The form of one rule: its conditions, what it gives, and a test on stored mail before it is saved. What the server
 * does not like (a pattern that its engine refuses, say) stands beside the field it is about. Used by rules.js.
 */

import { post, put, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count } from "../format.js";
import { button, emptyState, label, loading } from "../parts.js";
import { path } from "../route.js";
import { CLASSES } from "../shapes.js";

const FIELDS = ["sender", "subject", "body"];
const LOOK_AT = 5000;
export const KINDS = { literal: "contains", glob: "is like", regex: "matches" };

/** A rule as the server takes it. */
export function wire({ name, conditions, classification, priority, enabled, place }) {
  return { name, conditions, classification, priority, enabled, place };
}

export class RuleForm {
  #rows = [];

  /** `acts`: {saved(rule), cancel(), remove()}. */
  constructor(rule, signal, acts) {
    this.rule = rule;
    this.signal = signal;
    this.acts = acts;
    this.name = h("input", { id: "rule-name", value: rule.name, maxlength: 200, autocomplete: "off" });
    this.gives = pick("rule-class", [["", "leave the class alone"], ...CLASSES.map((name) => [name, name])], rule.classification);
    this.priority = pick("rule-priority", [["", "leave it alone"], ...["high", "normal", "low"].map((name) => [name, name])], rule.priority);
    this.conditions = h("div", { class: "conditions" });
    this.errors = { name: said(), conditions: said(), classification: said(), other: said() };
    this.tried = h("div", { class: "tried", "aria-live": "polite" });
    this.element = h("form", { class: "rule-form", on: { submit: (event) => (event.preventDefault(), this.save()) } },
      h("header", null, h("h2", null, rule.id ? "Change the rule" : "A new rule"), h("span", { class: "end" }, button("Close", acts.cancel, "plain small"))),
      field("Name", this.name, this.errors.name),
      h("fieldset", null, h("legend", null, "If all of these hold"), this.conditions, button("And…", () => this.#add(), "small"), this.errors.conditions),
      h("div", { class: "rule-gives" }, field("then it is", this.gives, this.errors.classification), field("with priority", this.priority)),
      this.errors.other,
      h("div", { class: "actions" }, button("Test on stored mail", () => this.test(), "", { data: { test: "" } }), h("button", { class: "button solid" }, "Save"), rule.id && button("Delete", acts.remove, "danger")),
      this.tried);
    rule.conditions.forEach((condition) => this.#add(condition));
  }

  #add(condition = { field: "subject", kind: "literal", pattern: "" }) {
    const row = { where: pick(null, FIELDS.map((name) => [name, name]), condition.field, "Where"), kind: pick(null, Object.entries(KINDS), condition.kind, "How"), pattern: h("input", { value: condition.pattern, maxlength: 500, "aria-label": "Pattern", spellcheck: "false", autocomplete: "off", class: "mono" }), error: said() };
    const drop = button("×", () => this.#drop(row), "plain small", { "aria-label": "Remove this condition" });
    row.element = h("div", { class: "condition" }, row.where, row.kind, row.pattern, drop, row.error);
    this.#rows.push(row);
    this.conditions.append(row.element);
  }

  #drop(row) {
    if (this.#rows.length === 1) return row.pattern.focus();
    this.#rows = this.#rows.filter((other) => other !== row);
    row.element.remove();
  }

  #value() {
    return { ...wire(this.rule), name: this.name.value.trim(), conditions: this.#rows.map(({ where, kind, pattern }) => ({ field: where.value, kind: kind.value, pattern: pattern.value })), classification: this.gives.value || null, priority: this.priority.value || null };
  }

  async test() {
    this.#clear();
    fill(this.tried, loading(3));
    try {
      const wanted = { ...this.#value(), name: this.name.value.trim() || "test" };
      const answer = await post("/rules/test", { rule: wanted, id: this.rule.id, limit: LOOK_AT }, { signal: this.signal, timeout: 30_000 });
      fill(this.tried, outcome(answer));
    } catch (error) {
      fill(this.tried);
      this.#refused(error);
    }
  }

  async save() {
    this.#clear();
    const { id, version } = this.rule;
    try {
      this.acts.saved(await (id ? put(url(["rules", id]), { ...this.#value(), version }) : post("/rules", this.#value())));
    } catch (error) {
      this.#refused(error);
    }
  }

  #clear() {
    for (const node of [...Object.values(this.errors), ...this.#rows.map((row) => row.error)]) setText(node, "");
    for (const node of this.element.querySelectorAll("[aria-invalid]")) node.removeAttribute("aria-invalid");
  }

  /** Each complaint beside what it is about. */
  #refused(error) {
    const named = error.problem?.errors ?? [];
    for (const { field: name, message } of named) {
      const number = /^(?:rule\.)?conditions\[(\d+)\]/.exec(name);
      const row = number && this.#rows[Number(number[1])];
      const own = name.replace("rule.", "").split(/[.[]/)[0];
      setText(row?.error ?? this.errors[own] ?? this.errors.other, message);
      const input = row?.pattern ?? { name: this.name, classification: this.gives }[own];
      input?.setAttribute("aria-invalid", "true");
      input?.focus();
    }
    if (!named.length) setText(this.errors.other, error.message);
  }
}

function outcome(answer) {
  const scope = answer.complete ? `Of all ${count(answer.scanned)} stored emails` : `Of the newest ${count(answer.scanned)} stored emails`;
  if (!answer.matched) return emptyState("It matches nothing", `${scope}, none.`);
  return [
    h("p", { class: "tried-words" }, `${scope}, `, h("b", null, `${count(answer.matched)} match`), " and ", h("b", null, `${count(answer.would_change)} would change`), "."),
    h("ul", { class: "tried-changes" }, answer.changes.map((one) => h("li", null, label(one.from), " → ", label(one.to), h("span", { class: "num" }, count(one.count))))),
    h("ul", { class: "examples", "aria-label": "Examples" }, answer.examples.map((mail) => h("li", null,
      h("a", { href: path("emails", { id: mail.email_id, source: mail.source }) }, mail.subject || "no subject"),
      h("small", { class: "quiet" }, mail.sender),
      h("span", null, mail.classification === mail.would_be ? [label(mail.classification), h("small", { class: "quiet" }, " as it is")] : [label(mail.classification), " → ", label(mail.would_be)])))),
  ];
}

const said = () => h("p", { class: "field-error", role: "alert" });

function field(title, control, error) {
  return h("div", { class: "field" }, h("label", { for: control.id }, title), control, error);
}

function pick(id, choices, value, name) {
  return h("select", { id, "aria-label": name }, choices.map(([key, words]) => h("option", { value: key, selected: key === (value ?? "") }, words)));
}
