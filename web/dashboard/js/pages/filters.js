/**
 * The filter bar over the list of emails: class, state, who decided, how sure, since when, from whom. It only shows what
 * the address says and hands back changes; the address is the truth. Used by emails.js.
 */

import { fill, h } from "../dom.js";
import { mark, press, segmented } from "../parts.js";
import { CLASSES, STATES } from "../shapes.js";

const SINCE = [["", "any time"], ["15m", "last 15 minutes"], ["1h", "last hour"], ["24h", "last 24 hours"], ["7d", "last 7 days"]];
const SURE = [["", "however sure"], ["0.5", "under 50 % sure"], ["0.7", "under 70 % sure"], ["0.9", "under 90 % sure"]];
const SPANS = { "15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800 };

/** `changed(values)` gets the parameters that differ, empty ones to be removed. */
export function filterBar(changed) {
  const classes = segmented("Class", [["", "All"], ...CLASSES.map((name) => [name, [mark(name), h("span", { class: "word" }, name)]])], "", (value) => changed({ classification: value }));
  const state = pick("State", [["", "any state"], ...STATES.map((name) => [name, name])], (value) => changed({ state: value }));
  const decider = pick("Decided by", [["", "decided by any"], ["model", "by the model"], ["rule", "by a rule"], ["person", "by a person"]], (value) => changed({ decided_by: value }));
  const sure = pick("Confidence", SURE, (value) => changed({ max_confidence: value }));
  const since = pick("Since", SINCE, (value) => changed({ since: value ? new Date(Date.now() - SPANS[value] * 1000).toISOString() : "" }));
  const others = h("span", { class: "chips" });
  const clear = h("button", { type: "button", class: "button plain small", on: { click: () => changed({ classification: "", state: "", decided_by: "", max_confidence: "", min_confidence: "", since: "", until: "", sender: "", source_only: "", q: "" }) } }, "Clear");

  const show = (values) => {
    press(classes, values.classification);
    for (const button of classes.children) if (button.dataset.value === "") button.setAttribute("aria-pressed", String(!values.classification));
    state.value = values.state;
    decider.value = values.decided_by;
    choose(sure, values.max_confidence, `under ${Math.round(values.max_confidence * 100)} % sure`);
    choose(since, values.since, `since ${values.since.slice(0, 16).replace("T", " ")}`);
    fill(others, extra("text", "q", values.q), extra("from", "sender", values.sender), extra("source", "source_only", values.source_only), extra("until", "until", values.until), extra("at least", "min_confidence", values.min_confidence));
    clear.hidden = !Object.values(values).some(Boolean);
  };
  const extra = (words, name, value) =>
    value && h("button", { type: "button", class: "chip drop", "aria-label": `Remove ${words} ${value}`, on: { click: () => changed({ [name]: "" }) } }, `${words}: ${value}`, h("i", { "aria-hidden": "true" }, "×"));

  return { element: h("div", { class: "filters", role: "group", "aria-label": "Filters" }, classes, h("div", { class: "picks" }, state, sure, decider, since, clear), others), show };
}

function pick(name, choices, change) {
  return h("select", { class: "pick", "aria-label": name, on: { change: (event) => change(event.target.value) } }, choices.map(([value, words]) => h("option", { value }, words)));
}

/** Select a value; one that is not among the choices (from a link, or a moving "since") gets an option of its own. */
function choose(select, value, words) {
  select.querySelector("[data-own]")?.remove();
  if (![...select.options].some((option) => option.value === value)) select.append(h("option", { value, data: { own: "" } }, words));
  select.value = value;
}
