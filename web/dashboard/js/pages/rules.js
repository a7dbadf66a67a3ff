/**
 * Rules: the user's own, in their order; the first that gives a class decides. They are made, changed, moved, switched
 * and deleted here; rule_form.js tests one on stored mail before it is saved. The address holds the open rule.
 */

import { ask, attempt, once, toast } from "../acting.js";
import { del, get, post, put, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { counted, exact } from "../format.js";
import { keys, stepped } from "../keys.js";
import { Look } from "../looking.js";
import { button, chip, emptyState, failed, label, loading } from "../parts.js";
import { change, current, path } from "../route.js";
import { reprocess } from "./reprocess.js";
import { forget, keep, kept } from "./rule_drafts.js";
import { KINDS, RuleForm, wire } from "./rule_form.js";

const LEAD = "Rules go before the model. The first matching rule with a class decides the class, "
  + "the first with a priority decides the priority.";
const NONE_YET = "A rule always classifies certain mail the same way. "
  + "For example, everything from *@newsletter.example is a promotion.";
const LATER = "New mail follows it within seconds; stored mail stays as it is until you reprocess it.";

export function show(root, _params, signal) {
  const page = new RulesPage(root, signal);
  page.look.now().then(() => signal.aborted || page.update(current().params)); // the address may have changed meanwhile
  return (changed) => page.update(changed);
}

const makeNew = () => button("New rule", () => change({ id: "new" }), "solid");
const closed = { id: "", sender: "", classification: "" };

class RulesPage {
  #rules = [];
  #open;
  #asked = null;

  constructor(root, signal) {
    this.signal = signal;
    this.said = h("span", { class: "quiet" });
    this.list = h("section", { class: "sheet", "aria-label": "Rules in order" }, loading(4));
    this.pane = h("section", { class: "sheet letter rule-pane", "aria-label": "Rule" });
    this.body = h("div", { class: "split" }, this.list, this.pane);
    fill(root, this.#head(), this.body);
    const question = (own) => get("/rules", { signal: own });
    this.look = new Look({ place: this.list, ask: question, show: (answer) => this.#show(answer.items), signal });
    keys.page([
      ["n", "New rule", () => change({ id: "new" })],
      ["j", "Next rule", () => this.#step(1)],
      ["k", "Previous rule", () => this.#step(-1)],
      ["Escape", "Close the rule", () => this.#close()],
    ]);
  }

  #head() {
    const title = "Apply the current rules and model to stored mail";
    const again = button("Reprocess stored mail", once(() => reprocess(this.signal)), "", { title });
    return h("div", { class: "head" },
      h("h1", null, "Rules"), this.said,
      h("div", { class: "actions" }, again, makeNew()),
      h("p", { class: "lead" }, LEAD));
  }

  update(params) {
    const id = params.get("id") ?? null;
    this.body.classList.toggle("open", id !== null);
    const asked = params.toString();
    if (id === this.#open && (id !== "new" || asked === this.#asked)) return; // what is being written stays
    this.#open = id;
    this.#asked = asked;
    this.#mark();
    if (id === null) return this.#choose();
    const rule = id === "new" ? draft(params) : this.#rules.find((each) => String(each.id) === id);
    if (!rule) return fill(this.pane, failed({ status: 404, message: "This rule no longer exists." }));
    this.#write(rule, asked);
    if (id === "new") this.pane.querySelector("input").focus();
  }

  /** No rule is open: say how to open one, if there is any. */
  #choose() {
    const words = h("p", { class: "quiet" }, "Select a rule to edit it, or create a new one.");
    fill(this.pane, this.#rules.length > 0 && words);
  }

  /** Show the form of a rule, or of its unsaved draft; what is written is kept for this place. */
  #write(rule, place) {
    const begun = kept(place);
    const form = new RuleForm(begun ?? rule, this.signal, {
      begun: begun !== null,
      written: (value) => keep(place, value),
      saved: (saved) => (forget(place), this.#saved(saved, rule.id)),
      cancel: () => this.#close(),
      remove: () => this.#remove(rule),
    });
    fill(this.pane, form.element);
  }

  #close() {
    forget(this.#asked);
    change(closed);
  }

  #show(rules) {
    this.#rules = rules;
    setText(this.said, rules.length ? counted(rules.length, "rule") : "");
    if (this.#open === null) this.#choose();
    if (!rules.length) return fill(this.list, emptyState("No rules yet", NONE_YET, makeNew()));
    fill(this.list, h("ol", { class: "rules" }, rules.map((rule, index) => this.#row(rule, index))));
    this.#mark();
  }

  #row(rule, index) {
    return h("li", { class: rule.enabled ? "" : "off", data: { rule: rule.id } },
      h("span", { class: "rule-place num" }, rule.place),
      h("div", { class: "rule-words" },
        h("a", { href: path("rules", { id: rule.id }), title: `Changed ${exact(rule.updated_at)}` }, rule.name),
        h("p", { class: "quiet" }, conditionWords(rule.conditions))),
      h("span", { class: "rule-then" },
        rule.classification && label(rule.classification),
        rule.priority && chip(`${rule.priority} priority`)),
      h("span", { class: "rule-acts" }, this.#toggle(rule), this.#mover(index, -1), this.#mover(index, 1)));
  }

  #toggle(rule) {
    const save = () => this.#save(rule, { enabled: toggle.checked }, toggle.checked ? "Enabled" : "Disabled");
    const name = `${rule.name} is enabled`;
    const props = { type: "checkbox", checked: rule.enabled, "aria-label": name, title: name };
    const toggle = h("input", { ...props, on: { change: save } });
    return toggle;
  }

  #mover(index, by) {
    const name = `Move ${this.#rules[index].name} ${by < 0 ? "up" : "down"}`;
    const props = { "aria-label": name, title: name, disabled: !this.#rules[index + by] };
    return button(by < 0 ? "↑" : "↓", () => this.#move(index, by), "plain small", props);
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
    const next = this.#rules[stepped(at, by, this.#rules.length)];
    change({ id: next.id }, { replace: true });
    return true;
  }

  /** Keep the focus on the control that was used, in the row's new position. */
  #focus(rule, selector) {
    this.list.querySelector(`[data-rule="${rule.id}"] ${selector}`)?.focus();
  }

  async #move(index, by) {
    const rule = this.#rules[index];
    await this.#save(rule, { place: rule.place + by });
    this.#focus(rule, `.rule-acts button:${by < 0 ? "first" : "last"}-of-type`);
  }

  async #save(rule, fields, done) {
    await attempt(() => put(url(["rules", rule.id]), { ...wire(rule), ...fields, version: rule.version }), done);
    await this.look.now();
    this.#focus(rule, ".rule-acts input");
  }

  /**
   * Reopen the form with the saved version. The focus goes to the rule in the list or, if the window is so narrow that
   * only the form is shown, to the form's title.
   */
  async #saved(rule, before) {
    await this.look.now();
    this.#open = null;
    change({ ...closed, id: rule.id }, { replace: true });
    this.update(current().params);
    this.#focus(rule, ".rule-words a");
    if (!this.list.contains(document.activeElement)) this.pane.querySelector("h2").focus();
    toast(`${before ? "Saved" : "Created"}. ${LATER}`);
  }

  async #remove(rule) {
    const words = "New mail is classified without it within seconds. What it decided stays until you reprocess it.";
    if (!(await ask(`Delete “${rule.name}”?`, words, "Delete", "danger"))) return;
    const answer = await attempt(() => del(url(["rules", rule.id])));
    if (answer === undefined) return;
    this.#close();
    await this.look.now();
    const undo = () => attempt(() => post("/rules", wire(rule)), "Rule restored").then(() => this.look.now());
    toast(`“${rule.name}” deleted`, { undo });
  }
}

function conditionWords(conditions) {
  return conditions.map(({ field, kind, pattern }, index) => {
    return [index > 0 && " and ", `${field} ${KINDS[kind]} `, h("span", { class: "mono" }, pattern)];
  });
}

/** A new rule, prefilled from the address. */
function draft(params) {
  const from = params.get("sender") ?? "";
  return {
    id: null,
    name: from ? `From ${from}` : "",
    conditions: [{ field: from ? "sender" : "subject", kind: from ? "glob" : "literal", pattern: from }],
    classification: params.get("classification") ?? null,
    priority: null,
    enabled: true,
    place: null,
    version: null,
  };
}
