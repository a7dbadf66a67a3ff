/**
 * Judge stored mail again with today's rules and model: count first, then ask, then run a task and show its progress.
 * Used by the pages of rules and models.
 */

import { ask, attempt, complain, toast } from "../acting.js";
import { get, post, url } from "../api.js";
import { h, setText } from "../dom.js";
import { count, counted, percent } from "../format.js";

const EVERY = 400;

export async function reprocess(signal) {
  const found = await watched("Counting what would change", true, signal);
  if (!found) return;
  const changed = found.counts?.changed ?? 0;
  if (!changed) return void toast("Nothing would change");
  const would = `${count(changed)} would change class`;
  const words = `Of ${counted(found.done, "stored email")}, ${would}. People's corrections are kept.`;
  if (!(await ask(`Change ${counted(changed, "email")}?`, words, "Reprocess"))) return;
  const done = await watched("Reprocessing", false, signal);
  if (done) toast(`${counted(done.counts?.changed ?? 0, "email")} changed`);
}

/** Start the task and show its progress; resolves to the task when it is done. */
async function watched(title, dry, signal) {
  let task = await attempt(() => post("/reprocess", { dry_run: dry }));
  if (!task) return undefined;
  const words = h("span", null, title);
  const note = h("div", { class: "toast", role: "status" }, words);
  document.getElementById("toasts").append(note);
  try {
    while (!signal.aborted && ["queued", "running"].includes(task.state)) {
      await new Promise((resolve) => setTimeout(resolve, EVERY));
      task = await get(url(["tasks", task.id]), { signal });
      setText(words, task.total ? `${title}: ${percent(task.done / task.total)}` : title);
    }
  } catch (error) {
    if (!signal.aborted) complain(error.message);
    return undefined;
  } finally {
    note.remove();
  }
  if (task.state !== "done") complain(task.error ?? `The task ${task.state === "failed" ? "" : "was "}${task.state}`);
  return task.state === "done" && !signal.aborted ? task : undefined;
}
