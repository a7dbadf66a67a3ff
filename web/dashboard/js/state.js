/**
 * State that several pages share: the newest stats, health, the last two minutes of events by class, and whether the
 * system is paused. Filled by app.js and the WebSocket; pages subscribe with `watch` until their signal aborts.
 */

import { get } from "./api.js";
import { live } from "./live.js";
import { CLASSES } from "./shapes.js";

export const WINDOW = 120;

class Shared extends EventTarget {
  stats = null;
  health = null;
  paused = false;
  history = [];
  /** One bin per second: counts per class, and `trouble` for retries and dead letters. */
  bins = new Map();

  /** Call `listener` now if there is a value, and at each change of `name`, until `signal` aborts. */
  watch(name, listener, signal) {
    if (this[name] !== null) listener(this[name]);
    this.addEventListener(name, () => listener(this[name]), { signal });
  }

  set(name, value) {
    this[name] = value;
    this.dispatchEvent(new Event(name));
  }

  setStats(stats) {
    this.history.push(stats);
    if (this.history.length > 240) this.history.shift();
    this.set("stats", stats);
    this.setPaused(stats.paused);
  }

  /** A server of the version before this page's does not tell. */
  setPaused(paused) {
    if (paused !== undefined && paused !== this.paused) this.set("paused", paused);
  }

  /** Count an event in its second. */
  note(message) {
    if (message.event === "process") this.tally(message.data.classification, message.timestamp);
    else if (message.event === "retry" || message.event === "dead") this.tally("trouble", message.timestamp);
  }

  /** Count results from before the first live event, so that the strip does not start empty. */
  seed(results) {
    const first = Math.min(Infinity, ...this.bins.keys());
    const earlier = results.filter(({ processed_at: at }) => Date.parse(at) < first * 1000);
    for (const { classification, processed_at: at } of earlier) this.tally(classification, at);
  }

  tally(name, timestamp) {
    const second = Math.floor(Date.parse(timestamp) / 1000);
    const bin = this.bins.get(second) ?? Object.fromEntries([...CLASSES, "trouble"].map((key) => [key, 0]));
    bin[name] = (bin[name] ?? 0) + 1;
    this.bins.set(second, bin);
    if (this.bins.size > WINDOW * 2) this.#forget(second);
  }

  #forget(now) {
    for (const second of this.bins.keys()) if (second < now - WINDOW) this.bins.delete(second);
  }
}

export const shared = new Shared();

const read = (path, take) => get(path).then(take, () => {});

/** Read the health, which no event reports. */
export const refreshHealth = () => read("/health", (health) => shared.set("health", health));

/** Read the stats (in case the WebSocket missed some) and the health. */
export function refreshShared() {
  read("/stats", (stats) => shared.setStats(stats));
  refreshHealth();
}

live.addEventListener("event", ({ detail }) => shared.note(detail));
live.addEventListener("stats", ({ detail }) => shared.setStats(detail));
live.addEventListener("queue", ({ detail }) => {
  if (shared.stats) shared.set("stats", { ...shared.stats, ...detail });
});
