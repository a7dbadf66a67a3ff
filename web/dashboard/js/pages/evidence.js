/**
 * Why an email has its class: the classifier's evidence as a list, and marked in the text where it stands. Pure
 * functions of the explanation and the text; used by email.js.
 */

import { h } from "../dom.js";
import { percent } from "../format.js";
import { label, meter } from "../parts.js";
import { charOffsets } from "../shapes.js";

const SHOWN = 10;

/** The strongest reasons, each with the class it speaks for, and what would flip the decision. */
export function evidenceList({ explanation }) {
  const shown = explanation.evidence.slice(0, SHOWN);
  const most = Math.max(0.001, ...shown.map((item) => Math.abs(item.weight)));
  return h("div", { class: "why" },
    shown.length === 0 && h("p", { class: "quiet" }, "Nothing in it speaks clearly for any class."),
    h("ul", null, shown.map((item) => h("li", null,
      label(item.label),
      meter(Math.abs(item.weight) / most, item.label, `weight ${item.weight.toFixed(1)}`),
      h("span", null, item.kind === "phrase" ? [h("q", null, item.name)] : item.name, item.field && h("small", { class: "quiet" }, ` in the ${item.field}`))))),
    h("p", { class: "quiet" }, `Ahead of the next class by ${percent(explanation.margin)}.`, flip(explanation.flip)));
}

function flip(change) {
  if (!change) return "";
  const names = change.without.map((reason) => `“${reason.name}”`).join(", ");
  return ` Without ${names} it would be ${change.label}.`;
}

/** The text as nodes, with the evidence marked in it. Overlapping marks: the stronger one wins. */
export function highlighted(text, evidence, field) {
  const placed = evidence.filter((item) => item.field === field && item.start !== null && item.end > item.start);
  const offsets = charOffsets(text, placed.flatMap((item) => [item.start, item.end]));
  const taken = [];
  for (const item of placed) {
    const [start, end] = [offsets.get(item.start), offsets.get(item.end)];
    if (end > start && taken.every((other) => end <= other.start || start >= other.end)) taken.push({ start, end, label: item.label, name: item.name });
  }
  taken.sort((a, b) => a.start - b.start);
  const nodes = [];
  let at = 0;
  for (const { start, end, label: name, name: reason } of taken) {
    nodes.push(text.slice(at, start), h("mark", { class: `c-${name}`, title: `${reason}: speaks for ${name}` }, text.slice(start, end)));
    at = end;
  }
  return [...nodes, text.slice(at)];
}
