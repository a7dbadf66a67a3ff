/**
 * The form of a new webhook, and the one time that its secret is shown. Used by subscriptions.js.
 */

import { post } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { attempt, button } from "../parts.js";

const EVENTS = [["process", "results"], ["label", "corrections"], ["dead", "dead letters"], ["retry", "retries"], ["new", "newly listed"]];

export class SubscriptionForm {
  constructor(made, cancel) {
    const target = h("input", { id: "hook-url", type: "url", required: true, maxlength: 2048, placeholder: "https://example.com/hook", autocomplete: "off" });
    const words = h("input", { id: "hook-words", maxlength: 200, autocomplete: "off" });
    const events = EVENTS.map(([name, title]) => [name, h("input", { type: "checkbox", checked: name === "process" }), title]);
    const from = h("select", { id: "hook-from" }, h("option", { value: "" }, "from now on"), h("option", { value: "beginning" }, "from the oldest that the log has"));
    const error = h("p", { class: "field-error", role: "alert" });
    const save = async (event) => {
      event.preventDefault();
      setText(error, "");
      target.removeAttribute("aria-invalid");
      const wanted = events.filter(([, box]) => box.checked).map(([name]) => name);
      if (!wanted.length) return setText(error, "Choose at least one kind of event");
      try {
        made(await post("/subscriptions", { url: target.value, description: words.value, events: wanted.length === EVENTS.length ? [] : wanted, ...(from.value && { after: from.value }) }));
      } catch (refused) {
        setText(error, refused.problem?.errors?.[0]?.message ?? refused.message);
        target.setAttribute("aria-invalid", "true");
        target.focus();
      }
    };
    this.element = h("form", { class: "rule-form", on: { submit: save } },
      h("header", null, h("h2", null, "A new webhook"), h("span", { class: "end" }, button("Close", cancel, "plain small"))),
      h("div", { class: "field" }, h("label", { for: "hook-url" }, "URL"), target, error),
      h("div", { class: "field" }, h("label", { for: "hook-words" }, "What it is for"), words),
      h("fieldset", null, h("legend", null, "Tell it of"), h("div", { class: "checks" }, events.map(([, box, title]) => h("label", { class: "check" }, box, title)))),
      h("div", { class: "field" }, h("label", { for: "hook-from" }, "Begin"), from),
      h("div", { class: "actions" }, h("button", { class: "button solid" }, "Make it")));
  }
}

/** Show a secret, once; resolves when the person has closed it. */
export function secretOnce(secret) {
  return new Promise((resolve) => {
    const dialog = h("dialog", { class: "ask", "aria-labelledby": "secret-title" });
    fill(dialog,
      h("h2", { id: "secret-title" }, "Its secret"),
      h("p", null, "Keep it now: it is not shown again. Your program checks each message's signature with it."),
      h("p", { class: "command mono" }, h("code", { data: { secret: "" } }, secret), button("Copy", () => attempt(() => navigator.clipboard.writeText(secret), "Copied"), "plain small")),
      h("form", { method: "dialog", class: "actions end" }, h("button", { class: "button solid", autofocus: true }, "I have it")));
    dialog.addEventListener("close", () => (dialog.remove(), resolve()));
    document.body.append(dialog);
    dialog.showModal();
  });
}
