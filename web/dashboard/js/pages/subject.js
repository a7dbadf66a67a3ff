/**
 * The heading of an open email: its subject, of which a long one shows four lines and the rest at a click or a key, so
 * that nobody's subject fills the pane. Used by email.js and review_email.js; `.clamped` in pages.css cuts.
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

  /** Show this text (nodes where it is marked); `fresh`: it is another email's, so it is cut anew. */
  show(content, { fresh = false } = {}) {
    if (fresh) this.#whole = false;
    fill(this.heading, content);
    this.#draw();
    requestAnimationFrame(() => this.#measure());
  }

  /** The whole subject, or four lines of it; false where there is no more than that. */
  toggle() {
    if (this.more.hidden) return false;
    this.#whole = !this.#whole;
    this.#draw();
    return true;
  }

  #draw() {
    this.heading.classList.toggle("clamped", !this.#whole);
    fill(this.more, this.#whole ? "Less of the subject" : "The whole subject");
    this.more.setAttribute("aria-expanded", String(this.#whole));
  }

  /** The button stands there only where it does something. */
  #measure() {
    if (this.#whole) return;
    this.more.hidden = this.heading.scrollHeight <= this.heading.clientHeight + 2;
  }
}
