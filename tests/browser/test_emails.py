"""The page of emails: search, filters in the address, reading, correcting, a long list."""

import json
import re
import time

import pytest

from tests.browser.driving import Page, Server, wait_for

pytestmark = pytest.mark.browser


def test_the_address_holds_the_filter(page: Page) -> None:
    page.open("emails?classification=promotion")
    page.until("return document.querySelectorAll('.row').length > 0")
    assert page.js(
        "return [...document.querySelectorAll('.row-class')].every((node) => node.textContent === 'promotion')"
    )
    assert page.text('.filters [aria-pressed="true"]') == "promotion"
    page.click(".filters .segments button", "meeting")
    page.until("return location.hash.includes('classification=meeting')")
    page.until(
        "const all = [...document.querySelectorAll('.row-class')]; return all.length > 0 && all.every((node) => node.textContent === 'meeting')"
    )
    page.js("history.back()")
    page.until("return document.querySelector('.filters [aria-pressed=\"true\"]').innerText === 'promotion'")


def test_a_search_finds_by_words_and_survives_a_reload(page: Page, server: Server) -> None:
    email_id = server.send("The quokka has landed", "Nothing else.")
    server.processed(email_id)
    wait_for(lambda: bool(server.ask("GET", "/emails?q=quokka")["items"]), "the index of the new email")
    page.open("now")
    page.press("/", *"quokka", "Enter")
    page.until("return location.hash.startsWith('#/emails?') && location.hash.includes('q=quokka')")
    page.until(
        f"return document.querySelectorAll('.row').length === 1 && document.querySelector('.row').dataset.id === '{email_id}'",
        deadline=30,
    )
    page.open("emails?q=quokka")
    page.until("return document.querySelectorAll('.row').length === 1")
    assert page.js("return document.getElementById('find').value") == "quokka"


def test_escape_leaves_the_search_as_it_is(page: Page) -> None:
    page.open("emails?q=harbour")
    page.press("/", "n", "o")
    page.until("return document.getElementById('find').value === 'no'")
    page.press("Escape")
    page.until("return document.activeElement !== document.getElementById('find')")
    assert page.js("return document.getElementById('find').value") == "harbour"
    assert page.js("return location.hash") == "#/emails?q=harbour"


def test_the_open_email_is_in_sight_after_a_reload_and_on_the_way_back(page: Page, server: Server) -> None:
    for email_id in server.send_many(30, "Further down"):
        server.processed(email_id)
    page.open("emails")
    page.until("return document.querySelectorAll('.row').length > 5")
    page.press(*"jjjjjjjjjjjjjjjjjjjjjjjjj")
    page.until("return document.querySelector('.row[aria-current]')?.closest('li').ariaPosInSet === '25'")
    seen = """
        const row = document.querySelector('.row[aria-current]').getBoundingClientRect();
        const list = document.querySelector('.rows-scroll').getBoundingClientRect();
        return row.top >= list.top && row.bottom <= list.bottom + 1
    """
    page.until(seen)
    page.driver.refresh()
    page.until(seen, "the open row after a reload")
    page.go("books")
    page.sees("Balanced", "main")
    page.js("history.back()")
    page.until(seen, "the open row on the way back")


DEAF = """
import("/static/js/live.js").then(({ live }) => {
  const real = live.dispatchEvent;
  live.dispatchEvent = (event) => event.type === "event" || real.call(live, event);
  window.__resync = () => {
    live.dispatchEvent = real;
    live.dispatchEvent(new CustomEvent("resync", { detail: "gap" }));
  };
});
"""
"""Ignores all events until a gap is announced."""


