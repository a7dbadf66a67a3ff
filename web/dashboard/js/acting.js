/**
 * How pages carry out what a person asks for: they confirm what cannot be undone, never run an action twice at once and
 * report the outcome in a toast, with undo. Also the dialogs that only show something. Relies on dom.js and parts.js.
 */

import { h } from "./dom.js";
import { button } from "./parts.js";

const YES = "yes";
const LOOKED_AT_AGAIN = 1_000;
const LONG = 1_000;

/**
 * Show a message at the bottom of the page for a while, and for as long as somebody hovers over it or has focus in it;
 * `undo` adds a button. Returns a function that removes it earlier.
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

/** Show an error, for somewhat longer. */
export function complain(text) {
  toast(text, { kind: "trouble", seconds: 9 });
}

/** Run an action that somebody waits for: if it takes long, a note says so until it is over. */
export async function patiently(action) {
  let close = () => {};
  const timer = setTimeout(() => (close = toast("Waiting for the server…", { seconds: 60 })), LONG);
  try {
    return await action();
  } finally {
    clearTimeout(timer);
    close();
  }
}

/** Run an action and, if it succeeds, show `done`; errors become a toast with the server's own words. */
export async function attempt(action, done) {
  try {
    const answer = await patiently(action);
    if (done) toast(done);
    return answer;
  } catch (error) {
    if (error.name !== "AbortError") complain(error.message);
    return undefined;
  }
}

/** Wrap an action so that calls while it runs are ignored: a second click does not run it twice. */
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

/** Read something that the user did not ask for: undefined if that fails, and no toast. */
export async function quietly(action) {
  try {
    return await action();
  } catch {
    return undefined;
  }
}

/** Ask for confirmation. Resolves to true only if the person confirms. */
export async function ask(title, text, yes, kind = "solid") {
  const buttons = [closing("Cancel"), closing(yes, kind, { value: YES, autofocus: true })];
  return (await dialog(title, h("p", null, text), buttons)) === YES;
}

/** Show something until the user closes it with its one button or Escape. */
export async function tell(title, content, close) {
  await dialog(title, content, closing(close, "solid", { autofocus: true }));
}

/** Resolves when the dialog is closed, to the value of the button pressed: "" if it has none, and for Escape. */
function dialog(title, content, buttons) {
  return new Promise((resolve) => {
    const element = h("dialog", { class: "ask", "aria-labelledby": "dialog-title" },
      h("h2", { id: "dialog-title" }, title),
      content,
      h("form", { method: "dialog", class: "actions end" }, buttons));
    // A key that is still held from the button that asked must not answer, too.
    element.addEventListener("keydown", (event) => event.repeat && event.key === "Enter" && event.preventDefault());
    element.addEventListener("close", () => (element.remove(), resolve(element.returnValue)));
    document.body.append(element);
    element.showModal();
  });
}

const closing = (words, kind = "", props = {}) => h("button", { class: `button ${kind}`, ...props }, words);

/** A text to be used elsewhere, with a button that copies it where browsers allow that; `props` are the text's. */
export function copyable(text, props) {
  const copy = () => attempt(() => navigator.clipboard.writeText(text), "Copied");
  const able = navigator.clipboard !== undefined; // not in a page that came over plain HTTP from another machine
  return h("p", { class: "command mono" }, h("code", props, text), able && button("Copy", copy, "plain small"));
}
