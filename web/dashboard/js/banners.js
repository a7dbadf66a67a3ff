/**
 * The banners under the top bar: the connection is lost, a component is in trouble, the system is paused, nobody is
 * signed in. Each is shown once, as long as it is true. Used by app.js, which decides when.
 */

import { attempt } from "./acting.js";
import { post } from "./api.js";
import { h, setText } from "./dom.js";
import { when } from "./format.js";
import { live } from "./live.js";
import { button } from "./parts.js";
import { path } from "./route.js";
import { sentence, troubleWords, unwellOf } from "./shapes.js";
import { shared } from "./state.js";

const LINK_WORDS = { live: "Live", connecting: "Connecting", waiting: "Reconnecting" };
const LOST = " What you see may be out of date; updates resume where they stopped when the server is back.";
const WAITS = " Mail waits in the meantime; none is lost.";
const PAUSED = " Notifications are still accepted; mail waits until you resume.";

/** Show or replace a banner, or remove it (`node` null). A banner with the same text stays as it is. */
function banner(name, node) {
  const area = document.getElementById("banners");
  const there = area.querySelector(`[data-banner="${name}"]`);
  if (!node) there?.remove();
  else if (there?.textContent !== node.textContent) {
    node.dataset.banner = name;
    if (there) there.replaceWith(node);
    else area.append(node);
  }
}

function made({ title, text, act = null, trouble = false }) {
  const props = trouble ? { class: "banner trouble", role: "alert" } : { class: "banner" };
  return h("div", props, h("span", null, h("strong", null, title), text), act);
}

/** Show the state of the connection in the top bar and, if it is lost, in a banner. */
export function showConnection({ state, retryAt }) {
  const link = document.getElementById("link");
  link.dataset.state = state;
  setText(document.getElementById("link-text"), LINK_WORDS[state]);
  link.title = state === "waiting" ? `Next attempt at ${when(retryAt)}` : "";
  if (state === "live") {
    banner("offline", null);
    banner("signed-out", null);
  } else if (state === "waiting" && !document.querySelector('[data-banner="signed-out"]')) showLost();
}

function showLost() {
  const act = button("Try now", () => live.reconnect(), "small");
  banner("offline", made({ title: "Connection lost.", text: LOST, act, trouble: true }));
}

/** Show which components are in trouble: a banner, and another dot beside "Live". The page Now tells more. */
export function showHealth({ status, components }) {
  document.getElementById("link").classList.toggle("unwell", status !== "healthy");
  const bad = unwellOf(components);
  if (!bad.length) return banner("unwell", null);
  const act = h("a", { class: "button small", href: path("now") }, "See details");
  const title = bad.map(([name, part]) => sentence(troubleWords(name, part))).join(" ");
  banner("unwell", made({ title, text: WAITS, act, trouble: true }));
}

export function showPaused(paused) {
  const act = button("Resume", resume, "small solid");
  banner("paused", paused ? made({ title: "Paused on all nodes.", text: PAUSED, act }) : null);
}

async function resume() {
  const answer = await attempt(() => post("/actors/resume"), "Resumed");
  if (answer !== undefined) shared.setPaused(false);
}

/** Say that the session ended while the page is open. */
export function showSignedOut() {
  const act = h("a", { class: "button small", href: "/login" }, "Sign in");
  const text = " Sign in to see live updates.";
  banner("offline", null);
  banner("signed-out", made({ title: "You are signed out.", text, act, trouble: true }));
}