def test_a_label_that_was_missed_is_seen_after_a_gap_also_far_down_and_nothing_moves(
    page: Page, server: Server
) -> None:
    server.processed(server.send_many(130, "Far down")[-1])
    wait_for(lambda: server.ask("GET", "/audit")["queued"] == 0, "all results")
    page.open("emails")
    scroll = "document.querySelector('.rows-scroll').scrollTop = 80 * 58 + 20; return {}"
    page.until(scroll.format("document.querySelector('[aria-posinset=\"95\"]') !== null"), "rows further down")
    row = "document.querySelector('[aria-posinset=\"83\"] .row')"
    email_id = page.js(f"{row}.focus({{ preventScroll: true }}); return {row}.dataset.id")
    before = page.js("return document.querySelector('.rows-scroll').scrollTop")
    page.js(DEAF)
    page.until("return Boolean(window.__resync)")
    server.ask("POST", f"/emails/{email_id}/label", {"classification": "intro"})
    server.processed(server.send("Missed meanwhile"))
    page.js("__resync()")
    page.until(f"return {row}.innerText.includes('person')", "the label")
    page.sees("1 new", ".pill")
    assert page.js("return document.activeElement.dataset.id") == email_id
    assert page.js("return document.querySelector('.rows-scroll').scrollTop") == before
    server.ask("DELETE", f"/emails/{email_id}/label")


def test_the_focus_stays_on_the_row_that_is_corrected(page: Page, server: Server) -> None:
    email_id = server.processed(server.send("Corrected by keys alone"))["email_id"]
    page.open("emails")
    row = f"document.querySelector('.row[data-id=\"{email_id}\"]')"
    page.until(f"{row}.focus(); return document.activeElement === {row}")
    page.press("Enter")
    page.until("return document.querySelector('.verdict') !== null")
    page.press("2")
    page.until(f"return {row}.innerText.includes('person')", "the correction")
    assert page.js("return document.activeElement.dataset.id") == email_id
    page.until("return document.querySelector('[data-unlabel]') !== null")
    page.press("u")
    page.until(f"return !{row}.innerText.includes('person')", "the undo")
    assert page.js("return document.activeElement.dataset.id") == email_id


def test_a_list_of_dead_mail_looks_when_one_dies(page: Page) -> None:
    page.open("emails?state=dead")
    page.until("return document.querySelector('.list .state, .row') !== null")
    asked = "performance.getEntriesByType('resource').filter(({ name }) => name.includes('state=dead')).length"
    before = page.js(f"return {asked}")
    detail = "{ event: 'dead', data: { email_id: 'x', source: 'main' } }"
    page.js(
        "import('/static/js/live.js').then(({ live }) => "
        f"live.dispatchEvent(new CustomEvent('event', {{ detail: {detail} }})))"
    )
    page.until(f"return {asked} > {before}", "a look")


def test_a_search_without_a_find_says_so(page: Page) -> None:
    page.open("emails?q=zzyzxnothinglikeit")
    page.sees("No matching emails", ".list")
    page.click(".list .state a", "Clear all")
    page.until("return document.querySelectorAll('.row').length > 0")


def test_one_email_shows_its_text_its_result_and_its_way(page: Page, server: Server) -> None:
    email_id = server.send(
        "Dinner on Tuesday", "Could we meet at seven?\n\nBring <b>nothing</b>.", sender="Ida <ida@example.com>"
    )
    result = server.processed(email_id)
    page.open(f"emails?id={email_id}&source=main")
    page.sees("Bring <b>nothing</b>.", ".detail pre.body")
    page.sees(result["classification"], ".verdict")
    page.sees("ida@example.com", ".detail")
    page.sees("Timeline", ".detail")
    page.sees("Pushed", ".way")
    assert page.js("return document.querySelectorAll('.way li').length") >= 4
    ends = page.js(
        "return [...document.querySelectorAll('.way-bar i')].map(({ style }) => Math.round(1e6 * (Number(style.getPropertyValue('--from')) + Number(style.getPropertyValue('--share')))))"
    )
    assert ends == sorted(ends), "each stage ends where it was reached"
    assert ends[-1] == 1_000_000


def test_why_marks_the_evidence_in_the_text(page: Page, server: Server) -> None:
    email_id = server.send(
        "Half price, today only", "\U0001f389 Save 50 % on everything. Order now and unsubscribe later."
    )
    server.processed(email_id)
    page.open(f"emails?id={email_id}&source=main")
    page.click("[data-why]")
    page.until("return document.querySelectorAll('.why li').length > 0")
    marked = page.until("return [...document.querySelectorAll('pre.body mark')].map((node) => node.textContent)")
    words = set(re.findall(r"\w+|%", page.text("pre.body")))
    assert marked
    # Whole words, despite the emoji before them.
    assert all(set(re.findall(r"\w+|%", text)) <= words for text in marked), marked
    page.click("[data-why]")
    page.until("return document.querySelectorAll('pre.body mark').length === 0")


