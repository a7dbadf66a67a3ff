/**
 * How pages do what a person asks for: a question before what cannot be taken back, never twice at once, and a toast
 * that says what came of it, with undo; and the dialogs that only tell something. Relies on dom.js and parts.js.
 */

import { h } from "./dom.js";
import { button } from "./parts.js";

const YES = "yes";
const LOOKED_AT_AGAIN = 1_000;

/**
 * Say something at the bottom of the page for a while, and for as long as somebody is on it; `undo` adds a button.
 * Returns what takes it away before.
 */
export function toast(text, { undo, kind = "", seconds = 6 } = {}) {
  const area = document.getElementById("toasts");
  const node = h("div", { class: `toast ${kind}` }, h("span", null, text));
  const close = () => node.remove();
  if (undo) {
    node.append(button("Undo", () => (close(), undo()), "plain", { data: { undo: "" } }));
  }
  area.append(node);
  while (area.children.length > 3) area.firstElementChild.remove();
  const leave = () => (node.matches(":hover, :focus-within") ? setTimeout(leave, LOOKED_AT_AGAIN) : close());
  setTimeout(leave, seconds * 1000);
  return close;
}

/** Say for somewhat longer what went wrong. */
export function complain(text) {
  toast(text, { kind: "trouble", seconds: 9 });
}

/** Run an action and say `done` where it came to pass; errors become a toast with the server's own words. */
export async function attempt(action, done) {
  try {
    const answer = await action();
    if (done) toast(done);
    return answer;
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
    return undefined;
  }
}

/** An action that is not begun again while it runs: a second click makes no second one. */
export function once(action) {
  let busy = false;
  return async (...given) => {
    if (busy) return undefined;
    busy = true;
    try {
      return await action(...given);
    } finally {
      busy = false;
    }
  };
}

/** Read something that nobody asked for by hand: undefined where it cannot be had, and no toast. */
export async function quietly(action) {
  try {
    return await action();
  } catch {
    return undefined;
  }
}

/** Ask first. Resolves to true only when the person says so. */
export async function ask(title, text, yes, kind = "solid") {
  const buttons = [closing("Cancel"), closing(yes, kind, { value: YES, autofocus: true })];
  return (await dialog(title, h("p", null, text), buttons)) === YES;
}

/** Show something until it is closed by the one button, or by Escape. */
export async function tell(title, content, close) {
  await dialog(title, content, closing(close, "solid", { autofocus: true }));
}

/** Resolves when it is closed, to the value of the button that was pressed; "" where that has none, and by Escape. */
function dialog(title, content, buttons) {
  return new Promise((resolve) => {
    const element = h("dialog", { class: "ask", "aria-labelledby": "dialog-title" },
      h("h2", { id: "dialog-title" }, title),
      content,
      h("form", { method: "dialog", class: "actions end" }, buttons));
    element.addEventListener("close", () => (element.remove(), resolve(element.returnValue)));
    document.body.append(element);
    element.showModal();
  });
}

const closing = (words, kind = "", props = {}) => h("button", { class: `button ${kind}`, ...props }, words);

/** A text to be taken elsewhere, with a button that copies it; `props` are those of the text. */
export function copyable(text, props) {
  const copy = () => attempt(() => navigator.clipboard.writeText(text), "Copied");
  return h("p", { class: "command mono" }, h("code", props, text), button("Copy", copy, "plain small"));
}
