/**
 * The simulator's faults by name, and a field for each: a switch and, for rates and times, a strength. Used by
 * simulator.js; the names are those of PUT /simulator/faults.
 */

import { h, setText } from "../dom.js";
import { duration } from "../format.js";

const RATE = { min: 0.05, max: 1, step: 0.05, usual: 0.3, words: (value) => `${Math.round(value * 100)} %` };
const time = (usual, max) => ({ min: 100, max, step: 100, usual, words: duration });

const CALLS = "Responses";
const VISIBLE = "New emails";
const NOTICES = "Notifications";

export const FAULTS = [
  { name: "latency_ms", group: CALLS, title: "Slow", strength: time(800, 10_000) },
  { name: "error_rate", group: CALLS, title: "Errors (500)", strength: RATE },
  { name: "rate_limit_rate", group: CALLS, title: "Too many requests (429)", strength: RATE },
  { name: "garbage_rate", group: CALLS, title: "Garbage", strength: RATE },
  { name: "hang", group: CALLS, title: "No response at all" },
  { name: "late_visibility_ms", group: VISIBLE, title: "Visible late", strength: time(3000, 60_000) },
  { name: "gap_rate", group: VISIBLE, title: "Gaps that fill late", strength: RATE },
  { name: "drop_rate", group: NOTICES, title: "Lost", strength: RATE },
  { name: "duplicate_rate", group: NOTICES, title: "Duplicated", strength: RATE },
  { name: "delay_rate", group: NOTICES, title: "Delayed", strength: RATE },
  { name: "reorder_rate", group: NOTICES, title: "Out of order", strength: RATE },
];

export const PRESETS = [
  ["Flaky", { latency_ms: 300, error_rate: 0.2, rate_limit_rate: 0.1, duplicate_rate: 0.3, reorder_rate: 0.3 }],
  ["Down", { error_rate: 1 }],
  ["Silent", { drop_rate: 1 }],
];

function slider({ min, max, step, usual }, name, on) {
  return h("input", { type: "range", min, max, step, value: usual, "aria-label": name, on });
}

/**
 * The field of one fault: `values()` returns its state, `show(all)` sets it from the server's, `changed()` is called
 * when a person changes it.
 */
export function faultField({ name, group, title, strength }, changed) {
  const toggle = h("input", { type: "checkbox", id: `fault-${name}`, on: { change: () => (paint(), changed()) } });
  const range = strength && slider(strength, `${title}: how much`, { input: () => paint(), change: () => changed() });
  const words = h("output", { class: "num" });
  const element = h("div", { class: "fault" }, h("label", { class: "check" }, toggle, title), range, words);

  const paint = () => {
    element.classList.toggle("on", toggle.checked);
    if (range) range.disabled = !toggle.checked;
    setText(words, toggle.checked && strength ? strength.words(Number(range.value)) : "");
  };
  const show = (all) => {
    toggle.checked = Boolean(all[name]);
    if (range && all[name]) range.value = all[name];
    paint();
  };
  const values = () => ({ [name]: strength ? (toggle.checked ? Number(range.value) : 0) : toggle.checked });
  return { group, element, show, values };
}
