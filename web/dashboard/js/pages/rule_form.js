/**
 * The form of one rule: its conditions, what it gives, and a test on stored mail before it is saved. The server's
 * complaints (a pattern that its engine refuses, say) are shown beside the fields concerned. Used by rules.js.
 */

import { once, patiently } from "../acting.js";
import { post, put, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count } from "../format.js";
import { complaint, field, plain, select } from "../forms.js";
import { newestOnly } from "../looking.js";
import { button, changeList, chip, emptyState, label, loading, subjectOf } from "../parts.js";
import { path } from "../route.js";
import { CLASSES, LANES } from "../shapes.js";

const FIELDS = ["sender", "subject", "body"];
const GIVES = [["", "leave unchanged"], ...plain(CLASSES)];
const RANKS = [["", "leave unchanged"], ...plain(LANES)];
const TOLD = ["name", "conditions", "classification", "other"];
const LOOK_AT = 5000;
export const KINDS = { literal: "contains", glob: "is like", regex: "matches" };
const LIKE = { literal: "half price", glob: "*@shop.example", regex: "\\d+ ?% off" };

/** A rule in the form that the server accepts. */
export function wire({ name, conditions, classification, priority, enabled, place }) {
  return { name, conditions, classification, priority, enabled, place };
}

export class RuleForm {
  #rows = [];

  /** `acts`: {written(rule), saved(rule), cancel(), remove()}, and `begun`: whether this is an unsaved draft. */
  constructor(rule, signal, acts) {
    this.rule = rule;
    this.acts = acts;
    this.newest = newestOnly(signal);
    this.name = h("input", { id: "rule-name", value: rule.name, maxlength: 200, autocomplete: "off" });
    this.gives = select(GIVES, { id: "rule-class" }, rule.classification ?? "");
    this.priority = select(RANKS, { id: "rule-priority" }, rule.priority ?? "");
    this.conditions = h("div", { class: "conditions" });
    this.errors = Object.fromEntries(TOLD.map((name) => [name, complaint()]));
    this.tried = h("div", { class: "tried", "aria-live": "polite" });
    const save = once(() => this.save());
    const submit = (event) => (event.preventDefault(), save());
    const parts = [this.#head(), this.#fields(), this.#buttons(), this.tried];
    const written = () => acts.written({ ...rule, ...this.#value() });
    this.element = h("form", { class: "rule-form", on: { submit, input: written } }, parts);
    rule.conditions.forEach((condition) => this.#add(condition));
  }

  #head() {
    return h("header", null,
      h("h2", { tabindex: -1 }, this.rule.id ? "Edit rule" : "New rule"),
      this.acts.begun && chip("not saved"),
      h("span", { class: "end" }, button("Close", this.acts.cancel, "plain small")));
  }

  #fields() {
    const and = button("And…", () => this.#add().pattern.focus(), "small", { "aria-label": "Add a condition" });
    return [
      field("Name", this.name, this.errors.name),
      h("fieldset", null, h("legend", null, "If all of these match"), this.conditions, and, this.errors.conditions),
      h("div", { class: "rule-gives" },
        field("then set the class to", this.gives, this.errors.classification),
        field("and the priority to", this.priority)),
      this.errors.other,
    ];
  }

  #buttons() {
    return h("div", { class: "actions" },
      button("Test on stored mail", () => this.test(), "", { data: { test: "" } }),
      h("button", { class: "button solid" }, "Save"),
      this.rule.id && button("Delete", this.acts.remove, "danger"));
  }

  #add(condition = { field: "subject", kind: "literal", pattern: "" }) {
    const props = { maxlength: 500, "aria-label": "Pattern", spellcheck: "false", autocomplete: "off", class: "mono" };
    const row = {
      where: select(plain(FIELDS), { "aria-label": "Where" }, condition.field),
      kind: select(Object.entries(KINDS), { "aria-label": "How" }, condition.kind),
      pattern: h("input", { value: condition.pattern, placeholder: LIKE[condition.kind], ...props }),
      error: complaint(),
    };
    row.kind.addEventListener("change", () => (row.pattern.placeholder = LIKE[row.kind.value]));
    const drop = button("×", () => this.#drop(row), "plain small", { "aria-label": "Remove this condition" });
    row.element = h("div", { class: "condition" }, row.where, row.kind, row.pattern, drop, row.error);
    this.#rows.push(row);
    this.conditions.append(row.element);
    return row;
  }

  #drop(row) {
    if (this.#rows.length > 1) {
      this.#rows = this.#rows.filter((other) => other !== row);
      row.element.remove();
      this.acts.written({ ...this.rule, ...this.#value() });
    }
    this.#rows[0].pattern.focus();
  }

  #value() {
    const conditions = this.#rows.map(({ where, kind, pattern }) => {
      return { field: where.value, kind: kind.value, pattern: pattern.value };
    });
    return {
      ...wire(this.rule),
      name: this.name.value.trim(),
      conditions,
      classification: this.gives.value || null,
      priority: this.priority.value || null,
    };
  }

  test() {
    this.#clear();
    fill(this.tried, loading(3));
    const rule = { ...this.#value(), name: this.name.value.trim() || "test" };
    const body = { rule, id: this.rule.id, limit: LOOK_AT };
    const refused = (error) => (fill(this.tried), this.#refused(error));
    const question = (signal) => post("/rules/test", body, { signal, timeout: 30_000 });
    return this.newest(question, (answer) => fill(this.tried, outcome(answer)), refused);
  }

  async save() {
    this.#clear();
    const { id, version } = this.rule;
    const value = this.#value();
    try {
      const send = () => (id ? put(url(["rules", id]), { ...value, version }) : post("/rules", value));
      this.acts.saved(await patiently(send));
    } catch (error) {
      this.#refused(error);
    }
  }

  #clear() {
    for (const node of [...Object.values(this.errors), ...this.#rows.map((row) => row.error)]) setText(node, "");
    for (const node of this.element.querySelectorAll("[aria-invalid]")) node.removeAttribute("aria-invalid");
  }

  /** Show each complaint beside the field concerned. */
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
  const which = answer.complete ? "all" : "the newest";
  const scope = `Of ${which} ${count(answer.scanned)} stored emails`;
  if (!answer.matched) return emptyState("No matches", `${scope}, none match.`);
  const matched = h("b", null, `${count(answer.matched)} match`);
  const changing = h("b", null, `${count(answer.would_change)} would change`);
  return [
    h("p", null, `${scope}, `, matched, " and ", changing, "."),
    changeList(answer.changes, "What would change"),
    h("ul", { class: "examples", "aria-label": "Examples" }, answer.examples.map(example)),
  ];
}

function example(mail) {
  const stays = mail.classification === mail.would_be;
  return h("li", null,
    h("a", { href: path("emails", { id: mail.email_id, source: mail.source }) }, subjectOf(mail)),
    h("small", { class: "quiet" }, mail.sender),
    h("span", null, label(mail.classification),
      stays ? h("small", { class: "quiet" }, " unchanged") : [" → ", label(mail.would_be)]));
}
