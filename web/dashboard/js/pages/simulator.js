/**
 * Simulator: send one email, send a burst, make FakeMail misbehave, and see beside it what the system does about it.
 * Only where the server runs its own simulator; otherwise the page says so.
 */

import { del, get, post, put } from "../api.js";
import { fill, h, setText, update } from "../dom.js";
import { count, counted, duration, percent, rate } from "../format.js";
import { ask, attempt, button, chip, emptyState, failed, loading, toast } from "../parts.js";
import { path } from "../route.js";
import { shared } from "../state.js";
import { FAULTS, faultField, PRESETS } from "./faults.js";

const BATCH = 500;

async function open(root, signal) {
  let status;
  try {
    status = await get("/simulator/status", { signal });
  } catch (error) {
    if (signal.aborted) return;
    const off = emptyState("There is no simulator here", "This server follows a real FakeMail (FAKEMAIL_API_URL is set), or SIMULATOR_ENABLED is false.");
    fill(root, head(), h("div", { class: "sheet" }, error.status === 404 ? off : failed(error, () => open(root, signal))));
    return;
  }
  const templates = await get("/simulator/template-emails", { signal }).then((answer) => answer.emails ?? answer, () => []);
  const account = h("span", { class: "quiet" });
  const refresh = async () => {
    status = await get("/simulator/status", { signal }).catch(() => status);
    setText(account, `${counted(status.email_count, "email")} in the account, newest history id ${count(status.history_id)}, ${count(status.webhook_urls.length)} subscribed`);
  };
  const reset = async () => {
    if (await ask("Reset the account?", "FakeMail's emails and history are gone and its history starts again from 0. What the system has stored stays.", "Reset", "danger")) {
      await attempt(() => post("/simulator/reset"), "The account is empty");
      refresh();
    }
  };
  fill(root, head(account, h("div", { class: "actions" }, button("Reset the account", reset, "danger small"))),
    h("div", { class: "sim" }, h("div", { class: "sim-send" }, sendOne(templates, refresh), burst(templates, refresh, signal)), faults(signal), h("div", null, reaction(signal))));
  refresh();
  const timer = setInterval(() => document.visibilityState === "visible" && refresh(), 4000);
  signal.addEventListener("abort", () => clearInterval(timer));
}

export function show(root, _params, signal) {
  fill(root, head(), loading(6));
  open(root, signal);
}

function head(...more) {
  return h("div", { class: "head" }, h("h1", null, "Simulator"), more, h("p", { class: "lead" }, "A FakeMail of our own, to try things with."));
}

function sendOne(templates, sent) {
  const input = (name, props) => h(props?.rows ? "textarea" : "input", { name, id: `send-${name}`, ...props });
  const fields = { subject: input("subject", { required: true }), body: input("body", { rows: 6 }), sender: input("sender", { placeholder: "somebody@example.com" }) };
  const priority = h("select", { name: "priority", id: "send-priority" }, ["normal", "high", "low"].map((lane) => h("option", { value: lane }, lane)));
  let headers;
  const use = (email) => {
    for (const [name, field] of Object.entries(fields)) field.value = email?.[name] ?? "";
    headers = email?.headers;
  };
  const pick = h("select", { class: "pick end", "aria-label": "Fill in an example", on: { change: () => use(templates[pick.value]) } }, h("option", { value: "" }, "Fill in an example"), templates.map((email, index) => h("option", { value: index }, `${email.expected ? `${email.expected}: ` : ""}${email.subject}`)));
  const send = async (event) => {
    event.preventDefault();
    const values = Object.fromEntries(Object.entries(fields).filter(([, field]) => field.value).map(([name, field]) => [name, field.value]));
    const answer = await attempt(() => post("/simulator/send_email", { subject: "", body: "", ...values, priority: priority.value, ...(headers && { headers }) }));
    if (!answer) return;
    toast(`Sent as ${answer.email_id}`);
    sent();
  };
  const field = (name, title, control) => h("label", { class: `field f-${name}` }, title, control);
  return h("form", { class: "sheet", on: { submit: send } },
    h("header", null, h("h2", null, "Send one"), pick),
    h("div", { class: "form" }, field("subject", "Subject", fields.subject), field("body", "Text", fields.body), field("sender", "From", fields.sender), field("priority", "Priority", priority)),
    h("div", { class: "actions end" }, h("button", { class: "button solid" }, "Send")));
}

