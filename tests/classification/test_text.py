"""HTML becomes the text that its reader sees; oddities are cleaned and flagged."""

import random
import time

import pytest

import classification.text
from classification.text import MAX_TEXT, html_to_text, read


def test_html_reads_as_text():
    text = read(
        "x",
        "<html><head><style>p {color: red}</style></head><body><p>Hello&nbsp;<b>you</b></p><script>x()</script></body></html>",
    )
    assert text.own.split() == ["Hello", "you"]
    assert "html" in text.flags


def test_pictures_read_as_their_alternative_text():
    assert "Spring sale" in html_to_text('<html><img src="a.png" alt="Spring sale" width=1></html>')


def test_a_less_than_sign_is_no_html():
    assert "html" not in read("x", "a < b and ann <ann@example.com>").flags


def test_an_unclosed_script_hides_nothing():
    assert "visible" in html_to_text("<body><script>visible")


def test_invisible_characters_are_removed_and_flagged():
    text = read("x", "sa\u200ble \u202enow")
    assert text.own == "sale now"
    assert "hidden_characters" in text.flags


def test_full_width_letters_are_folded():
    assert read("x", "\uff2d\uff25\uff25\uff34").own == "MEET"


def test_lone_surrogates_are_replaced_and_flagged():
    text = read("x", "a\ud800b")
    text.own.encode("utf-8")
    assert "broken_unicode" in text.flags


def test_long_text_is_cut_and_flagged():
    assert "truncated" in read("x", "word " * 100_000).flags


def test_nothing_to_read_is_flagged():
    assert "empty" in read(" ", "\n").flags


def test_a_cut_is_flagged_whether_it_is_the_body_or_the_subject():
    assert "truncated" in read("x" * 10_000, "short").flags
    assert "truncated" in read("short", "x" * 1_000_000).flags
    assert "truncated" not in read("x" * 900, "x" * 900).flags


LOTUS = "---------------------- Forwarded by Ann Lee/HOU/ECT on 09/26/2000  12:08 PM ---------------------------"


def test_a_mere_please_handle_above_a_forward_is_judged_by_what_it_forwards():
    text = read("The panel", f"Please handle\n{LOTUS}\n\nThe panel is on July 16th from 8 to 10 am.")
    assert text.forward
    assert text.own.strip() == "The panel is on July 16th from 8 to 10 am."


@pytest.mark.parametrize(
    "mark",
    [
        "------- Forwarded by Ann Lee/HOU/EES on 03/10/99 06:06\nPM ---------------------------",
        "---------- Forwarded message ----------",
        "Begin forwarded message:",
    ],
)
def test_a_forward_is_known_by_any_of_its_marks(mark):
    text = read("The panel", f"Please handle\n{mark}\n\nThe panel is on July 16th from 8 to 10 am.")
    assert text.forward
    assert text.own.strip() == "The panel is on July 16th from 8 to 10 am."


def test_a_forward_is_known_by_its_mark_above_marked_lines():
    body = "Please handle\n\nBegin forwarded message:\n\n> From: Ann\n> Subject: The panel\n>\n> The panel is on July 16th."
    text = read("The panel", body)
    assert text.forward
    assert text.own.strip() == "The panel is on July 16th."


def test_a_note_above_a_forward_that_says_less_is_kept():
    text = read(
        "FW: the paper", "Latest one.\n\n-----Original Message-----\nFrom: Ann\nTo: Bob\nSubject: the paper\n\nSBU\n"
    )
    assert text.own.strip() == "Latest one."


def test_a_forward_whose_line_breaks_were_lost_is_read():
    body = f"{LOTUS}   \tInvitation Chairperson: Bob Roe Sent by: Eve Dow  Start: 09/27/2000 11:30 AM  Description: Vision Meeting"
    text = read("", body)
    assert text.forward
    assert "Vision Meeting" in text.own
    assert "Forwarded by" not in text.own


def test_of_a_chain_of_forwards_the_first_that_says_anything_is_read():
    text = read("Fw: dinner", f"{LOTUS}\n\n{LOTUS}\n\nShall we have dinner on Friday?")
    assert text.own.strip() == "Shall we have dinner on Friday?"


def test_a_short_note_above_a_forward_without_text_is_kept():
    text = read("Fwd: request", "Let us talk\nBegin forwarded message:\n")
    assert text.own.strip() == "Let us talk"
    assert not text.forward


def test_a_short_answer_to_a_mail_is_its_own_words():
    text = read("Re: lunch", "Please do.\n\nOn Monday Ann wrote:\n> Shall we have lunch on Friday?")
    assert text.own.strip() == "Please do."


def test_images_without_an_end_take_no_longer_than_other_html() -> None:
    """Regression: each `alt=` in them restarted the search for the end of its tag: 0.4 s for 256 KB."""
    body = ("<p>" + ("<img " + "alt='" * 598) * 90)[:262_144]
    began = time.process_time()
    html_to_text(body)
    assert time.process_time() - began < 0.2
    assert html_to_text("<p>see <img src=x ALT = 'our plan'> here</p>").split() == ["see", "our", "plan", "here"]


def test_of_long_html_only_the_beginning_is_read(monkeypatch) -> None:
    """Regression: only 5,000 characters of 256 KB count, but all were read, which took 80 ms."""
    looked_at = 0

    def watched(step):
        def watching(piece):
            nonlocal looked_at
            looked_at += len(piece)
            return step(piece)

        return watching

    steps = classification.text._STEPS
    monkeypatch.setattr(classification.text, "_STEPS", tuple((watched(step), mark) for step, mark in steps))
    body = "<p>" * 87_381
    html_to_text(body)
    whole, looked_at = looked_at, 0
    read("x", body)
    assert 0 < looked_at < whole / 4


PARTS = [
    "<p>Sale",
    "<br",
    ">",
    "<a href='x' ",
    "<img alt='this ",
    "week'>",
    "<style>p {}",
    "</style>",
    "&am",
    "p;",
    "&#65;",
    "& ",
]


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_the_beginning_is_that_of_the_whole_wherever_a_piece_ends(monkeypatch, piece) -> None:
    monkeypatch.setattr(classification.text, "_PIECE", piece)
    choice = random.Random(piece)
    for _ in range(200):
        body = "".join(choice.choices([*PARTS, "a" * 4_990, " b" * 20], [*[9] * len(PARTS), 1, 9], k=60))
        whole, beginning = html_to_text(body), html_to_text(body, enough=300)
        assert beginning[:300] == whole[:300]
        assert (len(beginning) > 300) == (len(whole) > 300)


def test_text_behind_the_long_head_of_a_newsletter_is_found() -> None:
    head = f"<html><head><style>{'p.a {color: red} ' * 5_000}</style></head>"
    rows = "<tr><td width='1' align='left'></td></tr>" * 300
    body = f"{head}<table>{rows}</table><p>Spring sale{'<p>' * (MAX_TEXT + 1)}"
    text = read("x", body)
    assert text.own.split() == ["Spring", "sale"]
    assert text.flags == ["html", "truncated"]


@pytest.mark.parametrize("digits", [4_300, 4_301, 20_000])
def test_a_character_reference_that_is_a_huge_number_is_no_character(digits) -> None:
    body = f"<p>a&#{'1' * digits};</p>"
    assert html_to_text(body).split() == ["a\ufffd"]
    assert read("x", body).own.strip().startswith("a\ufffd")
