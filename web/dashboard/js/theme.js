/**
 * Light, dark, or the system's choice: kept in this browser, and applied as one attribute on the root element.
 */

import { fill, s } from "./dom.js";

const STORED = "theme";
const ORDER = ["system", "light", "dark"];
const ICONS = {
  system: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  light: "M8 5a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM8 1v1.5M8 13.5V15M1 8h1.5M13.5 8H15M3 3l1 1M12 12l1 1M13 3l-1 1M4 12l-1 1",
  dark: "M13.5 9.8A6 6 0 0 1 6.2 2.5 6 6 0 1 0 13.5 9.8z",
};
const dark = matchMedia("(prefers-color-scheme: dark)");

const chosen = () => (ORDER.includes(localStorage.getItem(STORED)) ? localStorage.getItem(STORED) : "system");

function apply(control) {
  const choice = chosen();
  const theme = choice === "system" ? (dark.matches ? "dark" : "light") : choice;
  document.documentElement.dataset.theme = theme;
  control.setAttribute("aria-label", `Theme: ${choice}`);
  control.title = `Theme: ${choice}`;
  fill(control, icon(choice));
}

function icon(choice) {
  const half = choice === "system" ? s("path", { d: "M8 2.5a5.5 5.5 0 0 0 0 11z", fill: "currentColor" }) : null;
  const size = { viewBox: "0 0 16 16", width: 17, height: 17 };
  const round = { "stroke-linecap": "round", "stroke-linejoin": "round" };
  const line = { fill: "none", stroke: "currentColor", "stroke-width": 1.5, ...round };
  return s("svg", { ...size, ...line, "aria-hidden": "true" }, s("path", { d: ICONS[choice] }), half);
}

/** Make the button cycle through the three, and follow the system's choice. */
export function startTheme(control) {
  control.addEventListener("click", () => {
    localStorage.setItem(STORED, ORDER[(ORDER.indexOf(chosen()) + 1) % ORDER.length]);
    apply(control);
  });
  dark.addEventListener("change", () => apply(control));
  apply(control);
}