function burst(templates, sent, signal) {
  const said = h("span", { class: "quiet", role: "status" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Sent" });
  const buttons = [10, 100, 1000, 10_000].map((size) => button(count(size), () => run(size)));
  async function run(size) {
    const seeds = templates.length ? templates : [{ subject: "Hello", body: "A test." }];
    for (const node of buttons) node.disabled = true;
    bar.hidden = false;
    try {
      for (let done = 0; done < size && !signal.aborted; done += BATCH) {
        const emails = Array.from({ length: Math.min(BATCH, size - done) }, (_, index) => variant(seeds[Math.floor(Math.random() * seeds.length)], done + index));
        await post("/simulator/send_batch", { emails }, { signal });
        bar.value = Math.min(1, (done + emails.length) / size);
        setText(said, `${count(done + emails.length)} of ${count(size)} sent`);
      }
    } catch (error) {
      if (!signal.aborted) toast(error.message, { kind: "trouble" });
    }
    bar.hidden = true;
    for (const node of buttons) node.disabled = false;
    sent();
  }
  return h("section", { class: "sheet" }, h("header", null, h("h2", null, "Send a burst"), said), h("div", { class: "actions" }, buttons), bar, h("p", { class: "quiet hint" }, "A mix of the examples, in batches of one notification each."));
}

function variant({ subject, body, sender, headers }, number) {
  return { subject: number % 3 ? subject : `${subject} (${number})`, body, sender, ...(headers && { headers }) };
}

/** The faults, as switches with a strength; the server holds them, so two open pages agree. */
function faults(signal) {
  const list = h("div", { class: "faults" }, loading(6));
  const said = h("span", { class: "quiet" });
  const presets = PRESETS.map(([name, values]) => button(name, () => save(values), "small"));
  let fields = [];
  const collect = () => Object.assign({}, ...fields.map((field) => field.values()));
  const paint = (values) => {
    const on = FAULTS.filter((fault) => values[fault.name]).length;
    fill(said, on ? chip(`${on} on`, "trouble") : "all off");
    for (const field of fields) field.show(values);
  };
  async function save(values) {
    const answer = await attempt(() => put("/simulator/faults", values));
    if (answer !== undefined) paint(values);
    else load();
  }
  async function load() {
    const values = await get("/simulator/faults", { signal }).catch((error) => {
      if (!signal.aborted) fill(list, failed(error, load));
    });
    if (!values) return;
    fields = FAULTS.map((fault) => faultField(fault, () => save(collect())));
    const groups = [...new Set(FAULTS.map((fault) => fault.group))];
    fill(list, groups.map((group) => h("fieldset", null, h("legend", null, group), fields.filter((field) => field.group === group).map((field) => field.element))));
    paint(values);
  }
  load();
  return h("section", { class: "sheet" }, h("header", null, h("h2", null, "Faults"), said, h("span", { class: "end" }, button("All off", () => attempt(() => del("/simulator/faults")).then(load), "small"))), h("div", { class: "actions presets" }, presets), list);
}

/** What the system does about it: the figures that faults move. */
function reaction(signal) {
  const body = h("tbody", null);
  const fake = h("p", { class: "fake" });
  shared.watch("stats", (stats) => {
    const rows = [
      ["Classified a minute", rate(stats.emails_per_minute)],
      ["Waiting", count(stats.queue_depth)],
      ["Oldest waiting", stats.oldest_queued_age_seconds ? duration(stats.oldest_queued_age_seconds * 1000) : "none"],
      ["Retries", count(stats.retry_count)],
      ["Dead letters", count(stats.dead_letters)],
      ["Success", stats.success_rate === null ? "–" : percent(stats.success_rate / 100, 1)],
      ["Classified in all", count(stats.total_emails_processed)],
    ];
    update(body, rows.map(([name, value]) => h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "num" }, value))));
  }, signal);
  shared.watch("health", (health) => {
    const part = health.components?.fakemail ?? {};
    update(fake, "FakeMail is ", h("b", { class: part.status === "healthy" ? "" : "trouble" }, part.status ?? "unknown"), part.reason ? `: ${part.reason}` : " in the eyes of the system.");
  }, signal);
  return h("section", { class: "sheet" }, h("header", null, h("h2", null, "What the system does"), h("a", { class: "end", href: path("now") }, "Now")), h("table", { class: "bare" }, body), fake);
}