def test_why_marks_the_evidence_in_the_subject_too(page: Page, server: Server) -> None:
    email_id = server.send("Introducing our new colleague", "She begins today.")
    server.processed(email_id)
    evidence = server.ask("GET", f"/results/{email_id}?explain=true")["explanation"]["evidence"]
    assert any(each["field"] == "subject" and each["start"] is not None for each in evidence)
    page.open(f"emails?id={email_id}&source=main")
    page.click("[data-why]")
    page.until("return document.querySelector('.detail-subject mark') !== null", "the evidence in the subject")
    assert page.text(".detail-subject") == "Introducing our new colleague"
    page.click("[data-why]")
    page.until("return document.querySelector('.detail-subject mark') === null")


def test_with_the_systems_own_colours_what_is_told_by_colour_is_still_seen(page: Page, server: Server) -> None:
    email_id = server.send("Sync on Thursday?", "Can we meet at 10:30? I will send an invite for the meeting.")
    server.processed(email_id)
    forced = [{"name": "forced-colors", "value": "active"}, {"name": "prefers-color-scheme", "value": "dark"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": forced})
    page.open(f"emails?id={email_id}")
    page.click("[data-why]")
    page.until("return document.querySelector('.detail mark') !== null", "the evidence")
    style = "const style = (selector, part) => getComputedStyle(document.querySelector(selector), part);"
    assert page.js(f"{style} return style('.detail mark').color === style('.detail').color")
    assert page.js(
        f"{style} return style('.odds .meter', '::after').backgroundColor !== style('.detail').backgroundColor"
    )
    page.until(
        f"{style} return style('.row[aria-current]').outlineStyle === 'solid'", "the edge of the open email's row"
    )
    pressed = "style('.correct [aria-pressed=true]').backgroundColor"
    assert page.js(f"{style} return {pressed} !== style('.correct [aria-pressed=false]').backgroundColor")


def test_the_focus_stays_on_why_when_the_email_is_drawn_anew(page: Page, server: Server) -> None:
    email_id = server.send("Lunch by keys")
    server.processed(email_id)
    page.open(f"emails?id={email_id}&source=main")
    page.until("const why = document.querySelector('[data-why]'); why.focus(); return document.activeElement === why")
    page.press("Enter")
    page.until("return document.querySelectorAll('.why li').length > 0")
    assert page.js("return document.activeElement.dataset.why !== undefined")


def test_what_came_while_the_tab_was_hidden_stands_there_when_it_is_seen_again(page: Page, server: Server) -> None:
    page.open("emails")
    page.until("return document.querySelectorAll('.row').length > 0")
    page.js("Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })")
    email_id = server.send("While you were away")
    server.processed(email_id)
    page.until("return import('/static/js/live.js').then(({ live }) => live.lastSeq !== null)")
    page.js("delete document.visibilityState; document.dispatchEvent(new Event('visibilitychange'))")
    page.until(f"return document.querySelector('.row[data-id=\"{email_id}\"]') !== null", "the email")


SLOW = """
const real = window.fetch;
window.fetch = async (path, init) => {
  if (init.method === "POST") await new Promise((resolve) => (window.goOn = resolve));
  return real(path, init);
};
"""


def test_a_correction_that_takes_long_says_so_until_it_is_made(page: Page, server: Server) -> None:
    email = server.processed(server.send("Correct me slowly"))
    page.open(f"emails?id={email['email_id']}")
    wanted = "intro" if email["classification"] != "intro" else "meeting"
    page.js(SLOW)
    page.click(".correct .segments button", wanted)
    page.sees("Waiting for the server", ".toasts")
    page.js("goOn()")
    page.sees(f"Marked as {wanted}", ".toasts")
    assert "Waiting" not in page.text(".toasts")


def test_a_correction_takes_one_click_and_its_undo_another(page: Page, server: Server) -> None:
    email_id = server.send("Correct me")
    before = server.processed(email_id)["classification"]
    wanted = "intro" if before != "intro" else "meeting"
    page.open(f"emails?id={email_id}&source=main")
    page.click(".correct .segments button", wanted)
    page.sees("Set by a person", ".verdict")
    assert server.processed(email_id)["decided_by"] == "person"
    page.click("[data-undo]")
    page.until("return document.querySelector('.verdict').innerText.includes('sure')")
    assert server.processed(email_id)["classification"] == before


def test_an_undo_is_offered_only_as_long_as_there_is_something_to_take_back(page: Page, server: Server) -> None:
    email_id = server.send("Correct me by keys")
    before = server.processed(email_id)["classification"]
    page.open(f"emails?id={email_id}&source=main")
    page.sees("sure", ".verdict")
    page.press("3" if before != "intro" else "1")
    page.sees("Set by a person", ".verdict")
    page.until("return document.querySelector('[data-undo]') !== null", "the offer")
    page.press("u")
    page.sees("Correction undone", ".toasts")
    assert page.js("return document.querySelector('[data-undo]')") is None


def test_a_correction_days_later_leaves_the_way_of_the_machine_to_be_seen(page: Page, server: Server) -> None:
    email_id = server.send("Corrected late")
    server.processed(email_id)
    page.open(f"emails?id={email_id}&source=main")
    page.sees("Pushed", ".way")
    shares = "return [...document.querySelectorAll('.way-bar i')].map((bar) => Number(bar.style.getPropertyValue('--share')))"
    before = page.js(shares)
    time.sleep(1)
    server.ask("POST", f"/emails/{email_id}/label", {"classification": "intro"})
    page.sees("Corrected", ".way")
    assert page.js(shares) == before


def test_times_are_those_of_the_reader_and_bear_their_zone(page: Page, server: Server) -> None:
    email_id = server.send("What time is it there")
    server.processed(email_id)
    page.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kolkata"})
    try:
        page.open(f"emails?since=2026-01-02T03:04:05.000Z&until=2099-01-02T03:04:05.000Z&id={email_id}&source=main")
        page.until("return document.querySelector('.picks [data-own]')?.textContent === 'since 2 Jan 08:34'")
        page.sees("until: 2 Jan 08:34", ".chips")
        page.sees("GMT+5:30", ".detail .facts")
        page.until("return document.querySelector('.row time').title.endsWith('GMT+5:30')")
    finally:
        page.driver.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


@pytest.mark.parametrize("width", [1440, 390])
def test_a_long_search_stays_within_its_chip(page: Page, width: int) -> None:
    page.size(width)
    page.open(f"emails?q={'x' * 2000}")
    page.until("return document.querySelector('.chip.drop') !== null")
    edges = "return ['.list', '.filters .segments', '.chip.drop', '.filters .button'].map((one) => Math.round(document.querySelector(one).getBoundingClientRect().right))"
    pane, *others = page.js(edges)
    assert max(others) <= pane
    page.click(".chip.drop")
    page.until("return !location.hash.includes('q=')")


def test_a_subject_of_which_nothing_can_be_seen_is_said_to_be_none(page: Page, server: Server) -> None:
    email_id = server.send("\u200b\u2800\u3164\u00ad \u202e", "The text is there.")
    server.processed(email_id)
    page.open(f"emails?id={email_id}&source=main")
    page.until("return document.querySelector('.detail-subject em')?.textContent === 'no subject'")
    page.until(f"return document.querySelector('.row[data-id=\"{email_id}\"] em')?.textContent === 'no subject'")


def test_a_long_address_of_a_sender_can_be_read_whole_on_a_phone(page: Page, server: Server) -> None:
    address = f"somebody.with.a.long.name@{'.'.join(['a-subdomain'] * 7)}.example"
    email_id = server.send("A sender with a long address", sender=address)
    server.processed(email_id)
    page.size(390, 844)
    page.open(f"emails?id={email_id}")
    page.sees(address, ".letterhead")
    assert page.js(
        "const from = document.querySelector('.letterhead .cut-lines'); return from.scrollHeight <= from.clientHeight"
    )


def test_a_sender_is_shown_by_name_where_it_has_one_and_takes_no_time_where_it_is_made_to(page: Page) -> None:
    given = ["Anna <a@b.c>", '"Anna, B" <a@b.c>', "<a@b.c>", "a@b.c", '"" <a@b.c> ', "Odd <x> <a@b.c>", "x <>"]
    shown = ["Anna", "Anna, B", "a@b.c", "a@b.c", "a@b.c", "Odd <x>", "x <>"]
    name = "return import('/static/js/format.js').then(({ sender }) => "
    page.open("emails")
    assert page.js(f"{name} {json.dumps(given)}.map(sender))") == shown
    hostile = "[' ', '<', '\"', '<a', '<> '].map((part) => part.repeat(4096))"
    assert (
        page.js(f"{name} {{ const began = Date.now(); {hostile}.forEach(sender); return Date.now() - began; }})")
        < 2_000
    )


def test_an_id_of_any_characters_can_be_opened(page: Page, server: Server) -> None:
    email_id = server.send("Odd id", id="a/b c?d#e%2f&ü")
    page.open("emails")
    page.until(
        "return [...document.querySelectorAll('.row')].some((row) => row.dataset.id === 'a/b c?d#e%2f&ü' && row.dataset.state === 'processed')"
    )
    page.click(".row", "Odd id")
    page.until("return document.querySelector('.detail .id')?.textContent === 'a/b c?d#e%2f&ü'")
    assert email_id == "a/b c?d#e%2f&ü"
    page.sees("Odd id", ".detail-subject")


def test_everything_is_done_by_keyboard_alone(page: Page, server: Server) -> None:
    email_id = server.send("Keys only")
    before = server.processed(email_id)["classification"]
    page.open("now")
    page.press("g", "e")
    page.until("return document.querySelector('.row') !== null")
    page.press("j")
    page.until(f"return document.querySelector('.detail .id')?.textContent === '{email_id}'")
    page.press("2" if before != "promotion" else "1")
    page.sees("Set by a person", ".verdict")
    page.press("u")
    page.until("return document.querySelector('.verdict').innerText.includes('sure')")
    page.press("j", "k")
    page.press("Escape")
    page.until("return !location.hash.includes('id=')")
    assert page.js("return document.activeElement.classList.contains('row')")


def test_a_long_list_keeps_few_elements_and_scrolls_to_its_end(page: Page, server: Server) -> None:
    server.send_many(600, "Long list")
    wait_for(lambda: server.ask("GET", "/audit")["listed"] >= 600, "600 listed emails", 60)
    page.open("emails")
    page.until("return document.querySelectorAll('.row').length > 5")
    page.until(
        "const list = document.querySelector('.rows-scroll'); list.scrollTop = list.scrollHeight;"
        "return [...document.querySelectorAll('.rows li')].some((row) => Number(row.getAttribute('aria-posinset')) >= 600)",
        "the 600th email",
    )
    assert page.js("return document.querySelectorAll('.row').length") < 60


def test_a_phone_shows_the_list_or_the_email(page: Page, server: Server) -> None:
    page.size(390, 844)
    page.open("emails")
    page.click(".row")
    page.until(
        "return document.querySelector('.detail').offsetParent !== null && document.querySelector('.list').offsetParent === null"
    )
    page.click(".detail .back")
    page.until("return document.querySelector('.list').offsetParent !== null")


def test_a_row_without_a_subject_says_why_where_its_id_could_not_be_kept(page: Page, server: Server) -> None:
    server.send("Its id is too long", id="long" * 200)
    wait_for(lambda: server.ask("GET", "/audit")["dead"] > 0, "the dead letter", 60)
    page.open("emails?state=dead")
    page.sees("never fetched: its id is too long", ".row-subject")
    page.click(".row", "never fetched")
    page.sees("never fetched: its id is too long", ".detail-subject")
    page.sees("Dead letters", ".verdict a")
