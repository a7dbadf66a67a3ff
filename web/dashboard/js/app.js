/**
 * The shell: pages and their routes, the top bar, banners, the connection's state. Starts the WebSocket before the first
 * page reads the store, so that nothing falls between the two. Loaded by index.html.
 */

import { post, whenSignedOut } from "./api.js";
import { fill, h, s, setText } from "./dom.js";
import { short } from "./format.js";
import { keys } from "./keys.js";
import { live } from "./live.js";
import { attempt, button, failed } from "./parts.js";
import { current, go, onRoute, path } from "./route.js";
import { refreshHealth, refreshShared, shared } from "./state.js";
import { startTheme } from "./theme.js";

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
  simulator: "M5.5 2v4.5L2 13.5h12L10.5 6.5V2M4.5 2h7M4 10h8",
};

const PAGES = [
  ["Mail", [
    ["now", "Now", "n", () => import("./pages/now.js")],
    ["emails", "Emails", "e", () => import("./pages/emails.js")],
    ["review", "Review", "r", () => import("./pages/review.js")],
  ]],
  ["Judgement", [
    ["rules", "Rules", "l", () => import("./pages/rules.js")],
    ["models", "Models", "m", () => import("./pages/models.js")],
  ]],
  ["Machine", [
    ["actors", "Actors", "a", () => import("./pages/actors.js")],
    ["dead", "Dead letters", "d", () => import("./pages/dead.js")],
    ["books", "Books", "b", () => import("./pages/books.js")],
  ]],
  ["Outside", [
    ["subscriptions", "Webhooks", "w", () => import("./pages/subscriptions.js")],
    ["simulator", "Simulator", "s", () => import("./pages/simulator.js")],
  ]],
];
const RETURN = "return-to";
const FLAT = PAGES.flatMap(([, pages]) => pages);

const main = document.getElementById("main");
const find = document.getElementById("find");
let open = { name: null, update: null, end: () => {} };

