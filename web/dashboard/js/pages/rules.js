/**
 * Rules: a user's own, in their order; the first that gives a class decides. Made, changed, moved, switched and deleted
 * here; rule_form.js tests one on stored mail before it is saved. The address holds the rule that is open.
 */

import { del, get, post, put, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { counted, when } from "../format.js";
import { keys } from "../keys.js";
import { ask, attempt, button, chip, emptyState, failed, label, loading, toast } from "../parts.js";
import { change, current, path } from "../route.js";
import { reprocess } from "./reprocess.js";
import { KINDS, RuleForm, wire } from "./rule_form.js";

export function show(root, _params, signal) {
  const page = new RulesPage(root, signal);
  page.load().then(() => signal.aborted || page.update(current().params)); // the address may have changed meanwhile
  return (changed) => page.update(changed);
}

class RulesPage {
  #rules = [];
  #open = null;
  #asked = null;

  constructor(root, signal) {
    this.signal = signal;
    this.said = h("span", { class: "quiet" });
    this.list = h("section", { class: "sheet", "aria-label": "Rules in their order" }, loading(4));
    this.pane = h("section", { class: "sheet letter rule-pane", "aria-label": "Rule" });
    this.body = h("div", { class: "split" }, this.list, this.pane);
    fill(root,
      h("div", { class: "head" }, h("h1", null, "Rules"), this.said, h("div", { class: "actions" }, button("Judge stored mail again", () => reprocess(signal), "", { title: "Bring today's rules and model to what is stored" }), button("New rule", () => change({ id: "new" }), "solid")),
        h("p", { class: "lead" }, "They go before the model. The first rule that gives a class decides the class, the first that gives a priority decides that.")),
      this.body);
    keys.page([
      ["n", "New rule", () => change({ id: "new" })],
      ["j", "Next rule", () => this.#step(1)],
      ["k", "Rule before", () => this.#step(-1)],
      ["Escape", "Close the rule", () => change({ id: "" })],
    ]);
  }

  async load() {
    try {
      this.#rules = (await get("/rules", { signal: this.signal })).items;
      this.#draw();
    } catch (error) {
      if (!this.signal.aborted) fill(this.list, failed(error, () => this.load()));
    }
  }

  update(params) {
    const id = params.get("id") ?? null;
    this.body.classList.toggle("open", id !== null);
    const asked = params.toString();
    if (id === this.#open && (id !== "new" || asked === this.#asked)) return; // what is being written stays
    this.#open = id;
    this.#asked = asked;
    this.#mark();
    if (id === null) return fill(this.pane, h("p", { class: "quiet" }, this.#rules.length ? "Choose a rule to change it, or make a new one." : "A new rule is written here."));
    const rule = id === "new" ? draft(params) : this.#rules.find((each) => String(each.id) === id);
    if (!rule) return fill(this.pane, failed({ status: 404, message: "There is no such rule any more." }));
    const form = new RuleForm(rule, this.signal, { saved: (saved) => this.#saved(saved, rule.id), cancel: () => change({ id: "", sender: "", classification: "" }), remove: () => this.#remove(rule) });
    fill(this.pane, form.element);
    if (id === "new") form.element.querySelector("input").focus();
  }

  #draw() {
    setText(this.said, this.#rules.length ? counted(this.#rules.length, "rule") : "");
    if (!this.#rules.length) return fill(this.list, emptyState("No rules yet", "A rule says: mail like this is always that. For example, everything from *@newsletter.example is a promotion.", button("New rule", () => change({ id: "new" }), "solid")));
    fill(this.list, h("ol", { class: "rules" }, this.#rules.map((rule, index) => this.#row(rule, index))));
    this.#mark();
  }

  #row(rule, index) {
    const move = (by, name, arrow) => button(arrow, () => this.#move(index, by), "plain small", { "aria-label": `Move ${rule.name} ${name}`, disabled: !this.#rules[index + by] });
    const toggle = h("input", { type: "checkbox", checked: rule.enabled, "aria-label": `${rule.name} is in force`, on: { change: () => this.#save(rule, { enabled: toggle.checked }, toggle.checked ? "In force" : "Switched off") } });
    return h("li", { class: rule.enabled ? "" : "off", data: { rule: rule.id } },
      h("span", { class: "rule-place num" }, rule.place),
      h("div", { class: "rule-words" },
        h("a", { href: path("rules", { id: rule.id }) }, rule.name),
        h("p", { class: "quiet" }, conditionWords(rule.conditions))),
      h("span", { class: "rule-then" }, rule.classification && label(rule.classification), rule.priority && chip(`${rule.priority} priority`)),
      h("span", { class: "rule-acts" }, toggle, move(-1, "up", "↑"), move(1, "down", "↓")),
      h("span", { class: "hidden" }, `changed ${when(rule.updated_at)}`));
  }

  #mark() {
    for (const row of this.list.querySelectorAll("[data-rule]")) {
      if (row.dataset.rule === this.#open) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
  }

  #step(by) {
    if (!this.#rules.length) return false;
    const at = this.#rules.findIndex((rule) => String(rule.id) === this.#open);
    const next = this.#rules[Math.min(this.#rules.length - 1, Math.max(0, at + by))];
    change({ id: next.id }, { replace: true });
    return true;
  }

  async #move(index, by) {
    const rule = this.#rules[index];
    await this.#save(rule, { place: rule.place + by });
    this.list.querySelector(`[data-rule="${rule.id}"] .rule-acts button:${by < 0 ? "first" : "last"}-of-type`)?.focus();
  }

  async #save(rule, fields, done) {
    await attempt(() => put(url(["rules", rule.id]), { ...wire(rule), ...fields, version: rule.version }), done);
    await this.load();
  }

  async #saved(rule, before) {
    await this.load();
    this.#open = null;
    change({ id: rule.id, sender: "", classification: "" }, { replace: true });
    this.update(current().params); // the form begins anew, from the version that was saved
    toast(`${before ? "Saved" : "Made"}. New mail follows it within seconds; stored mail stays as it is until it is judged again.`);
  }

  async #remove(rule) {
    if (!(await ask(`Delete “${rule.name}”?`, "New mail is judged without it within seconds. What it decided stays until it is judged again.", "Delete", "danger"))) return;
    const answer = await attempt(() => del(url(["rules", rule.id])));
    if (answer === undefined) return;
    change({ id: "" });
    await this.load();
    toast(`“${rule.name}” is deleted`, { undo: () => attempt(() => post("/rules", wire(rule)), "It is back").then(() => this.load()) });
  }
}

function conditionWords(conditions) {
  return conditions.map(({ field, kind, pattern }, index) => [index > 0 && " and ", `${field} ${KINDS[kind]} `, h("span", { class: "mono" }, pattern)]);
}

/** A new rule, begun from what the address says. */
function draft(params) {
  const from = params.get("sender") ?? "";
  const conditions = [{ field: from ? "sender" : "subject", kind: from ? "glob" : "literal", pattern: from }];
  return { id: null, name: from ? `From ${from}` : "", conditions, classification: params.get("classification") ?? null, priority: null, enabled: true, place: null, version: null };
}
