/**
 * The keyboard: single keys while nothing is being typed, `g` and a letter to go to a page, `?` to list the keys.
 * Pages add their own with `keys.page`; single keys can be switched off (WCAG 2.1.4) in the same dialog.
 */

import { tell } from "./acting.js";
import { h } from "./dom.js";

const STORED = "keys-off";
const MOVING = ["j", "k", "ArrowDown", "ArrowUp"];

class Keys {
  #general = [];
  #page = [];
  #prefix = "";
  #timer = 0;

  /** Keys that work everywhere: [key, words, action]; "g n" means g, then n; a key without words is not listed. */
  general(list) {
    this.#general = list;
    addEventListener("keydown", (event) => this.#onKey(event));
  }

  /** Keys of the page that is open, until the next page sets its own. */
  page(list) {
    this.#page = list;
  }

  get on() {
    return localStorage.getItem(STORED) === null;
  }

  #onKey(event) {
    if (!this.on || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]")) return;
    if (event.target.closest("input, textarea, select")) return;
    // A key that is held down may move on, but must not answer for mail that nobody has looked at.
    if (event.repeat && !MOVING.includes(event.key)) return;
    const pressed = this.#prefix ? `${this.#prefix} ${event.key}` : event.key;
    const found = [...this.#page, ...this.#general].find(([key]) => key === pressed);
    clearTimeout(this.#timer);
    this.#prefix = "";
    if (found) {
      if (found[2](event) !== false) event.preventDefault();
    } else if (event.key === "g") {
      this.#prefix = "g";
      this.#timer = setTimeout(() => (this.#prefix = ""), 1200);
    }
  }

  help() {
    const change = () => this.#switch(toggle.checked);
    const toggle = h("input", { type: "checkbox", checked: this.on, on: { change } });
    const lists = [
      this.#page.length > 0 && [h("h3", null, "On this page"), keyList(this.#page)],
      h("h3", null, "Everywhere"),
      keyList(this.#general),
    ];
    tell("Keyboard shortcuts", [lists, h("label", { class: "check" }, toggle, "Enable single-key shortcuts")], "Close");
  }

  #switch(on) {
    if (on) localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, "1");
  }
}

/** A list of keys and what they do, without those that have no words. */
function keyList(list) {
  const told = list.filter(([, words]) => words);
  const item = ([key, words]) => h("div", null, h("dt", null, keycaps(key)), h("dd", null, words));
  return h("dl", { class: "keys" }, told.map(item));
}

function keycaps(key) {
  return key.split(" ").map((cap) => h("kbd", null, { ArrowDown: "↓", ArrowUp: "↑", Escape: "Esc" }[cap] ?? cap));
}

/** The index `by` steps further in a list of that length, clamped to its ends. */
export function stepped(at, by, length) {
  return Math.min(length - 1, Math.max(0, at + by));
}

export const keys = new Keys();
