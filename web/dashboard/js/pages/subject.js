/**
 * The heading of an open email: its subject. A long one shows four lines, and the rest after a click or a key, so that
 * no subject fills the pane. Used by email.js and review_email.js; `.clamped` in pages.css cuts the text.
 */

import { fill, h } from "../dom.js";
import { button } from "../parts.js";

export class Subject {
  #whole = false;

  constructor() {
    this.heading = h("h2", { class: "detail-subject clamped", dir: "auto" });
    this.more = button("", () => this.toggle(), "plain small", { hidden: true, data: { whole: "" } });
    this.element = h("div", { class: "subject" }, this.heading, this.more);
    new ResizeObserver(() => this.#measure()).observe(this.heading);
  }

  /** Show this text (nodes if parts are marked); `fresh` means another email's, so it is cut again. */
  show(content, { fresh = false } = {}) {
    if (fresh) this.#whole = false;
    fill(this.heading, content);
    this.#draw();
    requestAnimationFrame(() => this.#measure());
  }

  /** Switch between the whole subject and four lines; false if the subject is no longer than that. */
  toggle() {
    if (this.more.hidden) return false;
    this.#whole = !this.#whole;
    this.#draw();
    return true;
  }

  #draw() {
    this.heading.classList.toggle("clamped", !this.#whole);
    fill(this.more, this.#whole ? "Shorten the subject" : "Show the whole subject");
    this.more.setAttribute("aria-expanded", String(this.#whole));
  }

  /** Show the button only if there is more to show. */
  #measure() {
    if (this.#whole) return;
    this.more.hidden = this.heading.scrollHeight <= this.heading.clientHeight + 2;
  }
}
