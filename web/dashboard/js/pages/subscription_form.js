/**
 * The form of a new webhook, and the one time that its secret is shown. Used by subscriptions.js.
 */

import { copyable, once, patiently, tell } from "../acting.js";
import { post } from "../api.js";
import { h, setText } from "../dom.js";
import { complaint, field, select } from "../forms.js";
import { button } from "../parts.js";

const EVENTS = [
  ["process", "results"],
  ["label", "corrections"],
  ["dead", "dead letters"],
  ["retry", "retries"],
  ["new", "newly listed"],
];
const BEGIN = [
  ["", "from now on"],
  ["beginning", "from the oldest event in the log"],
];

export class SubscriptionForm {
  /** `made(subscription)` is called after it was created; `cancel()` by the Close button. */
  constructor(made, cancel) {
    this.made = made;
    const urlProps = { type: "url", required: true, maxlength: 2048, placeholder: "https://example.com/hook" };
    this.target = h("input", { id: "hook-url", autocomplete: "off", ...urlProps });
    this.words = h("input", { id: "hook-words", maxlength: 200, autocomplete: "off" });
    this.events = EVENTS.map(([name]) => [name, h("input", { type: "checkbox", checked: name === "process" })]);
    this.from = select(BEGIN, { id: "hook-from" });
    this.error = complaint();
    const save = once(() => this.#save());
    const submit = (event) => (event.preventDefault(), save());
    this.element = h("form", { class: "rule-form", on: { submit } }, this.#head(cancel), this.#fields());
  }

  #head(cancel) {
    const close = button("Close", cancel, "plain small");
    return h("header", null, h("h2", null, "New webhook"), h("span", { class: "end" }, close));
  }

  #fields() {
    const checks = this.events.map(([, box], at) => h("label", { class: "check" }, box, EVENTS[at][1]));
    return [
      field("URL", this.target, this.error),
      field("Description", this.words),
      h("fieldset", null, h("legend", null, "Events to send"), h("div", { class: "checks" }, checks)),
      field("Start", this.from),
      h("div", { class: "actions" }, h("button", { class: "button solid" }, "Create")),
    ];
  }

  async #save() {
    setText(this.error, "");
    this.target.removeAttribute("aria-invalid");
    const wanted = this.events.filter(([, box]) => box.checked).map(([name]) => name);
    if (!wanted.length) return setText(this.error, "Choose at least one kind of event");
    const events = wanted.length === EVENTS.length ? [] : wanted; // none: all kinds, including future ones
    const after = this.from.value || undefined;
    const body = { url: this.target.value, description: this.words.value, events, after };
    try {
      this.made(await patiently(() => post("/subscriptions", body)));
    } catch (refused) {
      setText(this.error, refused.problem?.errors?.[0]?.message ?? refused.message);
      this.target.setAttribute("aria-invalid", "true");
      this.target.focus();
    }
  }
}

/** Show a secret, once; resolves when the person closes the dialog. */
export function secretOnce(secret) {
  const words = "Save it now: it is not shown again. Your program uses it to verify each message's signature.";
  return tell("Signing secret", [h("p", null, words), copyable(secret, { data: { secret: "" } })], "I have saved it");
}
