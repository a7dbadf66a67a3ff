/**
 * What people fill in: a field under its title, the complaint about it, a field to choose from. Relies on dom.js.
 */

import { h } from "./dom.js";

/** A control with its title, and at its foot what is wrong with it. */
export function field(title, control, error) {
  return h("div", { class: "field" }, h("label", { for: control.id }, title), control, error);
}

/** Where it is said what the server does not like; empty as long as it likes it. */
export function complaint() {
  return h("p", { class: "field-error", role: "alert" });
}

/** A field to choose from `choices`, each [value, words]; `value` is the one that is chosen. */
export function select(choices, props, value = "") {
  const option = ([key, words]) => h("option", { value: key, selected: key === value }, words);
  return h("select", props, choices.map(option));
}

/** Choices whose values are their words. */
export const plain = (names) => names.map((name) => [name, name]);
