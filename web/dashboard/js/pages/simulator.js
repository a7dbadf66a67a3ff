/**
 * Simulator: send one email, send a burst, make FakeMail misbehave, and see how the system reacts. Only available if
 * the server runs its own simulator; otherwise the page says so.
 */

import { ask, attempt, once, quietly, toast } from "../acting.js";
import { del, get, post, put } from "../api.js";
import { fill, h, setText, update } from "../dom.js";
import { count, counted, duration, rate, success } from "../format.js";
import { plain, select } from "../forms.js";
import { everyWhileShown } from "../looking.js";
import { button, chip, emptyState, failed, loading } from "../parts.js";
import { path } from "../route.js";
import { LANES } from "../shapes.js";
import { shared } from "../state.js";
import { FAULTS, faultField, PRESETS } from "./faults.js";

const BATCH = 500;
const EVERY = 4000;
const BURSTS = [10, 100, 1000, 10_000];

async function open(root, signal) {
  let status;
  try {
    status = await get("/simulator/status", { signal });
  } catch (error) {
    if (!signal.aborted) fill(root, head(), h("div", { class: "sheet" }, absent(error, () => open(root, signal))));
    return;
  }
  const templates = await quietly(() => get("/simulator/template-emails", { signal }));
  if (!signal.aborted) build(root, status, templates?.emails ?? [], signal);
}

/** Why nothing is shown: there is no simulator, or reading failed. */
function absent(error, again) {
  const words = "This server follows a real FakeMail (FAKEMAIL_API_URL is set), or SIMULATOR_ENABLED is false.";
  return error.status === 404 ? emptyState("There is no simulator here", words) : failed(error, again);
}

function build(root, status, examples, signal) {
  const account = h("span", { class: "quiet" });
  const refresh = async () => {
    const answer = await quietly(() => get("/simulator/status", { signal }));
    if (answer && !signal.aborted) setText(account, accountWords((status = answer)));
  };
  const reset = async () => {
    const words = `FakeMail deletes its ${counted(status.email_count, "email")} and restarts its history from 0. `
      + "What the system has stored is kept. This cannot be undone.";
    if (!(await ask("Reset the account?", words, "Reset", "danger"))) return;
    await attempt(() => post("/simulator/reset"), "Account reset");
    refresh();
  };
  const send = h("div", { class: "sim-send" }, sendOne(examples, refresh), burst(examples, refresh, signal));
  fill(root,
    head(account, h("div", { class: "actions" }, button("Reset the account", reset, "danger small"))),
    h("div", { class: "sim" }, send, faults(signal), h("div", null, reaction(signal))));
  setText(account, accountWords(status));
  everyWhileShown(EVERY, refresh, signal);
}

function accountWords(status) {
  const emails = counted(status.email_count, "email");
  const hooks = counted(status.webhook_urls.length, "webhook");
  return `${emails} in the account, newest history id ${count(status.history_id)}, ${hooks} subscribed`;
}

export function show(root, _params, signal) {
  fill(root, head(), loading(6));
  open(root, signal);
}

function head(...more) {
  const lead = h("p", { class: "lead" }, "A built-in FakeMail to try things out with.");
  return h("div", { class: "head" }, h("h1", null, "Simulator"), more, lead);
}

function sendOne(examples, sent) {
  const input = (name, props) => h(props.rows ? "textarea" : "input", { name, id: `send-${name}`, ...props });
  const fields = {
    subject: input("subject", { required: true }),
    body: input("body", { rows: 6 }),
    sender: input("sender", { placeholder: "somebody@example.com" }),
  };
  const priority = select(plain(LANES), { name: "priority", id: "send-priority" }, "normal");
  let headers;
  const use = (email) => {
    for (const [name, field] of Object.entries(fields)) field.value = email?.[name] ?? "";
    headers = email?.headers;
  };
  const send = once(async () => {
    const written = Object.entries(fields).map(([name, field]) => [name, field.value]).filter(([, value]) => value);
    const email = { subject: "", body: "", ...Object.fromEntries(written), priority: priority.value };
    const answer = await attempt(() => post("/simulator/send_email", headers ? { ...email, headers } : email));
    if (!answer) return;
    toast(`Sent as ${answer.email_id}`);
    sent();
  });
  // An example's headers belong to its text: an email that a person has edited is sent without them.
  for (const control of Object.values(fields)) control.addEventListener("input", () => (headers = undefined));
  const field = (name, title, control) => h("label", { class: `field f-${name}` }, title, control);
  return h("form", { class: "sheet", on: { submit: (event) => (event.preventDefault(), send()) } },
    h("header", null, h("h2", null, "Send one"), exampleChoice(examples, use)),
    h("div", { class: "form" },
      field("subject", "Subject", fields.subject), field("body", "Text", fields.body),
      field("sender", "From", fields.sender), field("priority", "Priority", priority)),
    h("div", { class: "actions end" }, h("button", { class: "button solid" }, "Send")));
}

