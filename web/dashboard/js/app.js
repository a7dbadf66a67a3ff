/**
 * The shell: opens the page that the address names, and handles global keys and the session. Starts the WebSocket
 * before the first page reads the store, so that no event is missed in between. Loaded by index.html.
 */

import { attempt } from "./acting.js";
import { post, whenSignedOut } from "./api.js";
import { showConnection, showHealth, showPaused, showSignedOut } from "./banners.js";
import { fill } from "./dom.js";
import { keys } from "./keys.js";
import { live } from "./live.js";
import { failed } from "./parts.js";
import { FLAT, Rail } from "./rail.js";
import { current, go, onRoute } from "./route.js";
import { refreshHealth, refreshShared, shared } from "./state.js";
import { startTheme } from "./theme.js";

const RETURN = "return-to";
const LIVE_WITHIN = 600;
const OTHERS_AFTER = 3_000;
const HEALTH_EVERY = 5_000;
const REFRESH_EVERY = 20_000;

const main = document.getElementById("main");
const find = document.getElementById("find");
const rail = new Rail(document.getElementById("rail"));
let open = { name: null, update: null, end: () => {} };

// -- pages

/** Open the page that the address names, or tell the page already open that its parameters changed. */
function showRoute() {
  const { name, params } = current();
  const page = FLAT.find(([key]) => key === name);
  if (!page) return go("now", {}, { replace: true });
  if (name !== "emails" || document.activeElement !== find) find.value = searchOf(name, params);
  if (open.name === name && open.update) return open.update(params);
  return openPage(page, params);
}

const searchOf = (name, params) => (name === "emails" ? (params.get("q") ?? "") : "");

async function openPage([name, title, , load], params) {
  open.end();
  const { signal } = begin(name);
  main.className = `page page-${name}`;
  main.replaceChildren();
  main.scrollTop = 0;
  document.title = `${title} · Email processor`;
  rail.mark(name);
  try {
    const { show } = await load();
    if (!signal.aborted) open.update = show(main, params, signal) ?? null;
  } catch (error) {
    if (!signal.aborted) fill(main, failed(error, () => location.reload()));
  }
}

/** Make this the open page, until the returned controller ends it. */
function begin(name) {
  const controller = new AbortController();
  open = { name, update: null, end: () => controller.abort() };
  keys.page([]);
  return controller;
}

function onConnection(detail) {
  showConnection(detail);
  if (detail.state !== "live") return;
  if (open.name) refreshShared(); // without a connection we could not learn that it was paused, resumed or in trouble
  for (const again of main.querySelectorAll("[data-again]")) again.click();
}

// -- the session

/** Show a banner, or go to the login if nothing is shown yet; the login leads back to this place. */
function signedOut() {
  sessionStorage.setItem(RETURN, location.hash);
  live.hangUp();
  if (open.name && shared.stats) showSignedOut();
  else location.assign("/login");
}

/** If somebody is logged in, offer to sign out; the next login leads back to this place. */
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

function comeBack() {
  const place = sessionStorage.getItem(RETURN);
  sessionStorage.removeItem(RETURN);
  if (place && !location.hash) history.replaceState(null, "", place);
}

// -- keys

function startKeys() {
  // The page's state is in the address: an anchor there would navigate away.
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault();
    main.focus();
  });
  keys.general([
    ["/", "Search", () => (find.focus(), find.select())],
    ["?", "Show these shortcuts", () => keys.help()],
    ...FLAT.map(([name, title, letter]) => [`g ${letter}`, `Go to ${title}`, () => go(name)]),
  ]);
  document.getElementById("help").addEventListener("click", () => keys.help());
  find.addEventListener("keydown", leaveSearch);
  find.closest("form").addEventListener("submit", search);
}

/** Escape leaves the search and restores its text; the browser's default would only empty the field. */
function leaveSearch(event) {
  if (event.key !== "Escape") return;
  event.preventDefault();
  const { name, params } = current();
  find.value = searchOf(name, params);
  find.blur();
}

function search(event) {
  event.preventDefault();
  const { name, params } = current();
  const filter = name === "emails" ? Object.fromEntries(params) : {};
  go("emails", { ...filter, q: find.value.trim(), id: "" });
  main.focus({ preventScroll: true });
}

// -- the start

/** Resolves when the first connection is made, has failed, or takes too long. */
function connected() {
  live.start();
  return new Promise((resolve) => {
    live.addEventListener("state", ({ detail }) => detail.state !== "connecting" && resolve(), { once: true });
    setTimeout(resolve, LIVE_WITHIN);
  });
}

async function start() {
  comeBack();
  startTheme(document.getElementById("theme"));
  startKeys();
  startSession(document.body.dataset.session);
  whenSignedOut(signedOut);
  live.addEventListener("state", ({ detail }) => onConnection(detail));
  shared.watch("health", showHealth);
  shared.watch("paused", showPaused);
  shared.watch("stats", (stats) => rail.badges(stats));
  await connected();
  live.pagesRead();
  onRoute(showRoute);
  refreshShared();
  // Load the other pages when there is time, so that they open even while the server is away.
  setTimeout(() => FLAT.forEach(([, , , load]) => load().catch(() => {})), OTHERS_AFTER);
  const visibly = (action) => () => document.visibilityState === "visible" && action();
  setInterval(visibly(refreshHealth), HEALTH_EVERY);
  setInterval(visibly(refreshShared), REFRESH_EVERY);
  document.addEventListener("visibilitychange", visibly(refreshShared));
}

start();
