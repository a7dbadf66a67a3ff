/**
 * Books: the audit as a ledger. On the left what was listed, on the right where every email is; the two must be equal,
 * and nothing may be unaccounted. Asked each two seconds while the page is open.
 */

import { get } from "../api.js";
import { fill, h, update } from "../dom.js";
import { count, exact, percent, when } from "../format.js";
import { live } from "../live.js";
import { failed, loading } from "../parts.js";
import { path } from "../route.js";

const EVERY = 2000;
const LINES = [
  ["results", "With a result", "classified and stored", () => path("emails", { state: "processed" })],
  ["queued", "Queued", "in the books, in a mailbox or in hand", () => path("emails", { state: "queued" })],
  ["retrying", "Retrying", "the last try failed, the next is due", () => path("emails", { state: "retrying" })],
  ["dead", "Dead letters", "failed for good, with a reason", () => path("dead")],
  ["discarded", "Discarded", "by a person", () => path("emails", { state: "discarded" })],
  ["erased", "Erased", "by a person; the place stays in the books", () => path("emails", { state: "erased" })],
];

export function show(root, _params, signal) {
  const verdict = h("p", { class: "balance", role: "status" });
  const body = h("div", null, loading(7));
  const asOf = h("span", { class: "quiet" });
  let said = "";

  async function load() {
    try {
      const audit = await get("/audit", { signal });
      update(body, ledger(audit));
      update(asOf, `as of ${when(audit.as_of)}`);
      const words = judge(audit);
      verdict.classList.toggle("trouble", !words.good);
      if (words.text !== said) fill(verdict, h("b", null, words.title), ` ${words.text}`);
      said = words.text;
    } catch (error) {
      if (!signal.aborted && !body.querySelector("table")) fill(body, failed(error, load));
    }
  }

  fill(root,
    h("div", { class: "head" }, h("h1", null, "Books"), asOf, h("p", { class: "lead" }, "Every email that FakeMail listed stands here exactly once, taken in one snapshot of the database.")),
    verdict, body);
  live.addEventListener("resync", load, { signal });
  load();
  const timer = setInterval(() => document.visibilityState === "visible" && load(), EVERY);
  signal.addEventListener("abort", () => clearInterval(timer));
}

const sumOf = (audit) => LINES.reduce((sum, [name]) => sum + audit[name], 0);

function judge(audit) {
  const apart = audit.listed - sumOf(audit);
  if (apart) return { good: false, title: "Not balanced.", text: `${count(Math.abs(apart))} ${apart > 0 ? "listed emails are missing from" : "emails too many stand in"} the books. Please report this.` };
  if (audit.unaccounted) return { good: false, title: "Some are unaccounted for.", text: `${count(audit.unaccounted)} were given to a mailbox over a minute ago and are in none; they are queued again by themselves.` };
  return { good: true, title: "Balanced.", text: "Everything that was listed is accounted for." };
}

function ledger(audit) {
  const total = sumOf(audit);
  const share = (name) => (audit.listed ? audit[name] / audit.listed : 0);
  return h("div", { class: "sheet ledger" },
    h("table", null,
      h("caption", { class: "hidden" }, "The books"),
      h("thead", null, h("tr", null, h("th", { scope: "col" }, "Entry"), h("td", { class: "note" }), h("th", { scope: "col", class: "num" }, "In"), h("th", { scope: "col", class: "num" }, "Out"), h("th", { scope: "col", class: "num" }, "Share"))),
      h("tbody", null,
        h("tr", null, h("th", { scope: "row" }, h("a", { href: path("emails") }, "Listed by FakeMail")), h("td", { class: "note quiet" }, "each id once"), h("td", { class: "num" }, count(audit.listed)), h("td", null), h("td", null)),
        LINES.map(([name, title, note, href]) => h("tr", { class: audit[name] ? "" : "zero" }, h("th", { scope: "row" }, h("a", { href: href() }, title)), h("td", { class: "note quiet" }, note), h("td", null), h("td", { class: "num" }, count(audit[name])), h("td", { class: "num quiet" }, audit[name] ? percent(share(name), share(name) < 0.01 ? 2 : 0) : "")))),
      h("tfoot", null,
        h("tr", null, h("th", { scope: "row" }, "Total"), h("td", { class: "note" }), h("td", { class: "num" }, count(audit.listed)), h("td", { class: "num" }, count(total)), h("td", { class: "num" })))),
    h("p", { class: `ledger-foot ${audit.unaccounted ? "trouble" : "quiet"}` }, h("span", null, "Unaccounted"), h("b", null, count(audit.unaccounted)), h("time", { class: "hidden" }, exact(audit.as_of))));
}
