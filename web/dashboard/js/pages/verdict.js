/**
 * The classification of an open email: its class, who decided, how sure, the correction with its undo; or why there is
 * no result. Used by email.js, which supplies the buttons' actions.
 */

import { h } from "../dom.js";
import { percent, when } from "../format.js";
import { button, chip, label, mark, meter, segmented } from "../parts.js";
import { CLASSES } from "../shapes.js";
import { evidenceList } from "./evidence.js";

/** The result; `acts`: {relabel, undo, toggleWhy}, `why`: whether the evidence is shown. */
export function verdict(result, why, acts) {
  return h("section", { class: `verdict c-${result.classification}`, "aria-label": "Result" },
    headline(result, why, acts),
    result.probabilities && odds(result.probabilities),
    why && result.explanation && evidenceList(result),
    correction(result, acts));
}

function headline(result, why, acts) {
  const sure = `${percent(result.confidence)} sure`;
  const who = { person: "Set by a person", rule: "Set by a rule", model: sure }[result.decided_by];
  const doubt = result.below_threshold && chip(`below the threshold, otherwise ${result.runner_up}`);
  const props = { "aria-pressed": String(why), data: { why: "" } };
  return h("div", { class: "verdict-top" },
    h("strong", null, label(result.classification)),
    h("span", null, who),
    doubt,
    result.explanation && button(why ? "Hide why" : "Why?", acts.toggleWhy, "small", props));
}

function odds(probabilities) {
  const item = (name) => {
    const share = percent(probabilities[name]);
    return h("li", null, label(name), meter(probabilities[name], name, share), h("span", { class: "num" }, share));
  };
  return h("ul", { class: "odds" }, CLASSES.map(item));
}

function correction(result, acts) {
  const byPerson = result.decided_by === "person";
  const choices = CLASSES.map((name) => [name, [mark(name), name]]);
  return h("div", { class: "correct" },
    h("span", { class: "quiet" }, byPerson ? "Corrected:" : "Not right?"),
    segmented("Correct the class", choices, result.classification, acts.relabel),
    byPerson && button("Undo", acts.undo, "small", { data: { unlabel: "" } }));
}

/** Why there is no result, or none yet. */
export function noVerdict(email) {
  const trouble = email.state === "dead" || email.state === "retrying";
  return h("section", { class: "verdict none", "aria-label": "Result" },
    h("div", { class: "verdict-top" },
      chip(email.state, trouble ? "trouble" : ""),
      h("span", null, stateWords(email)),
      email.state === "dead" && h("a", { href: "#/dead" }, "Dead letters")));
}

function stateWords({ state, last_error: error, next_attempt_at: next }) {
  return {
    queued: "It is waiting for its turn.",
    retrying: `The last attempt failed: ${error}. The next one is at ${when(next)}.`,
    dead: error ? `It failed for good: ${error}.` : "It failed for good; its dead letter says why.",
    discarded: "A person discarded it.",
    erased: "It was erased; only its entry in the books is left.",
  }[state];
}