function exampleChoice(examples, use) {
  const words = (email) => (email.expected ? `${email.expected}: ${email.subject}` : email.subject);
  const choices = examples.map((email, index) => [index, words(email)]);
  const choose = () => use(examples[pick.value]);
  const props = { class: "pick end", "aria-label": "Fill in an example", on: { change: choose } };
  const pick = select([["", "Fill in an example"], ...choices], props);
  return pick;
}

function burst(examples, sent, signal) {
  const said = h("span", { class: "quiet", role: "status" });
  const bar = h("progress", { max: 1, value: 0, hidden: true, "aria-label": "Sent" });
  const title = (size) => `Send ${count(size)} emails`;
  const buttons = BURSTS.map((size) => button(count(size), () => run(size), "", { title: title(size) }));
  async function run(size) {
    for (const node of buttons) node.disabled = true;
    bar.hidden = false;
    const tell = (done) => {
      bar.value = done / size;
      setText(said, `${count(done)} of ${count(size)} sent`);
    };
    const done = await sendMany(examples, size, tell, signal);
    const left = signal.aborted && done < size;
    if (left) toast(`Stopped after ${count(done)} of ${count(size)}, because you left the page`);
    bar.hidden = true;
    for (const node of buttons) node.disabled = false;
    sent();
  }
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, "Send a burst"), said),
    h("div", { class: "actions" }, buttons),
    bar,
    h("p", { class: "quiet hint" }, `Sends a mix of the examples, at most ${BATCH} per notification.`));
}

/** Send them in batches until the page is left or sending fails; resolves to how many were sent. */
async function sendMany(examples, size, tell, signal) {
  const seeds = examples.length ? examples : [{ subject: "Hello", body: "A test." }];
  let done = 0;
  while (done < size && !signal.aborted) {
    const first = done;
    const one = (_, index) => variant(seeds[Math.floor(Math.random() * seeds.length)], first + index);
    const emails = Array.from({ length: Math.min(BATCH, size - first) }, one);
    if (!(await attempt(() => post("/simulator/send_batch", { emails })))) break;
    done += emails.length;
    tell(done);
  }
  return done;
}

function variant({ subject, body, sender, headers }, number) {
  return { subject: number % 3 ? subject : `${subject} (${number})`, body, sender, ...(headers && { headers }) };
}

/** The faults, as switches with a strength; the server holds them, so open pages agree. */
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
    fill(list, grouped(fields));
    paint(values);
  }
  load();
  const off = button("All off", () => attempt(() => del("/simulator/faults")).then(load), "small");
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, "Faults"), said, h("span", { class: "end" }, off)),
    h("div", { class: "actions presets" }, presets),
    list);
}

function grouped(fields) {
  const groups = [...new Set(fields.map((field) => field.group))];
  const of = (group) => fields.filter((field) => field.group === group).map((field) => field.element);
  return groups.map((group) => h("fieldset", null, h("legend", null, group), of(group)));
}

/** How the system reacts: the figures that faults affect. */
function reaction(signal) {
  const body = h("tbody", null);
  const fake = h("p", { class: "fake" });
  const row = ([name, value]) => h("tr", null, h("th", { scope: "row" }, name), h("td", { class: "num" }, value));
  shared.watch("stats", (stats) => update(body, moving(stats).map(row)), signal);
  shared.watch("health", (health) => {
    const part = health.components?.fakemail ?? {};
    const state = h("b", { class: part.status === "healthy" ? "" : "trouble" }, part.status ?? "unknown");
    update(fake, "FakeMail is ", state, part.reason ? `: ${part.reason}` : ", as the system sees it.");
  }, signal);
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, "How the system responds"), h("a", { class: "end", href: path("now") }, "Now")),
    h("table", { class: "bare" }, body),
    fake);
}

function moving(stats) {
  const oldest = stats.oldest_queued_age_seconds;
  return [
    ["Classified a minute", rate(stats.emails_per_minute)],
    ["Emails waiting", count(stats.queue_depth)],
    ["Oldest waiting", oldest ? duration(oldest * 1000) : "none"],
    ["Retries", count(stats.retry_count)],
    ["Dead letters", count(stats.dead_letters)],
    ["Success", success(stats.success_rate)],
    ["Classified in total", count(stats.total_emails_processed)],
  ];
}
