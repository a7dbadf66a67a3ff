/**
 * The timeline of one email as a waterfall: each stage from the end of the one before it to its own time. Pure
 * functions of the server's timeline; used by email.js.
 */

import { h } from "../dom.js";
import { duration, exact, when } from "../format.js";
import { stages } from "../shapes.js";

/** A person's act: it may come days later, and a scale that included it would hide the machine's stages. */
const AFTERWARDS = "corrected";

/** The timeline as a block of the pane. */
export function way(timeline) {
  const list = stages(timeline);
  const end = Math.max(1, ...list.filter(({ name }) => name !== AFTERWARDS).map(({ offset }) => offset));
  const steps = h("ol", { class: "way" }, list.map((stage) => step(stage, end)));
  return h("section", { class: "block" }, h("h3", null, "Timeline"), steps);
}

function step(stage, end) {
  const took = stage.duration_ms ?? 0;
  const drawn = { "--from": Math.max(0, stage.offset - took) / end, "--share": took / end };
  const bar = stage.name !== AFTERWARDS && h("i", { vars: drawn });
  const trouble = /fail|retry|dead|attempt|missing/i.test(stage.name);
  return h("li", { class: trouble ? "c-trouble" : "", title: titleOf(stage) },
    h("b", null, stage.name.replaceAll("_", " ")),
    h("span", { class: "way-bar", "aria-hidden": "true" }, bar),
    h("span", { class: "num" }, tookWords(stage)),
    stage.detail && h("small", { dir: "auto" }, stage.detail));
}

function titleOf(stage) {
  return `${exact(stage.at)}, ${duration(stage.offset)} after the first stage`;
}

/** The first stage shows a time of day instead of a duration; one at the previous stage's time shows "same time". */
function tookWords(stage) {
  if (stage.duration_ms === null) return when(stage.at);
  return stage.duration_ms === 0 ? "same time" : duration(stage.duration_ms);
}
