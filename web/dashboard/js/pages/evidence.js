/**
 * Why an email has its class: the classifier's evidence as a list, and marked in the text. Pure functions of the
 * explanation and the text; used by verdict.js, email.js and review_email.js.
 */

import { h } from "../dom.js";
import { percent } from "../format.js";
import { label, meter } from "../parts.js";
import { charOffsets } from "../shapes.js";

const SHOWN = 10;
const ANOTHER = "These reasons come from the current model; the model that decided is no longer in use.";

/** The strongest reasons, each with the class it speaks for, and what would flip the decision. */
export function evidenceList({ explanation, model_version: decided }) {
  const shown = explanation.evidence.slice(0, SHOWN);
  const most = Math.max(0.001, ...shown.map((item) => Math.abs(item.weight)));
  return h("div", { class: "why" },
    shown.length === 0 && h("p", { class: "quiet" }, "Nothing in this email points clearly to any class."),
    h("ul", null, shown.map((item) => reason(item, most))),
    explanation.model_version !== decided && h("p", { class: "quiet" }, ANOTHER),
    h("p", { class: "quiet" }, `Ahead of the next class by ${percent(explanation.margin)}.`, flip(explanation.flip)));
}

function reason(item, most) {
  const words = item.kind === "phrase" ? h("q", { dir: "auto" }, item.name) : item.name;
  const where = item.field && h("small", { class: "quiet" }, ` in the ${item.field}`);
  return h("li", null,
    label(item.label),
    meter(Math.abs(item.weight) / most, item.label, `weight ${item.weight.toFixed(1)}`),
    h("span", null, words, where));
}

function flip(change) {
  if (!change) return "";
  const names = change.without.map(({ name }) => `“${name}”`).join(", ");
  return ` Without ${names} it would be ${change.label}.`;
}

/** The text as nodes, with the evidence marked in it. */
export function highlighted(text, evidence, field) {
  const nodes = [];
  let at = 0;
  for (const { start, end, label: name, name: reasonName } of places(text, evidence, field)) {
    const props = { class: `c-${name}`, title: `${reasonName}: points to ${name}` };
    nodes.push(text.slice(at, start), h("mark", props, text.slice(start, end)));
    at = end;
  }
  return [...nodes, text.slice(at)];
}

/** Positions of the evidence in the text, in order. Where some overlap, the strongest wins. */
function places(text, evidence, field) {
  const placed = evidence.filter((item) => item.field === field && item.start !== null && item.end > item.start);
  const offsets = charOffsets(text, placed.flatMap((item) => [item.start, item.end]));
  const taken = [];
  for (const { label: name, name: reasonName, ...item } of placed) {
    const [start, end] = [offsets.get(item.start), offsets.get(item.end)];
    const free = taken.every((other) => end <= other.start || start >= other.end);
    if (end > start && free) taken.push({ start, end, label: name, name: reasonName });
  }
  return taken.sort((a, b) => a.start - b.start);
}
