/**
 * The filter bar over the list of emails: class, state, who decided, how sure, since when, from whom. It only shows
 * what the address says and reports changes; the address holds the state. Used by emails.js.
 */

import { fill, h } from "../dom.js";
import { NONE, when } from "../format.js";
import { plain, select } from "../forms.js";
import { live } from "../live.js";
import { mark, press, segmented } from "../parts.js";
import { CLASSES, STATES } from "../shapes.js";

const SURE = [
  ["", "any confidence"],
  ["0.5", "under 50 % sure"],
  ["0.7", "under 70 % sure"],
  ["0.9", "under 90 % sure"],
];
const DECIDED = [["", "decided by any"], ["model", "by the model"], ["rule", "by a rule"], ["person", "by a person"]];
const SINCE = [
  ["", "any time"],
  ["15m", "last 15 minutes"],
  ["1h", "last hour"],
  ["24h", "last 24 hours"],
  ["7d", "last 7 days"],
];
const SPANS = { "15m": 900, "1h": 3600, "24h": 86_400, "7d": 604_800 };

/** Filters without a control of their own: each is a chip that a click removes. */
const CHIPS = [
  ["text", "q"],
  ["from", "sender"],
  ["source", "source_only"],
  ["until", "until"],
  ["at least", "min_confidence"],
];

/** The parameters of the address that are filters. */
export const FILTERS = [
  "classification", "state", "decided_by", "max_confidence", "since", ...CHIPS.map(([, name]) => name),
];
const NOTHING = Object.fromEntries(FILTERS.map((name) => [name, ""]));

/** `changed(values)` receives the parameters that differ; an empty one is to be removed. */
export function filterBar(changed) {
  const classes = segmented("Class", classChoices(), "", (value) => changed({ classification: value }));
  const states = [["", "any state"], ...plain(STATES)];
  const state = pick("State", states, (value) => changed({ state: value }));
  const decider = pick("Decided by", DECIDED, (value) => changed({ decided_by: value }));
  const sure = pick("Confidence", SURE, (value) => changed({ max_confidence: value }));
  const since = pick("Since", SINCE, (value) => changed({ since: value ? before(SPANS[value]) : "" }));
  const others = h("span", { class: "chips" });
  const props = { type: "button", class: "button plain small", on: { click: () => changed(NOTHING) } };
  const clear = h("button", props, "Clear all");
  const picks = h("div", { class: "picks" }, state, sure, decider, since);

  const show = (values) => {
    press(classes, values.classification);
    state.value = values.state;
    decider.value = values.decided_by;
    choose(sure, values.max_confidence, `under ${Math.round(values.max_confidence * 100)} % sure`);
    choose(since, values.since, `since ${local(values.since)}`);
    const chips = CHIPS.map(([words, name]) => {
      const value = name === "until" ? local(values[name]) : values[name];
      return value && dropChip(words, value, () => changed({ [name]: "" }));
    });
    fill(others, chips, Object.values(values).some(Boolean) && clear);
  };
  const bar = { class: "filters", role: "group", "aria-label": "Filters" };
  return { element: h("div", bar, classes, picks, others), show };
}

function classChoices() {
  const choice = (name) => [name, [mark(name), name]];
  return [["", "All"], ...CLASSES.map(choice)];
}

const before = (seconds) => new Date(live.serverTime() - seconds * 1000).toISOString();

/** A time from the address in the reader's time zone, as elsewhere on the page; other text stays as it is. */
function local(text) {
  const time = when(text);
  return time === NONE ? text : time;
}

function dropChip(words, value, click) {
  const said = `${words}: ${value}`;
  const props = { type: "button", class: "chip drop", title: said, "aria-label": `Remove ${words} ${value}` };
  return h("button", { ...props, on: { click } }, h("span", null, said), h("i", { "aria-hidden": "true" }, "×"));
}

function pick(name, choices, change) {
  const on = { change: ({ target }) => change(target.value) };
  return select(choices, { class: "pick", "aria-label": name, on });
}

/** Select a value; one that is not a choice (from a link, or a moving "since") gets an option of its own. */
function choose(select, value, words) {
  select.querySelector("[data-own]")?.remove();
  const known = [...select.options].some((option) => option.value === value);
  if (!known) select.append(h("option", { value, data: { own: "" } }, words));
  select.value = value;
}
