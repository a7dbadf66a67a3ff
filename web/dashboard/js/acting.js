/**
 * How pages do what a person asks for: a question before what cannot be taken back, never twice at once, and a toast
 * that says what came of it, with undo. Relies on dom.js and parts.js.
 */

import { fill, h } from "./dom.js";
import { button } from "./parts.js";

/** Say something at the bottom of the page for a while; `undo` adds a button. Returns what takes it away before. */
export function toast(text, { undo, kind = "", seconds = 6 } = {}) {
  const area = document.getElementById("toasts");
  const node = h("div", { class: `toast ${kind}` }, h("span", null, text));
  const close = () => node.remove();
  if (undo) {
    node.append(button("Undo", () => (close(), undo()), "plain", { data: { undo: "" } }));
  }
  area.append(node);
  while (area.children.length > 3) area.firstElementChild.remove();
  setTimeout(close, seconds * 1000);
  return close;
}

/** Run an action and say `done` where it came to pass; errors become a toast with the server's own words. */
export async function attempt(action, done) {
  try {
    const answer = await action();
    if (done) toast(done);
    return answer;
  } catch (error) {
    if (error.name !== "AbortError") toast(error.message, { kind: "trouble", seconds: 9 });
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
export function ask(title, text, yes, kind = "solid") {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "ask", "aria-labelledby": "ask-title" });
    const close = (answer) => (dialog.close(), dialog.remove(), resolve(answer));
    fill(
      dialog,
      h("h2", { id: "ask-title" }, title),
      h("p", null, text),
      h("div", { class: "actions end" },
        button("Cancel", () => close(false)),
        button(yes, () => close(true), kind, { autofocus: true })),
    );
    dialog.addEventListener("cancel", () => close(false));
    document.body.append(dialog);
    dialog.showModal();
  });
}
