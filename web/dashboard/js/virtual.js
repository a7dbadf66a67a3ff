/**
 * A list of any length with few elements: rows have one height, and only those in view (and some around) exist. Used
 * by the page of emails; `draw(item, index)` makes a row, `more()` is called near the end. Only one row is a Tab stop,
 * and the arrow keys move from there, so what follows the list is one Tab away, however long it is.
 */

import { h } from "./dom.js";

const AROUND = 8;

export class VirtualList {
  items = [];
  #rows = new Map();
  #queued = false;
  #stop = 0;

  constructor({ height, draw, more, label }) {
    this.height = height;
    this.draw = draw;
    this.more = more;
    this.list = h("ul", { class: "rows", "aria-label": label });
    this.element = h("div", { class: "rows-scroll", tabindex: "-1" }, this.list);
    this.element.addEventListener("scroll", () => this.#queue(), { passive: true });
    this.list.addEventListener("focusin", ({ target }) => this.#stopAt(this.#indexOf(target)));
    this.list.addEventListener("keydown", (event) => this.#onKey(event));
    this.observer = new ResizeObserver(() => this.#queue());
    this.observer.observe(this.element);
  }

  /** Show these items; all rows are redrawn. */
  set(items) {
    this.items = items;
    this.#clear();
    this.#paint();
  }

  /** Replace the items: the first row in view stays in place, and the focus stays on its item. */
  exchange(items, keyOf) {
    const { scrollTop } = this.element;
    const from = Math.floor(scrollTop / this.height);
    const held = [...this.#rows].find(([, node]) => node.contains(document.activeElement))?.[0];
    const place = new Map(items.map((item, index) => [keyOf(item), index]));
    const first = this.items.findIndex((item, index) => index >= from && place.has(keyOf(item)));
    const focused = held === undefined ? undefined : place.get(keyOf(this.items[held]));
    const moved = first < 0 ? 0 : place.get(keyOf(this.items[first])) - first;
    this.items = items;
    this.#clear();
    this.list.style.setProperty("height", `${items.length * this.height}px`);
    this.element.scrollTop = scrollTop + moved * this.height;
    this.#paint();
    this.#rows.get(focused)?.firstElementChild.focus({ preventScroll: true });
  }

  /** Add items at the end; rows already drawn stay. */
  add(items) {
    this.items.push(...items);
    this.#paint();
  }

  /** Redraw one row. */
  refresh(index) {
    const old = this.#rows.get(index);
    const held = old?.contains(document.activeElement);
    old?.remove();
    this.#rows.delete(index);
    this.#paint();
    if (held) this.#rows.get(index)?.firstElementChild.focus({ preventScroll: true });
  }

  get atTop() {
    return this.element.scrollTop < 4;
  }

  /** Scroll a row into view with as little movement as possible. */
  reveal(index) {
    const top = index * this.height;
    const { scrollTop, clientHeight } = this.element;
    if (top < scrollTop) this.element.scrollTop = top;
    else if (top + this.height > scrollTop + clientHeight) this.element.scrollTop = top + this.height - clientHeight;
    this.#paint();
  }

  row(index) {
    return this.#rows.get(index);
  }

  #indexOf(element) {
    return Number(element.closest("li").getAttribute("aria-posinset")) - 1;
  }

  #onKey(event) {
    const to = { ArrowDown: this.#stop + 1, ArrowUp: this.#stop - 1, Home: 0, End: this.items.length - 1 }[event.key];
    if (to === undefined || !this.items[to]) return;
    event.preventDefault();
    this.reveal(to);
    this.#rows.get(to).firstElementChild.focus();
  }

  /** Make this row the Tab stop, or the first one in view if it is not drawn. */
  #stopAt(index) {
    if (this.#rows.has(index)) this.#stop = index;
    else this.#stop = Math.min(Math.ceil(this.element.scrollTop / this.height), Math.max(...this.#rows.keys()));
    for (const [at, node] of this.#rows) node.firstElementChild.tabIndex = at === this.#stop ? 0 : -1;
  }

  #queue() {
    if (this.#queued) return;
    this.#queued = true;
    requestAnimationFrame(() => {
      this.#queued = false;
      this.#paint();
    });
  }

  #clear() {
    for (const node of this.#rows.values()) node.remove();
    this.#rows.clear();
  }

  #paint() {
    const { scrollTop, clientHeight } = this.element;
    const first = Math.max(0, Math.floor(scrollTop / this.height) - AROUND);
    const last = Math.min(this.items.length, Math.ceil((scrollTop + clientHeight) / this.height) + AROUND);
    this.list.style.setProperty("height", `${this.items.length * this.height}px`);
    for (const [index, node] of this.#rows) {
      // The focused row stays even when it is scrolled out of view: the arrow keys continue from it.
      if ((index < first || index >= last) && !node.contains(document.activeElement)) {
        node.remove();
        this.#rows.delete(index);
      }
    }
    for (let index = first; index < last; index += 1) if (!this.#rows.has(index)) this.#make(index);
    this.#stopAt(this.#stop);
    if (last >= this.items.length - 2 * AROUND) this.more();
  }

  #make(index) {
    const vars = { "--top": `${index * this.height}px` };
    const row = this.draw(this.items[index], index);
    const node = h("li", { "aria-setsize": -1, "aria-posinset": index + 1, vars }, row);
    this.#rows.set(index, node);
    // Keep the document order equal to the order on the screen, for Tab and for screen readers.
    const next = [...this.#rows.keys()].filter((key) => key > index).sort((a, b) => a - b)[0];
    this.list.insertBefore(node, next === undefined ? null : this.#rows.get(next));
  }
}
