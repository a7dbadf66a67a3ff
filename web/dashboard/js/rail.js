/**
 * The navigation: at the side, a rail with all pages; on a phone, a bar with the four that are needed most, and the
 * others behind "More". Built by app.js, which marks the open page; shell.css shows one of the two.
 */

import { fill, h, s, setText } from "./dom.js";
import { short } from "./format.js";
import { path } from "./route.js";

const ICONS = {
  now: "M1.5 9h3l2-5.5 3 9 2-5.5h3",
  emails: "M1.5 3.5h13v9h-13zM1.5 4.5 8 9l6.5-4.5",
  review: "M1.5 8S4 3.5 8 3.5 14.5 8 14.5 8 12 12.5 8 12.5 1.5 8 1.5 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z",
  rules: "M2 4h2M7 4h7M2 8h2M7 8h7M2 12h2M7 12h4",
  models: "M8 1.8 14 5 8 8.2 2 5zM2 8l6 3.2L14 8M2 11l6 3.2L14 11",
  subscriptions: "M2 8.5 14 2.5l-3.5 11-3-4.5zM7.5 9 14 2.5",
  actors: "M8 2v3.5M8 5.5H3.5V9M8 5.5h4.5V9M2 9h3v4H2zM11 9h3v4h-3zM6.5 9h3v4h-3zM8 5.5V9",
  dead: "M2 10.5 4 3h8l2 7.5v2.5H2zM2 10.5h3.5l1 1.5h3l1-1.5H14M6.2 5.2l3.6 3.6M9.8 5.2 6.2 8.8",
  books: "M8 3.5C6.5 2.5 4 2.3 1.8 2.5v10C4 12.3 6.5 12.5 8 13.5c1.5-1 4-1.2 6.2-1v-10C12 2.3 9.5 2.5 8 3.5zM8 3.5v10",
  more: "M3 8h.01M8 8h.01M13 8h.01",
  simulator: "M5.5 2v4.5L2 13.5h12L10.5 6.5V2M4.5 2h7M4 10h8",
};

/** [group, [[name, title, letter after g, loader of its module]]]. */
const PAGES = [
  ["Mail", [
    ["now", "Now", "n", () => import("./pages/now.js")],
    ["emails", "Emails", "e", () => import("./pages/emails.js")],
    ["review", "Review", "r", () => import("./pages/review.js")],
  ]],
  ["Classification", [
    ["rules", "Rules", "l", () => import("./pages/rules.js")],
    ["models", "Models", "m", () => import("./pages/models.js")],
  ]],
  ["System", [
    ["actors", "Actors", "a", () => import("./pages/actors.js")],
    ["dead", "Dead letters", "d", () => import("./pages/dead.js")],
    ["books", "Books", "b", () => import("./pages/books.js")],
  ]],
  ["Integrations", [
    ["subscriptions", "Webhooks", "w", () => import("./pages/subscriptions.js")],
    ["simulator", "Simulator", "s", () => import("./pages/simulator.js")],
  ]],
];
const ON_PHONES = ["now", "emails", "review", "dead"];
const BADGES = ["emails", "dead"];

/** Every page, in the order of the rail. */
export const FLAT = PAGES.flatMap(([, pages]) => pages);

export class Rail {
  constructor(element) {
    this.element = element;
    this.more = h("button", { type: "button", "aria-expanded": "false", "aria-controls": "rail-more" },
      icon(ICONS.more), h("span", null, "More"));
    this.rest = h("ul", { id: "rail-more", hidden: true }, FLAT.filter((page) => !onPhones(page)).map(item));
    fill(element, wide(), h("div", { class: "rail-phone" }, this.#bar(), this.rest));
    this.#listen();
  }

  #bar() {
    return h("ul", { class: "rail-bar" }, FLAT.filter(onPhones).map(item), h("li", null, this.more));
  }

  #listen() {
    this.more.addEventListener("click", () => this.#open(this.rest.hidden));
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || this.rest.hidden) return;
      event.stopPropagation();
      this.#open(false);
      this.more.focus();
    });
    document.addEventListener("click", ({ target }) => !this.more.contains(target) && this.#open(false));
  }

  #open(wanted) {
    this.rest.hidden = !wanted;
    this.more.setAttribute("aria-expanded", String(wanted));
  }

  /** Mark the open page. */
  mark(name) {
    this.#open(false);
    this.more.classList.toggle("here", !ON_PHONES.includes(name));
    for (const link of this.element.querySelectorAll("[data-page]")) {
      if (link.dataset.page === name) {
        link.setAttribute("aria-current", "page");
        link.scrollIntoView({ block: "nearest", inline: "nearest" });
      } else link.removeAttribute("aria-current");
    }
  }

  /** Show how many emails have a result and how many dead letters there are. */
  badges({ total_emails_processed: emails, dead_letters: dead }) {
    for (const badge of this.element.querySelectorAll("[data-badge=emails]")) setText(badge, short(emails));
    for (const badge of this.element.querySelectorAll("[data-badge=dead]")) {
      setText(badge, dead ? short(dead) : "");
      badge.classList.toggle("trouble", dead > 0);
    }
  }
}

const onPhones = ([name]) => ON_PHONES.includes(name);

function wide() {
  const group = ([title, pages]) => [h("h2", null, title), h("ul", null, pages.map(item))];
  return h("div", { class: "rail-wide" }, PAGES.map(group));
}

function item([name, title]) {
  const badge = BADGES.includes(name) && h("span", { class: "badge", data: { badge: name } });
  const props = { href: path(name), data: { page: name } };
  return h("li", null, h("a", props, icon(ICONS[name]), h("span", null, title), badge));
}

function icon(drawing) {
  return s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: drawing }));
}
