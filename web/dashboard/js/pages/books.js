/**
 * Books: the audit as a ledger. On the left what was listed, on the right where every email is; the two must be equal,
 * and nothing may be unaccounted for. Read every two seconds while the page is open.
 */

import { get } from "../api.js";
import { fill, h, update } from "../dom.js";
import { count, counted, exact, percent, when } from "../format.js";
import { Look } from "../looking.js";
import { loading } from "../parts.js";
import { path } from "../route.js";

const EVERY = 2000;
const LEAD = "Every email that FakeMail listed is counted here exactly once, in one snapshot of the database.";
const LINES = [
  ["results", "With a result", "classified and stored", () => path("emails", { state: "processed" })],
  ["queued", "Queued", "in the books, in a mailbox or in progress", () => path("emails", { state: "queued" })],
  ["retrying", "Retrying", "the last attempt failed; the next is due", () => path("emails", { state: "retrying" })],
  ["dead", "Dead letters", "failed for good, with a reason", () => path("dead")],
  ["discarded", "Discarded", "by a person", () => path("emails", { state: "discarded" })],
  ["erased", "Erased", "by a person; its entry stays in the books", () => path("emails", { state: "erased" })],
];

export function show(root, _params, signal) {
  const verdict = h("p", { class: "balance", role: "status" });
  const body = h("div", null, loading(7));
  const asOf = h("span", { class: "quiet" });
  let said = "";

  function draw(audit) {
    if (!said) fill(body);
    update(body, ledger(audit));
    update(asOf, `emails, as of ${when(audit.as_of)}`);
    const words = judge(audit);
    verdict.classList.toggle("trouble", !words.good);
    if (words.text !== said) fill(verdict, h("b", null, words.title), ` ${words.text}`);
    said = words.text;
  }

  const head = h("div", { class: "head" }, h("h1", null, "Books"), asOf, h("p", { class: "lead" }, LEAD));
  fill(root, head, verdict, body);
  new Look({ place: body, ask: (own) => get("/audit", { signal: own }), show: draw, every: EVERY, signal }).now();
}

const sumOf = (audit) => LINES.reduce((sum, [name]) => sum + audit[name], 0);

function judge(audit) {
  const apart = audit.listed - sumOf(audit);
  if (apart) return { good: false, title: "Not balanced.", text: apartWords(apart) };
  if (audit.unaccounted) return { good: false, title: "Some are unaccounted for.", text: lostWords(audit.unaccounted) };
  return { good: true, title: "Balanced.", text: "Everything that was listed is accounted for." };
}

function apartWords(apart) {
  const missing = counted(apart, "listed email is missing from", "listed emails are missing from");
  const surplus = counted(-apart, "extra email is in", "extra emails are in");
  return `${apart > 0 ? missing : surplus} the books. Please report this.`;
}

function lostWords(number) {
  const given = counted(number, "email was", "emails were");
  return `${given} given to a mailbox over a minute ago and not found in any; requeueing is automatic.`;
}

function ledger(audit) {
  return h("div", { class: "sheet ledger" },
    h("table", null,
      h("caption", { class: "hidden" }, "The books, in emails"),
      h("thead", null, ledgerHead()),
      h("tbody", null, listedRow(audit), LINES.map((line) => lineRow(line, audit))),
      h("tfoot", null, totalRow(audit))),
    unaccounted(audit));
}

function ledgerHead() {
  const number = (name) => h("th", { scope: "col", class: "num" }, name);
  return h("tr", null,
    h("th", { scope: "col" }, "Entry"), h("td", { class: "note" }), number("In"), number("Out"), number("Share"));
}

function listedRow(audit) {
  return h("tr", null,
    h("th", { scope: "row" }, h("a", { href: path("emails") }, "Listed by FakeMail")),
    h("td", { class: "note quiet" }, "each id once"),
    h("td", { class: "num" }, count(audit.listed)), h("td", null), h("td", null));
}

function lineRow([name, title, note, href], audit) {
  const number = audit[name];
  return h("tr", { class: number ? "" : "zero" },
    h("th", { scope: "row" }, h("a", { href: href() }, title)),
    h("td", { class: "note quiet" }, note),
    h("td", null),
    h("td", { class: "num" }, count(number)),
    h("td", { class: "num quiet" }, number ? shareWords(number / audit.listed) : ""));
}

function totalRow(audit) {
  return h("tr", null,
    h("th", { scope: "row" }, "Total"), h("td", { class: "note" }),
    h("td", { class: "num" }, count(audit.listed)), h("td", { class: "num" }, count(sumOf(audit))),
    h("td", { class: "num" }));
}

function unaccounted(audit) {
  return h("p", { class: `ledger-foot ${audit.unaccounted ? "trouble" : "quiet"}` },
    h("span", null, "Unaccounted: given to a mailbox, but found in none"),
    h("b", null, count(audit.unaccounted)),
    h("time", { class: "hidden" }, exact(audit.as_of)));
}

/** A share of all, with two digits if it is near none or near all. */
function shareWords(share) {
  const near = (share > 0 && share < 0.01) || (share > 0.99 && share < 1);
  return percent(share, near ? 2 : 0);
}
