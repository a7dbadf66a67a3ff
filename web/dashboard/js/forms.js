/**
 * Form parts: a titled field, its error message, a select. Relies on dom.js.
 */

import { h } from "./dom.js";

/** A control with its title above and its error below. */
export function field(title, control, error) {
  return h("div", { class: "field" }, h("label", { for: control.id }, title), control, error);
}

/** The place for the server's complaint about a field; empty while there is none. */
export function complaint() {
  return h("p", { class: "field-error", role: "alert" });
}

/** A select for `choices`, each [value, words]; `value` is the selected one. */
export function select(choices, props, value = "") {
  const option = ([key, words]) => h("option", { value: key, selected: key === value }, words);
  return h("select", props, choices.map(option));
}

/** Choices whose words are their values. */
export const plain = (names) => names.map((name) => [name, name]);