function buildRail() {
  const item = ([name, title]) => {
    const link = h("a", { href: path(name), data: { page: name } }, s("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, s("path", { d: ICONS[name] })), h("span", null, title.split(" ")[0], h("span", { class: "rest" }, title.replace(/^\S+/, ""))));
    if (name === "dead" || name === "emails") link.append(h("span", { class: "badge", data: { badge: name } }));
    return h("li", null, link);
  };
  fill(document.getElementById("rail"), PAGES.map(([group, pages]) => [h("h2", null, group), h("ul", null, pages.map(item))]));
}

/** Open the page that the address names, or tell the open one that its parameters changed. */
async function showRoute() {
  const { name, params } = current();
  const page = FLAT.find(([key]) => key === name);
  if (!page) return go("now", {}, { replace: true });
  if (name !== "emails" || document.activeElement !== find) find.value = name === "emails" ? (params.get("q") ?? "") : "";
  if (open.name === name && open.update) return open.update(params);
  open.end();
  const controller = new AbortController();
  open = { name, update: null, end: () => controller.abort() };
  keys.page([]);
  main.className = `page page-${name}`;
  main.replaceChildren();
  main.scrollTop = 0;
  document.title = `${page[1]} · Email processor`;
  for (const link of document.querySelectorAll("[data-page]")) {
    if (link.dataset.page === name) {
      link.setAttribute("aria-current", "page");
      link.scrollIntoView({ block: "nearest", inline: "nearest" });
    } else link.removeAttribute("aria-current");
  }
  try {
    const { show } = await page[3]();
    if (!controller.signal.aborted) open.update = show(main, params, controller.signal) ?? null;
  } catch (error) {
    if (!controller.signal.aborted) fill(main, failed(error, () => location.reload()));
  }
}

function showConnection({ state, retryAt }) {
  const link = document.getElementById("link");
  link.dataset.state = state;
  const words = { live: "Live", connecting: "Connecting", waiting: "Reconnecting" };
  setText(document.getElementById("link-text"), words[state]);
  link.title = state === "waiting" ? `Next try at ${new Date(retryAt).toLocaleTimeString()}` : "";
  if (state === "live") {
    banner("offline", null);
    banner("signed-out", null);
    for (const again of main.querySelectorAll("[data-again]")) again.click();
  } else if (state === "waiting" && !document.querySelector('[data-banner="signed-out"]')) banner("offline", h("div", { class: "banner trouble", role: "alert" }, h("span", null, h("strong", null, "Connection lost."), " What you see may be old; it goes on from where it stopped as soon as the server answers."), button("Try now", () => live.reconnect(), "small")));
}

/** Put a banner under the top bar, or take it away (`node` null). The same one twice changes nothing. */
function banner(name, node) {
  const area = document.getElementById("banners");
  const there = area.querySelector(`[data-banner="${name}"]`);
  if (!node) there?.remove();
  else if (!there) {
    node.dataset.banner = name;
    area.append(node);
  }
}

function showPaused(paused) {
  const resume = () => attempt(() => post("/actors/resume"), "Resumed").then((answer) => answer !== undefined && shared.set("paused", false));
  banner("paused", paused ? h("div", { class: "banner" }, h("span", null, h("strong", null, "Paused on all nodes."), " Notifications are still taken; mail waits where it is until you resume."), button("Resume", resume, "small solid")) : null);
}

function showBadges(stats) {
  const dead = document.querySelector('[data-badge="dead"]');
  setText(dead, stats.dead_letters ? short(stats.dead_letters) : "");
  dead.classList.toggle("trouble", stats.dead_letters > 0);
  setText(document.querySelector('[data-badge="emails"]'), short(stats.total_emails_processed));
}

/** Say so and lead to the login, which leads back to this very place. */
function signedOut() {
  sessionStorage.setItem(RETURN, location.hash);
  live.hangUp();
  banner("offline", null);
  if (!open.name || !shared.stats) location.assign("/login");
  else banner("signed-out", h("div", { class: "banner trouble", role: "alert" }, h("span", null, h("strong", null, "You are signed out."), " Sign in to see what happens now."), h("a", { class: "button small", href: "/login" }, "Sign in")));
}

/** Where somebody has logged in, a way out; the next login leads back to this place. */
function startSession(role) {
  if (!role) return;
  document.getElementById("read-only").hidden = role !== "read";
  const out = document.getElementById("sign-out");
  out.hidden = false;
  out.addEventListener("click", async () => {
    sessionStorage.setItem(RETURN, location.hash);
    if ((await attempt(() => post("/logout"))) !== undefined) location.assign("/login");
  });
}

function startKeys() {
  // The address is the page's: an anchor in it would lead away.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  keys.general([
    ["/", "Search", () => (find.focus(), find.select())],
    ["?", "This list", () => keys.help()],
    ...FLAT.map(([name, title, letter]) => [`g ${letter}`, `Go to ${title}`, () => go(name)]),
  ]);
  document.getElementById("help").addEventListener("click", () => keys.help());
  find.addEventListener("keydown", (event) => {
    if (event.key === "Escape") find.blur();
  });
  find.closest("form").addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, params } = current();
    go("emails", { ...(name === "emails" ? Object.fromEntries(params) : {}), q: find.value.trim(), id: "" });
    main.focus({ preventScroll: true });
  });
}

function comeBack() {
  const place = sessionStorage.getItem(RETURN);
  sessionStorage.removeItem(RETURN);
  if (place && !location.hash) history.replaceState(null, "", place);
}

async function start() {
  comeBack();
  buildRail();
  startTheme(document.getElementById("theme"));
  startKeys();
  startSession(document.body.dataset.session);
  whenSignedOut(signedOut);
  live.addEventListener("state", ({ detail }) => showConnection(detail));
  shared.watch("paused", showPaused);
  shared.watch("stats", showBadges);
  live.start();
  await new Promise((resolve) => {
    live.addEventListener("state", ({ detail }) => detail.state !== "connecting" && resolve(), { once: true });
    setTimeout(resolve, 600);
  });
  onRoute(showRoute);
  refreshShared();
  // The other pages come along when there is time, so that they open even while the server is away.
  setTimeout(() => FLAT.forEach((page) => page[3]().catch(() => {})), 3000);
  const visibly = (action) => () => document.visibilityState === "visible" && action();
  setInterval(visibly(refreshHealth), 5_000);
  setInterval(visibly(refreshShared), 20_000);
}

start();
