/**
 * The small parts of pages: class marks, buttons, empty, loading and failed states, lists of facts, table heads.
 * What they do when used is in acting.js. Relies on dom.js, format.js and shapes.js.
 */

import { h, s } from "./dom.js";
import { count } from "./format.js";
import { isVisible, noSubject } from "./shapes.js";

const SHAPES = {
  meeting: ["circle", { cx: 6, cy: 6, r: 4.6 }],
  promotion: ["path", { d: "M6 .8 11.2 6 6 11.2.8 6z" }],
  intro: ["path", { d: "M6 1.2 11.3 10.6H.7z" }],
  unknown: ["circle", { cx: 6, cy: 6, r: 3.9, fill: "none", "stroke-width": 1.7 }],
};

/** The mark of a class: its own shape and its own colour, so that either is enough. */
export function mark(name) {
  const [shape, props] = SHAPES[name] ?? SHAPES.unknown;
  return s("svg", { class: `mark c-${name}`, viewBox: "0 0 12 12", "aria-hidden": "true" }, s(shape, props));
}

/** Mark and word. */
export function label(name) {
  return h("span", { class: "label" }, mark(name), name);
}

/** A thin meter for 0..1. */
export function meter(share, name, text) {
  return h("span", { class: `meter c-${name}`, vars: { "--share": share ?? 0 }, role: "img", "aria-label": text });
}

export function chip(text, kind = "") {
  return h("span", { class: `chip ${kind}` }, text);
}

/** A button; `kind` is `solid`, `danger`, `plain` or empty. */
export function button(text, click, kind = "", props = {}) {
  return h("button", { type: "button", class: `button ${kind}`, on: { click }, ...props }, text);
}

/** A row of choices, one of which is selected. `choices` are [value, content]. */
export function segmented(name, choices, value, change) {
  const group = h("div", { class: "segments", role: "group", "aria-label": name });
  const choice = ([key, content]) => {
    const on = { click: () => change(key) };
    return h("button", { type: "button", "aria-pressed": String(key === value), data: { value: key }, on }, content);
  };
  group.append(...choices.map(choice));
  return group;
}

export function press(group, value) {
  for (const item of group.children) item.setAttribute("aria-pressed", String(item.dataset.value === String(value)));
}

/** Shown where there is nothing: a heading, a sentence, and what to do. */
export function emptyState(title, text, ...actions) {
  const acts = actions.length > 0 && h("p", { class: "actions" }, actions);
  return h("div", { class: "state" }, h("h2", null, title), h("p", null, text), acts);
}

export function loading(rows = 5) {
  const bar = (_, index) => h("i", { vars: { "--width": `${86 - ((index * 23) % 40)}%` } });
  const bars = Array.from({ length: rows }, bar);
  return h("div", { class: "skeleton", "aria-busy": "true" }, h("span", { class: "hidden" }, "Loading"), bars);
}

/** An error; `again` is called by its button, and by app.js when a lost connection is back. */
export function failed(error, again) {
  return h(
    "div",
    { class: "state trouble", role: "alert" },
    h("h2", null, error.status === 404 ? "Not found" : "Something went wrong"),
    h("p", null, error.message),
    again && h("p", { class: "actions" }, button("Try again", again, "", { data: { again: "" } })),
  );
}

/** Rows of name and value: [["Attempts", 3], …]; rows without a value are omitted. */
export function facts(rows) {
  const shown = rows.filter(([, value]) => value !== null && value !== undefined && value !== "");
  const fact = ([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value));
  return h("dl", { class: "facts" }, shown.map(fact));
}

/** How many emails change from one class to another: [{from, to, count}]. */
export function changeList(changes, name) {
  const change = ({ from, to, count: number }) => {
    return h("li", null, label(from), " → ", label(to), h("span", { class: "num" }, count(number)));
  };
  return h("ul", { class: "changes", "aria-label": name }, changes.map(change));
}

/** Somebody else's text on a line or two, in its own writing direction; null if there is none. */
export function foreign(text) {
  return text ? h("span", { class: "cut-lines", dir: "auto", title: text }, text) : null;
}

/** An email's text, always as text and never as HTML; `content` may be nodes, where parts are marked. */
export function emailText(content) {
  return h("pre", { class: "body", dir: "auto", tabindex: "0", "aria-label": "Text of the email" }, content);
}

/** An email's subject, or a substitute if there is nothing to see. */
export function subjectOf(item) {
  return isVisible(item.subject) ? item.subject : h("em", null, noSubject(item));
}

/** An email's id, or a substitute if there is nothing to see. */
export function idOf(item) {
  return isVisible(item.email_id) ? item.email_id : h("em", null, "blank id");
}

/** A table that scrolls sideways if it is too wide; `name` is its label, `content` its head and body. */
export function table(name, props, ...content) {
  const box = { class: "table", tabindex: 0, role: "region", "aria-label": name };
  return h("div", box, h("table", props, content));
}

/** A table's head; columns named in `numbers` are right-aligned, `meaning` has the tooltips. */
export function heads(names, numbers = [], { meaning = {}, last = null } = {}) {
  const head = (name) => {
    return h("th", { scope: "col", class: numbers.includes(name) ? "num" : "", title: meaning[name] }, name);
  };
  return h("thead", null, h("tr", null, names.map(head), last));
}
