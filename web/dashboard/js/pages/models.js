/**
 * Models: which one is live, which runs beside it as a shadow, where the two disagree, and promoting or rolling back a
 * model. Read every five seconds while the page is open.
 */

import { ask, attempt, complain, copyable, once, patiently, toast } from "../acting.js";
import { get, post, url } from "../api.js";
import { fill, h, setText } from "../dom.js";
import { count, counted, exact, percent, sender, short, when } from "../format.js";
import { Look } from "../looking.js";
import { button, changeList, chip, heads, label, loading, subjectOf, table } from "../parts.js";
import { path } from "../route.js";
import { reprocess } from "./reprocess.js";

const EVERY = 5000;
const LEAD = "One model is live. A new one runs beside it as a shadow, changing nothing, until someone promotes it.";
const BACK = "The earlier model goes live again on all nodes within seconds.";
const FORWARD = "It classifies new mail on all nodes within seconds, without a restart. "
  + "Stored mail stays as it is until you reprocess it.";
const VERSIONS = ["Version", "Role", "Origin", "Created", "Size", "Right on corrections", "Held out"];
const MEANING = {
  "Right on corrections": "Share of people's corrections it gets right; a trained model learned from these emails",
  "Held out": "Share of corrections that models trained without them got right, when it was trained",
};
const DIFFERING = ["Email", "From", "Live", "Shadow", "Sure", "When"];
const TRAIN = "python3 run.py train --from-feedback";

export function show(root, _params, signal) {
  const said = h("span", { class: "quiet" });
  const body = h("div", { class: "models" }, loading(6));
  let seen = "";

  function draw(answer) {
    const text = JSON.stringify(answer);
    if (text === seen) return;
    seen = text;
    setText(said, counted(answer.items.length, "version"));
    const choose = (model, back) => promote(model, back, () => look.now());
    fill(body, versions(answer, choose), shadow(answer), training(answer));
  }

  const again = button("Reprocess stored mail", once(() => reprocess(signal)));
  fill(root,
    h("div", { class: "head" }, h("h1", null, "Models"), said, h("div", { class: "actions" }, again),
      h("p", { class: "lead" }, LEAD)),
    body);
  const question = (own) => get("/models", { signal: own });
  const look = new Look({ place: body, ask: question, show: draw, every: EVERY, signal });
  look.now();
}

/** Ask for confirmation, and once more if the model does worse than the live one. */
async function promote(model, back, changed) {
  const title = `${back ? "Go back to" : "Promote"} ${short12(model)}?`;
  if (!(await ask(title, back ? BACK : FORWARD, back ? "Roll back" : "Promote"))) return;
  const send = (force) => post(url(["models", model.version, "promote"], { force: force || undefined }));
  try {
    await patiently(() => send(false));
  } catch (error) {
    if (error.status !== 409) return complain(error.message);
    const worse = sentence(error.message.replace(/;? ?force=true.*$/, ""));
    if (!(await ask("This model does worse", worse, "Promote anyway", "danger"))) return;
    if ((await attempt(() => send(true))) === undefined) return;
  }
  toast(`${short12(model)} is live`);
  changed();
}

const short12 = (model) => model.version.slice(0, 12);
const sentence = (text) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;

function versions(answer, promote) {
  const row = (model) => h("tr", { class: model.role === "live" ? "live" : "" },
    h("th", { scope: "row" }, h("span", { class: "mono" }, short12(model))),
    h("td", null, model.role && chip(model.role, model.role === "live" ? "solid" : "")),
    h("td", null, model.origin, model.parent && h("small", { class: "quiet" }, ` from ${model.parent.slice(0, 8)}`)),
    h("td", { class: "nowrap", title: exact(model.created_at) }, when(model.created_at)),
    h("td", { class: "num" }, `${short(Math.round(model.size_bytes / 1024))} kB`),
    h("td", { class: "num" }, corrected(model.corrected)),
    h("td", { class: "num" }, percent(model.figures.right_held_out)),
    h("td", { class: "acts" }, act(model, promote)));
  const acts = h("th", { scope: "col" }, h("span", { class: "hidden" }, "Actions"));
  return h("section", { class: "sheet versions" },
    h("header", null, h("h2", null, "Versions")),
    table("Versions", null,
      heads(VERSIONS, ["Size", "Right on corrections", "Held out"], { meaning: MEANING, last: acts }),
      h("tbody", null, answer.items.map(row))));
}

function act(model, promote) {
  if (model.role === "live") return "";
  if (!model.usable) return h("span", { class: "quiet" }, "this release cannot run it");
  const back = model.role === "previous";
  const props = { data: { promote: model.version } };
  return button(back ? "Roll back" : "Promote", () => promote(model, back), "small", props);
}

function corrected(score) {
  if (!score?.emails) return h("span", { class: "quiet" }, "–");
  return [percent(score.share), h("small", { class: "quiet" }, ` of ${count(score.emails)}`)];
}

function shadow({ shadow: version, agreement, differing }) {
  if (!version) {
    return h("section", { class: "sheet" },
      h("header", null, h("h2", null, "Shadow")),
      h("p", { class: "quiet" }, "No shadow model is running beside the live one."));
  }
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, "Shadow"), h("span", { class: "mono quiet" }, version.slice(0, 12))),
    h("div", { class: "agree" },
      agreed(agreement),
      agreement?.differences.length > 0 && changeList(agreement.differences, "Where they differ")),
    differing.length > 0 && newestDiffering(differing));
}

function agreed(agreement) {
  const compared = agreement?.compared ?? 0;
  const words = compared
    ? `agreement with the live model on ${counted(compared, "sampled email")}`
    : "nothing compared yet: it classifies a sample of new mail";
  return h("p", null, h("b", { class: "big" }, percent(agreement?.share, 1)), h("span", { class: "quiet" }, words));
}

function newestDiffering(mails) {
  return table("Emails on which they differ", { class: "differing" },
    h("caption", null, "Newest emails on which they differ"),
    heads(DIFFERING, ["Sure"]),
    h("tbody", null, mails.map(differingRow)));
}

function differingRow(mail) {
  const email = path("emails", { id: mail.email_id, source: mail.source });
  return h("tr", null,
    h("th", { scope: "row", class: "cut" }, h("a", { href: email }, subjectOf(mail))),
    h("td", { class: "quiet nowrap" }, sender(mail.sender)),
    h("td", null, label(mail.live)),
    h("td", null, label(mail.shadow)),
    h("td", { class: "num" }, percent(mail.shadow_confidence)),
    h("td", { class: "nowrap", title: exact(mail.at) }, when(mail.at)));
}

/** How to train: a command, because the server has no time for it, and how many corrections there are to learn from. */
function training({ items, live }) {
  const known = items.find((model) => model.version === live)?.corrected?.emails ?? 0;
  const learn = "this command trains a model from the corrections, to run as the shadow:";
  const words = known
    ? `People have corrected ${counted(known, "email")} (only the newest are counted); ${learn}`
    : `Once people have corrected some emails, ${learn}`;
  return h("section", { class: "sheet" },
    h("header", null, h("h2", null, "Train from feedback"), h("a", { class: "end", href: path("review") }, "Review")),
    h("p", null, words),
    copyable(TRAIN));
}
