/**
 * The WebSocket: connects, keeps alive, reconnects with back-off, and resumes from the last seq it handled, so that
 * a page misses nothing and sees nothing twice. Pages listen to `live`; app.js starts it and shows its state.
 *
 * Events: `event` (detail: the API's message with its seq), `stats`, `queue`, `state` (detail: {state, retryAt}), and
 * `resync` when missed events cannot be replayed and pages must read the store again.
 */

import { get } from "./api.js";

const FIRST_DELAY = 500;
const LONGEST_DELAY = 15_000;
const QUIET = 25_000;
const PONG_WITHIN = 8_000;
const REMEMBERED = 4_000;
const REPLAY_AGAIN = 2_000;
const COMPARED = 5;

export class Live extends EventTarget {
  state = "connecting";
  lastSeq = null;
  #socket = null;
  #tries = 0;
  #opened = false;
  #read = false;
  #replaying = false;
  #replayAgain = 0;
  #refused = 0;
  #seen = new Set();
  #retry = 0;
  #quiet = 0;
  #ahead = [];
  #client = `dashboard-${crypto.getRandomValues(new Uint32Array(1))[0].toString(36)}`;

  start() {
    addEventListener("online", () => this.reconnect());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.state === "waiting") this.reconnect();
    });
    this.#connect();
  }

  /** A time of our clock by the server's, as far as that is known: they may differ by more than a chart shows. */
  serverTime(ours = Date.now()) {
    return ours - (this.#ahead.length && Math.min(...this.#ahead));
  }

  /** Connect now instead of waiting for the back-off to end. */
  reconnect() {
    if (this.state === "live" || this.state === "connecting") return;
    clearTimeout(this.#retry);
    this.#connect();
  }

  /** Say that pages read the store from now on: they will miss events until the first connection is open. */
  pagesRead() {
    this.#read = true;
  }

  /** Disconnect, so that a page that was signed out does not show "Live"; it reconnects as after any loss. */
  hangUp() {
    if (this.state === "live") this.#drop();
  }

  #connect() {
    this.#setState("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws/emails/${this.#client}`);
    this.#socket = socket;
    this.#opened = false;
    socket.addEventListener("open", () => this.#onOpen());
    socket.addEventListener("message", (message) => this.#onMessage(message.data));
    socket.addEventListener("close", () => {
      if (socket === this.#socket) this.#onClose();
    });
  }

  #onOpen() {
    this.#opened = true;
    this.#tries = 0;
    if (this.lastSeq === null) {
      if (this.#read) this.#emit("resync", "no cursor");
    } else {
      this.#replay();
    }
    this.#read = true;
    this.#send({ command: "fetch_stats" });
    this.#setState("live");
    this.#listenForSilence();
  }

  /** Until the server confirms, live events may overtake missed ones: they are shown, but the cursor does not move. */
  #replay() {
    clearTimeout(this.#replayAgain);
    this.#replayAgain = 0;
    this.#replaying = true;
    this.#send({ command: "subscribe", topic: "email:all", since: this.lastSeq });
  }

  /** The missed events could not be read, or not yet: the cursor has not moved, so request them again. */
  #onRefusal(message) {
    if (message.topic === "email:all") this.#replaying = true;
    if (!this.#replaying || this.#replayAgain) return;
    const delay = Math.min(LONGEST_DELAY, REPLAY_AGAIN * 2 ** this.#refused);
    this.#refused += 1;
    this.#replayAgain = setTimeout(() => this.state === "live" && this.#replay(), delay);
  }

  #onMessage(text) {
    this.#listenForSilence();
    this.#handle(JSON.parse(text));
  }

  #handle(message) {
    if (message.seq !== undefined) this.#onEvent(message);
    else if (message.event === "stats") this.#onStats(message);
    else if (message.event === "queue") this.#emit("queue", message.data);
    else if (message.type === "gap") this.#onGap(message);
    else if (message.type === "dropped") this.#emit("resync", "dropped");
    else if (message.type === "error") this.#onRefusal(message);
    else if (message.type === "subscription" && message.topic === "email:all") this.#replaying = false;
  }

  #onEvent(message) {
    if (!this.#replaying) {
      this.lastSeq = message.seq;
      this.#refused = 0;
    }
    if (this.#seen.has(message.seq)) return;
    this.#seen.add(message.seq);
    if (this.#seen.size > REMEMBERED) this.#seen.delete(this.#seen.values().next().value);
    this.#emit("event", message);
  }

  /** Of the last few messages, the one that was under way the shortest tells best how far our clock is ahead. */
  #onStats({ data, timestamp }) {
    this.#ahead = [...this.#ahead.slice(1 - COMPARED), Date.now() - Date.parse(timestamp)];
    this.#emit("stats", data);
  }

  #onGap(message) {
    if (message.to) this.lastSeq = message.to;
    this.#emit("resync", "gap");
  }

  #onClose() {
    clearTimeout(this.#quiet);
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#tries) * (0.5 + Math.random() / 2);
    this.#tries += 1;
    this.#retry = setTimeout(() => this.#connect(), delay);
    this.#setState("waiting", Date.now() + delay);
    // A script cannot see why a handshake was refused; an ordinary request finds out whether we are signed out.
    if (!this.#opened) get("/stats", { timeout: 3000 }).catch(() => {});
  }

  #listenForSilence() {
    clearTimeout(this.#quiet);
    this.#quiet = setTimeout(() => {
      this.#send({ command: "ping" });
      this.#quiet = setTimeout(() => this.#drop(), PONG_WITHIN);
    }, QUIET);
  }

  #drop() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    this.#onClose();
  }

  #send(command) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(command));
  }

  #setState(state, retryAt = 0) {
    this.state = state;
    this.#emit("state", { state, retryAt });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

export const live = new Live();
