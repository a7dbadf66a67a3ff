/**
 * The address: `#/emails?q=invoice&id=…` holds the page and its whole filter, so that back, forward, reload and a
 * copied link all work. Relies on the browser's history, and on api.js to write addresses.
 */

import { url } from "./api.js";

/** The address of a page with those of the values that are set. */
export function path(name, values = {}) {
  return `#${url([name], values)}`;
}

export function current() {
  const [route, query] = location.hash.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { name: route || "now", params: new URLSearchParams(query ?? "") };
}

let listener = () => {};

/** Call `show` now and at each change of the address. */
export function onRoute(show) {
  listener = show;
  addEventListener("hashchange", () => listener());
  listener();
}

/** Go to a page; `replace` adds no entry to the history. */
export function go(name, values = {}, { replace = false } = {}) {
  const target = path(name, values);
  if (target === location.hash) return;
  if (replace) {
    history.replaceState(null, "", target);
    listener();
  } else {
    location.hash = target;
  }
}

/** Change some values in the open page's address and keep the others. */
export function change(values, options) {
  const { name, params } = current();
  go(name, { ...Object.fromEntries(params), ...values }, options);
}
