"""Review, rules and models, as a person who teaches the system uses them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.browser.driving import ROOT, Page, Server, wait_for

pytestmark = pytest.mark.browser

SYNTHETIC = ROOT / "classification" / "learning" / "synthetic" / "corpus.jsonl"
PLAN = "Shall we meet on Monday at 10 to go through the plan?"


@pytest.fixture(scope="module")
def doubtful(server: Server) -> list[dict[str, str]]:
    """Emails written for this project that the model is unsure of."""
    found: list[dict[str, str]] = []
    for line in SYNTHETIC.read_text(encoding="utf-8").splitlines():
        email = {name: json.loads(line)[name] for name in ("subject", "body", "sender")}
        if "@" in email["sender"] and server.ask("POST", "/classify", email)["confidence"] < 0.55:
            found.append(email)
        if len(found) == 4:
            break
    return found


@pytest.fixture
def unsure(server: Server, doubtful: list[dict[str, str]]) -> list[dict[str, Any]]:
    """A review queue with similar mail in the index, whose counts grow until the index has caught up."""
    for email in (*doubtful, *doubtful):
        server.processed(server.send(**email))
    wait_for(lambda: server.ask("GET", "/emails?q=mail")["index_lag"] == 0, "the index")
    found: list[dict[str, Any]] = []

    def enough() -> bool:
        found[:] = server.ask("GET", "/review?limit=50")["items"]
        return len(found) >= 4 and any(item["similar"] for item in found)

    wait_for(enough, "a queue with similar mail")
    return found


@pytest.fixture
def no_rules(server: Server) -> Iterator[Server]:
    """A server that has no rules before and after the test."""
    forget_rules(server)
    yield server
    forget_rules(server)


def forget_rules(server: Server) -> None:
    for rule in server.ask("GET", "/rules")["items"]:
        server.ask("DELETE", f"/rules/{rule['id']}")


def result_of(server: Server, email_id: str) -> dict[str, Any]:
    return dict(server.ask("GET", f"/results/{email_id}"))


# -- review


def has_a_place(server: Server, email_id: str) -> bool:
    """Return whether some of the evidence has a position in the email."""
    evidence = server.ask("GET", f"/results/{email_id}?explain=true")["explanation"]["evidence"]
    return any(each["start"] is not None for each in evidence)


def test_the_queue_begins_with_the_least_certain_and_shows_why(
    page: Page, server: Server, unsure: list[dict[str, Any]]
) -> None:
    first = unsure[0]
    page.open("review")
    page.until(f"return document.querySelector('.queue a').dataset.review === '{first['result']['email_id']}'")
    page.sees(first["subject"], ".triage h2")
    page.sees("The model", ".opinions")
    page.until("return document.querySelector('.triage .why li') !== null", "the evidence")
    placed = next(email_id for item in unsure if has_a_place(server, email_id := item["result"]["email_id"]))
    page.click(f'.queue [data-review="{placed}"]')
    page.until("return document.querySelector('.triage mark') !== null", "the evidence in the text")


def test_keys_label_one_after_the_other_skip_and_undo(page: Page, server: Server, unsure: list[dict[str, Any]]) -> None:
    ids = [item["result"]["email_id"] for item in unsure]
    opened = "return document.querySelector('.queue [aria-current]')?.dataset.review"
    page.open("review")
    page.until(f"{opened} === '{ids[0]}'")
    page.press("3")
    page.until(f"{opened} === '{ids[1]}'", "the next one")
    page.press("s")
    page.until(f"{opened} === '{ids[2]}'", "the one after the skipped one")
    page.press("1")
    page.until(f"{opened} === '{ids[3]}'", "the next one")
    page.sees("2 done", ".head")
    wait_for(lambda: result_of(server, ids[2])["classification"] == "meeting", "the label by its number")
    assert result_of(server, ids[0])["classification"] == "intro"
    assert result_of(server, ids[1])["decided_by"] != "person"
    held = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '2', repeat: true, bubbles: true}))"
    page.js(f"for (let nth = 0; nth < 5; nth += 1) {held}")  # a key that is held down answers nothing
    assert page.js(opened) == ids[3]
    page.press("u")
    page.until(f"{opened} === '{ids[2]}'", "the one whose answer was taken back")
    wait_for(lambda: result_of(server, ids[2])["decided_by"] == "model", "the undo")
    page.press("z")
    wait_for(lambda: result_of(server, ids[0])["decided_by"] == "model", "the undo of the first")
    page.sees("to review", ".head")


def test_the_focus_goes_along_and_a_gap_counts_no_answer_twice(
    page: Page, server: Server, unsure: list[dict[str, Any]]
) -> None:
    page.open("review")
    page.until(f"return document.querySelectorAll('.queue a').length >= {min(len(unsure), 4)}")
    total = server.ask("GET", "/review?limit=1")["total"]
    page.js("const row = document.querySelector('.queue a'); row.focus(); row.click()")
    page.press("1")
    page.until("return document.querySelector('.queue li').className === 'done'")
    page.until("return document.activeElement.matches('.queue li:nth-child(2) a[aria-current]')", "the next row")
    wait_for(lambda: server.ask("GET", "/review?limit=1")["total"] == total - 1, "the answer")
    page.sees(f"1 done, {total - 1} left", ".head")
    page.js(RESYNC)
    page.until("return document.querySelector('.queue li').className !== 'done'", "the queue as it is now")
    page.sees(f"1 done, {total - 1} left", ".head")
    assert page.js("return document.activeElement.matches('.queue a[aria-current]')")
    page.press("u")
    page.sees(f"{total} to review", ".head")


def in_review(server: Server) -> set[str]:
    return {item["result"]["email_id"] for item in server.ask("GET", "/review?limit=50")["items"]}


RESYNC = "import('/static/js/live.js').then(({ live }) => live.dispatchEvent(new Event('resync')))"


REFUSED = """
window.fetch = () => Promise.reject(new TypeError("refused"));
import("/static/js/live.js").then(({ live }) => live.dispatchEvent(new CustomEvent("resync", { detail: "gap" })));
"""


def test_a_queue_that_cannot_be_read_anew_stays_with_a_line_above_it_that_says_so(
    page: Page, unsure: list[dict[str, Any]]
) -> None:
    place = "return document.querySelector('.queue-box').getBoundingClientRect().left"
    page.open("review")
    page.until("return document.querySelectorAll('.queue a').length >= 4")
    before = page.js(place)
    page.js(REFUSED)
    page.sees("could not refresh", ".review > .old")
    assert page.js(place) == before
    assert len(unsure) >= 4
    assert page.js("return document.querySelectorAll('.queue a').length >= 4")


def test_after_a_resync_an_answer_and_its_undo_hit_the_email_that_is_shown(
    page: Page, server: Server, unsure: list[dict[str, Any]]
) -> None:
    ids = [item["result"]["email_id"] for item in unsure]
    opened = "return document.querySelector('.queue [aria-current]')?.dataset.review"
    page.open("review")
    page.until(f"{opened} === '{ids[0]}'")
    page.press("j")
    page.until(f"{opened} === '{ids[1]}'")
    server.ask("POST", f"/emails/{ids[0]}/label", {"classification": "promotion"})
    wait_for(lambda: ids[0] not in in_review(server), "a queue without it")
    page.js(RESYNC)
    page.until(f"return document.querySelector('.queue [data-review=\"{ids[0]}\"]') === null", "the list anew")
    page.until(f"{opened} === '{ids[1]}'")
    page.press("1")
    wait_for(lambda: result_of(server, ids[1])["decided_by"] == "person", "the label")
    server.ask("DELETE", f"/emails/{ids[0]}/label")
    wait_for(lambda: ids[0] in in_review(server), "a queue with it")
    page.js(RESYNC)
    page.until(f"return document.querySelector('.queue [data-review=\"{ids[0]}\"]') !== null", "the list anew")
    page.press("z")
    wait_for(lambda: result_of(server, ids[1])["decided_by"] == "model", "the undo")


def test_a_label_from_elsewhere_is_seen_in_the_queue(page: Page, server: Server, unsure: list[dict[str, Any]]) -> None:
    email_id = unsure[1]["result"]["email_id"]
    page.open("review")
    page.until(f"return document.querySelector('.queue [data-review=\"{email_id}\"]') !== null")
    server.ask("POST", f"/emails/{email_id}/label", {"classification": "promotion"})
    page.sees("now promotion", ".queue .done")
    server.ask("DELETE", f"/emails/{email_id}/label")
    page.until("return document.querySelector('.queue .done') === null")


def test_it_says_how_far_an_answer_reaches_and_a_rule_is_begun_from_there(
    page: Page, no_rules: Server, unsure: list[dict[str, Any]]
) -> None:
    known = next(item for item in unsure if item["similar"] and "@" in item["sender"])
    page.open(f"review?id={known['result']['email_id']}&source=main")
    page.sees(f"{known['similar']} similar email", ".reach")
    page.click(".reach a", "Create a rule")
    page.until("return document.querySelector('.condition input')?.value.includes('@')")
    sender = page.js("return document.querySelector('.condition input').value")
    assert known["sender"].endswith(f"<{sender}>")
    assert page.js("return document.querySelector('.condition select').value") == "sender"
    assert no_rules.ask("GET", "/rules")["items"] == []


# -- rules


def write_rule(page: Page, name: str, pattern: str, kind: str, gives: str) -> None:
    """Fill in the open form."""
    page.until("return document.querySelector('#rule-name') !== null")
    page.js(
        "const put = (where, value) => { document.querySelector(where).value = value; };"
        "put('#rule-name', arguments[0]); put('.condition input', arguments[1]);"
        "put('.condition select:nth-child(2)', arguments[2]); put('#rule-class', arguments[3]);",
        name,
        pattern,
        kind,
        gives,
    )


def names(page: Page) -> list[str]:
    return list(page.js("return [...document.querySelectorAll('.rules .rule-words a')].map((a) => a.textContent)"))


def test_a_rule_is_tested_on_stored_mail_before_it_is_saved(page: Page, no_rules: Server) -> None:
    server = no_rules
    server.processed(server.send("Wombat of the week", PLAN))
    page.open("rules")
    page.sees("No rules yet", "main")
    page.press("n")
    write_rule(page, "Wombats", "wombat", "literal", "promotion")
    page.click("[data-test]")
    page.sees("would change", ".tried")
    page.sees("Wombat of the week", ".examples")
    assert server.ask("GET", "/rules")["items"] == []
    page.js("const save = document.querySelector('.rule-form .button.solid'); save.click(); save.click()")
    page.sees("Wombats", ".rules")
    [rule] = server.ask("GET", "/rules")["items"]
    assert (rule["classification"], rule["conditions"]) == (
        "promotion",
        [{"field": "subject", "pattern": "wombat", "kind": "literal"}],
    )


def test_beside_the_rules_it_says_how_to_open_one_as_long_as_there_are_any(page: Page, no_rules: Server) -> None:
    rule = {"name": "First", "conditions": [{"field": "subject", "pattern": "first"}], "classification": "intro"}
    made = no_rules.ask("POST", "/rules", rule)
    page.open("rules")
    page.sees("Select a rule", ".rule-pane")
    page.click(".rules a", "First")
    page.sees("Edit rule", ".rule-pane")
    page.click(".rule-pane .button", "Close")
    page.sees("Select a rule", ".rule-pane")
    no_rules.ask("DELETE", f"/rules/{made['id']}")
    page.open("rules")
    page.sees("No rules yet", "main")
    assert page.text(".rule-pane") == ""


def test_what_the_pattern_engine_refuses_is_said_at_the_pattern(page: Page, no_rules: Server) -> None:
    page.open("rules?id=new")
    write_rule(page, "Broken", "(unclosed", "regex", "intro")
    page.click("[data-test]")
    page.sees("cannot be used", ".condition .field-error")
    page.click(".rule-form .button.solid", "Save")
    page.sees("cannot be used", ".condition .field-error")
    assert page.js("return document.activeElement.matches('.condition input[aria-invalid]')")
    assert no_rules.ask("GET", "/rules")["items"] == []
    page.js("document.querySelector('#rule-name').value = ''; document.querySelector('#rule-class').value = ''")
    page.click(".rule-form .button.solid", "Save")
    page.until("return document.querySelector('#rule-name[aria-invalid], #rule-class[aria-invalid]') !== null")


def test_rules_are_moved_switched_changed_and_deleted_with_undo(page: Page, no_rules: Server) -> None:
    server = no_rules
    for name in ("first", "second", "third"):
        server.ask("POST", "/rules", {"name": name, "conditions": [{"field": "subject", "pattern": name}], "classification": "intro"})  # fmt: skip
    page.open("rules")
    page.until("return document.querySelectorAll('.rules li').length === 3")
    page.click('[aria-label="Move third up"]')
    page.until("return document.querySelectorAll('.rules .rule-words a')[1]?.textContent === 'third'")
    assert (
        names(page) == [rule["name"] for rule in server.ask("GET", "/rules")["items"]] == ["first", "third", "second"]
    )
    page.click('[aria-label="first is enabled"]')
    wait_for(lambda: server.ask("GET", "/rules")["items"][0]["enabled"] is False, "the switch")
    page.click(".rules a", "second")
    page.until("return document.querySelector('#rule-name')?.value === 'second'")
    page.js("document.querySelector('#rule-name').value = 'the last'")
    page.click(".rule-form .button.solid", "Save")
    page.until("return document.querySelectorAll('.rules .rule-words a')[2]?.textContent === 'the last'")
    page.click(".rule-form .button.danger", "Delete")
    page.click("dialog .button.danger", "Delete")
    page.until("return document.querySelectorAll('.rules li').length === 2")
    page.click("[data-undo]")
    page.until("return document.querySelectorAll('.rules .rule-words a')[2]?.textContent === 'the last'")


@pytest.mark.parametrize(("width", "place"), [(1440, ".rules .rule-words a"), (390, ".rule-form h2")])
def test_after_saving_the_focus_is_on_the_rule_and_it_is_said(
    page: Page, no_rules: Server, width: int, place: str
) -> None:
    page.size(width)
    page.open("rules?id=new")
    write_rule(page, "Kept", "kept", "literal", "intro")
    page.click(".rule-form .button.solid", "Save")
    page.sees("Created.", "#toasts[role=status]")
    page.until("return document.activeElement?.matches(arguments[0])", "the focus", value=place)
    assert [rule["name"] for rule in no_rules.ask("GET", "/rules")["items"]] == ["Kept"]


def test_what_was_begun_of_a_rule_is_there_again_after_a_look_at_an_email_and_a_reload(
    page: Page, no_rules: Server
) -> None:
    page.open("rules?id=new")
    page.until("return document.activeElement.id === 'rule-name'")
    page.press(*"Begun")
    page.go("emails")
    page.until("return document.querySelector('.row') !== null")
    page.js("history.back()")
    page.until("return document.querySelector('#rule-name')?.value === 'Begun'", "what was begun")
    page.sees("not saved", ".rule-form .chip")
    page.open("rules?id=new")
    page.until("return document.querySelector('#rule-name')?.value === 'Begun'", "the same after a reload")
    page.click(".rule-form header .button", "Close")
    page.press("n")
    page.until("return document.querySelector('#rule-name')?.value === ''", "a new one, once the old one was closed")
    assert page.js("return document.querySelector('.rule-form .chip')") is None
    assert no_rules.ask("GET", "/rules")["items"] == []


def test_only_the_newest_answer_of_a_review_offers_its_undo(
    page: Page, server: Server, unsure: list[dict[str, Any]]
) -> None:
    ids = [item["result"]["email_id"] for item in unsure]
    opened = "return document.querySelector('.queue [aria-current]')?.dataset.review"
    page.open("review")
    page.until(f"{opened} === '{ids[0]}'")
    for number in (0, 1):
        page.press("1")
        page.until(f"{opened} === '{ids[number + 1]}'")
        wait_for(lambda: result_of(server, ids[number])["decided_by"] == "person", "the label")  # noqa: B023  (called at once)
        page.until("return document.querySelectorAll('[data-undo]').length === 1", "one offer", 3)
    page.click("[data-undo]")
    wait_for(lambda: result_of(server, ids[1])["decided_by"] != "person", "the undo of the second")
    assert result_of(server, ids[0])["decided_by"] == "person"
    assert page.js("return document.querySelector('[data-undo]')") is None
    page.press("z")
    wait_for(lambda: result_of(server, ids[0])["decided_by"] != "person", "the undo of the first")


def test_a_rule_that_somebody_else_changed_is_not_overwritten(page: Page, no_rules: Server) -> None:
    server = no_rules
    body = {"name": "mine", "conditions": [{"field": "subject", "pattern": "x"}], "classification": "intro"}
    rule = server.ask("POST", "/rules", body)
    page.open(f"rules?id={rule['id']}")
    page.until("return document.querySelector('#rule-name')?.value === 'mine'")
    server.ask("PUT", f"/rules/{rule['id']}", {**body, "name": "theirs"})
    page.click(".rule-form .button.solid", "Save")
    page.until("return document.querySelector('.rule-form > .field-error').textContent !== ''", "the refusal")
    assert [each["name"] for each in server.ask("GET", "/rules")["items"]] == ["theirs"]


def test_stored_mail_is_judged_again_after_a_count_and_a_question(page: Page, no_rules: Server) -> None:
    server = no_rules
    email_id = server.send("Numbat of the week", PLAN)
    before = server.processed(email_id)["classification"]
    wanted = "intro" if before != "intro" else "promotion"
    server.ask("POST", "/rules", {"name": "n", "conditions": [{"field": "subject", "pattern": "numbat"}], "classification": wanted})  # fmt: skip
    page.open("rules")
    page.click(".head .button", "Reprocess stored mail")
    page.sees("1 would change class", "dialog[open]", 30)
    assert result_of(server, email_id)["classification"] == before
    page.click("dialog .button.solid", "Reprocess")
    page.sees("1 email changed", ".toasts", 30)
    assert result_of(server, email_id)["decided_by"] == "rule"


# -- models


def train(server: Server) -> str:
    """Train a model from the corrections, which becomes the shadow; return its version."""
    env = {**os.environ, "DATA_DIR": str(server.folder / "data")}
    command = [sys.executable, "run.py", "train", "--from-feedback", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=120, check=True)
    return str(json.loads(done.stdout)["version"])


def test_a_shadow_is_compared_refused_when_worse_forced_and_rolled_back(own_server: Server, browser: Page) -> None:
    server, page = own_server, browser
    server.start()
    page.base = server.base
    page.size(1440)
    ids = [server.send(f"Plan {number}", PLAN, sender="anna@example.org") for number in range(10)]
    packaged = {server.processed(email_id)["model_version"] for email_id in ids}.pop()
    label_all(server, ids, "intro")
    version = train(server)
    page.open("models")
    page.sees("shadow", ".models tbody")
    page.sees("100 % of 10".replace(" %", "\u202f%"), ".models tbody")
    [model] = [each for each in server.ask("GET", "/models")["items"] if each["version"] == version]
    unseen = model["figures"]["right_held_out"]
    page.sees(f"{unseen:.0%}".replace("%", "\u202f%"), ".versions tbody td:nth-child(7)")
    wait_for(lambda: compared(server) > 0, "a comparison on live mail", 30)
    page.sees("sampled email", ".agree")
    label_all(server, ids, "meeting")  # now the shadow is wrong about all of them
    page.click(f'[data-promote="{version}"]')
    page.click("dialog .button.solid", "Promote")
    page.sees("This model does worse", "dialog[open]")
    page.sees("the live one", "dialog[open]")
    page.press("Escape")
    page.until("return !document.querySelector('dialog')")
    assert server.ask("GET", "/models")["live"] == packaged
    page.click(f'[data-promote="{version}"]')
    page.click("dialog .button.solid", "Promote")
    page.click("dialog .button.danger", "Promote anyway")
    page.sees("is live", ".toasts")
    assert server.ask("GET", "/models")["live"] == version
    page.click(f'[data-promote="{packaged}"]', "Roll back")
    page.click("dialog .button.solid", "Roll back")
    wait_for(lambda: server.ask("GET", "/models")["live"] == packaged, "the way back")
    assert page.faults() == []


def label_all(server: Server, ids: list[str], label: str) -> None:
    for email_id in ids:
        server.ask("POST", f"/emails/{email_id}/label", {"classification": label})


def compared(server: Server) -> int:
    """Return how many emails the shadow was compared on, after sending one more for it to label."""
    server.processed(server.send("Plan again", PLAN, sender="anna@example.org"))
    return int((server.ask("GET", "/models")["agreement"] or {"compared": 0})["compared"])
