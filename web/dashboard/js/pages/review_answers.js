/**
 * A person's answers in the review: the current answer for each email, undone newest first, and sent to the server one
 * after the other, so that an undo never overtakes its answer. Used by review.js.
 */

import { attempt, toast } from "../acting.js";
import { del, labelPath, post } from "../api.js";
import { keyOf } from "../shapes.js";

export class Answers {
  #standing = new Map();
  #history = [];
  #sent = Promise.resolve();

  /** `changed(item, name)` is called when the answer for an email changes; `name` is undefined if there is none now. */
  constructor(changed) {
    this.changed = changed;
  }

  get size() {
    return this.#standing.size;
  }

  /** The current answer for an email. */
  of(item) {
    return this.#standing.get(keyOf(item));
  }

  /** Answer at once; resolves to whether the server accepted. If it did not, the previous answer is restored. */
  async give(item, name) {
    const given = { item, before: this.of(item) };
    this.#history.push(given);
    this.note(item, name);
    const answer = await this.#send(() => post(labelPath(item), { classification: name }));
    if (answer !== undefined) return true;
    this.#history = this.#history.filter((other) => other !== given);
    this.note(item, given.before);
    return false;
  }

  /** Take back the newest answer; resolves to its email, or to null if there was none or the server refused. */
  async takeBack() {
    const last = this.#history.pop();
    if (!last) {
      toast("Nothing to undo");
      return null;
    }
    const { item, before } = last;
    const again = { classification: before };
    const action = () => (before ? post(labelPath(item), again) : del(labelPath(item)));
    if ((await this.#send(action, "Undone")) === undefined) {
      this.#history.push(last);
      return null;
    }
    this.note(item, before);
    return item;
  }

  /** Record an answer that was given here or elsewhere. */
  note(item, name) {
    if (name) this.#standing.set(keyOf(item), name);
    else this.#standing.delete(keyOf(item));
    this.changed(item, name);
  }

  #send(action, done) {
    this.#sent = this.#sent.then(() => attempt(action, done));
    return this.#sent;
  }
}
