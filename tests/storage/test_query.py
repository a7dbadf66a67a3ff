"""The query language of `q` is parsed as documented, and everything else is text."""

import re
import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from storage.query import Bound, Query, has_longer_token, parse, plain, tokens


@pytest.mark.parametrize(
    ("q", "expected"),
    [
        ("", Query()),
        ("Hello  world", Query(phrases=(("hello",), ("world",)))),
        ('"project plan"', Query(phrases=(("project", "plan"),))),
        ('an "open phrase', Query(phrases=(("an",), ("open", "phrase")))),
        ("plan -draft", Query(phrases=(("plan",),), excluded=(("draft",),))),
        ('-"old plan"', Query(excluded=(("old", "plan"),))),
        ("from:Ana@example.org", Query(senders=("ana@example.org",))),
        ("subject:invoice", Query(subject=(("invoice",),))),
        ('subject:"big sale"', Query(subject=(("big", "sale"),))),
        ("class:meeting", Query(labels=("meeting",))),
        ("class:nonsense", Query(phrases=(("class", "nonsense"),))),
        ("confidence:<0.6", Query(confidence=(Bound("<", 0.6),))),
        ("confidence:0.6", Query(confidence=(Bound(">=", 0.6),))),
        ("confidence:high", Query(phrases=(("confidence", "high"),))),
        ("after:2026-01-02", Query(after=1767312000.0)),
        ("before:soon", Query(phrases=(("before", "soon"),))),
        ("-from:Ana", Query(excluded_senders=("ana",))),
        ("-subject:invoice", Query(excluded_subject=(("invoice",),))),
        ("-class:meeting", Query(excluded_labels=("meeting",))),
        ("-class:nonsense", Query(excluded=(("class", "nonsense"),))),
        ("class:meeting class:intro", Query(labels=("meeting", "intro"))),
        ("-confidence:<0.6", Query(confidence=(Bound(">=", 0.6),))),
        ("-confidence:0.6 -confidence:<=0.1", Query(confidence=(Bound("<", 0.6), Bound(">", 0.1)))),
        ("-before:2026-01-02", Query(after=1767312000.0)),
        ("-after:2026-01-02", Query(before=1767312000.0)),
        ("after:2026-01-02 after:2026-01-01", Query(after=1767312000.0)),
        ("before:2026-01-02 before:2026-01-03", Query(before=1767312000.0)),
        ("http://x.example", Query(phrases=(("http", "x", "example"),))),
        ("naïve CAFÉ", Query(phrases=(("naive",), ("cafe",)))),
        ("\x00 * () OR", Query(phrases=(("or",),))),
        (" ", Query()),
        ("💥", Query(hopeless=True)),
        ('""', Query(hopeless=True)),
        ("++ -spam", Query(excluded=(("spam",),), hopeless=True)),
        ("c & java", Query(phrases=(("c",), ("java",)))),
        ("class:meeting 🎉", Query(labels=("meeting",))),
        ("lunch subject:🎉", Query(phrases=(("lunch",),), hopeless=True)),
        ("from:💥", Query(hopeless=True)),
        ("-🎉 -from:💥", Query()),
    ],
)
def test_a_query_is_read(q, expected):
    assert parse(q) == expected


def test_terms_past_the_limit_are_left_alone():
    assert len(parse(" ".join(f"x{number}" for number in range(500))).phrases) == 32


def test_equal_terms_count_once():
    assert parse("x " * 500 + "X -x x:1 y") == parse("x -x x:1 y") != parse("x -x x:1")


@given(st.text())
def test_no_text_is_an_error_and_tokens_are_plain(q):
    for phrase in parse(q).phrases:
        for token in phrase:
            assert token == "".join(tokens(token))


@given(st.text(alphabet=st.characters(max_codepoint=127)))
def test_plain_text_has_the_same_tokens(text):
    assert plain(text).split() == tokens(text)
    longest = max(map(len, tokens(text)), default=0)
    assert not has_longer_token(text, longest)
    assert longest == 0 or has_longer_token(text, longest - 1)


@given(st.text(alphabet="a\u0301\u0316\u0345\u0f73\uff9e\u1fb3\u01d5\u1100\u1161\u11a8\uac00 ", max_size=300))
@example("\u0301" * 40 + "\u0345" * 40 + "\u0316" * 40 + "\u1fb3")
def test_accents_are_left_out_wherever_a_text_is_cut_to_take_it_apart(text):
    whole = unicodedata.normalize("NFKD", text.casefold()).casefold()
    folded = "".join(char for char in whole if not unicodedata.combining(char))
    assert tokens(text) == re.findall(r"[^\W_]+", folded)


@pytest.mark.parametrize(
    "read",
    [
        lambda length: tokens("a" + "\u0301\u0316" * (length // 2)),
        lambda length: tokens("\u0f73" * (length // 2) + "\uff9e" * (length // 2)),
        lambda length: parse("confidence:" + "1" * length + "x"),
        lambda length: parse("confidence:<." + "1" * length + "."),
    ],
    ids=["marks", "decomposed marks", "digits", "decimals"],
)
def test_a_text_is_read_in_a_time_that_grows_no_faster_than_its_length(read):
    began = time.monotonic()
    read(200_000)  # quadratic time would take over a minute
    assert time.monotonic() - began < 20
