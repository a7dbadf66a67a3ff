"""Client input is parsed strictly, and errors say what is wrong."""

import contextlib
import re
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.problems import Problem
from web.routes import ROUTES
from web.schemas import PageQuery
from web.validation import (
    MAX_ON_HUB,
    make_cursor,
    read_cursor,
    read_json,
    read_model,
    read_number,
    read_query,
    read_time,
)

FOREIGN = re.compile(r"`|[Ee]xpected|\b(int|str|float|bool|Object|enum)\b")


class Thing(msgspec.Struct, forbid_unknown_fields=True):
    number: int
    text: str = ""


def refused(function, *args):
    with pytest.raises(Problem) as caught:
        function(*args)
    return caught.value


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b"\xff", "UTF-8"),
        (b'\xef\xbb\xbf{"number":1}', "not valid JSON"),
        ('{"number":1}'.encode("utf-16"), "UTF-8"),
        (b'{"number":1,"number":1}', "appears twice"),
        (b'{"number":NaN}', "NaN"),
        (b'{"number":-Infinity}', "Infinity"),
        (b'{"number":1e999}', "too large"),
        (b'{"number":' + b"9" * 5000 + b"}", "digits"),
        (b"[" * 33 + b"]" * 33, "32 levels"),
        (b"[" * 100_000, "32 levels"),
        (b'{"a":' * 100_000, "32 levels"),
        (b"{'number':1}", "not valid JSON"),
        (b'{"text":"\n"}', "not valid JSON"),
    ],
)
def test_json_that_two_readers_could_understand_differently_is_refused(raw, reason):
    problem = refused(read_json, raw)
    assert problem.status == 400
    assert reason in problem.detail


def test_json_may_be_nested_32_levels():
    assert read_json(b"[" * 32 + b"]" * 32)


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b'{"number":"1"}', "number"),
        (b'{"number":true}', "number"),
        (b'{"number":1.5}', "number"),
        (b"{}", "number"),
        (b'{"number":1,"text":null}', "text"),
        (b'{"number":1,"more":2}', "more"),
        (b"[]", ""),
        (b'"\\ud800"', ""),
    ],
)
def test_fields_that_do_not_fit_are_named(raw, field):
    problem = refused(read_model, raw, Thing)
    assert problem.status == 422
    assert problem.members["errors"][0]["field"] == field


REQUESTS = {route.request for route in ROUTES if route.request is not None}
QUERIES = {route.query for route in ROUTES if route.query is not None}
NONSENSE: tuple[Any, ...] = (None, True, -1, 1.5, 10**18, "", "\u20ac", "x" * 11_000, [], [None], {}, {"x": None})


@pytest.mark.parametrize("kind", REQUESTS, ids=lambda kind: kind.__name__)
def test_what_is_wrong_with_a_body_is_told_in_the_words_of_json(kind):
    for field in msgspec.structs.fields(kind):
        for value in NONSENSE:
            with contextlib.suppress(Problem):
                read_model(msgspec.json.encode({field.encode_name: value}), kind)
                continue
            problem = refused(read_model, msgspec.json.encode({field.encode_name: value}), kind)
            assert not FOREIGN.search(problem.detail), problem.detail
            assert problem.members["errors"][0]["field"]


@pytest.mark.parametrize("kind", QUERIES, ids=lambda kind: kind.__name__)
def test_what_is_wrong_with_a_query_is_told_without_types(kind):
    for field in msgspec.structs.fields(kind):
        for value in ("x", "-1", "1.5", "9" * 18, "x" * 11_000):
            with contextlib.suppress(Problem):
                read_query(f"{field.encode_name}={value}", kind)
                continue
            problem = refused(read_query, f"{field.encode_name}={value}", kind)
            assert problem.detail.startswith(f"{field.encode_name}: must ")
            assert not FOREIGN.search(problem.detail), problem.detail


def test_an_enumeration_is_told_with_its_choices():
    assert refused(read_query, "classification=spam", PageQuery).detail == (
        "classification: must be intro, meeting, promotion or unknown, not 'spam'"
    )


def test_half_a_surrogate_pair_becomes_the_replacement_character():
    assert read_model(b'{"number":1,"text":"a\\ud800b\\ud83d\\ude00"}', Thing).text == "a\ufffdb\U0001f600"


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("limit=101", "limit"),
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("limit=1_0", "limit"),
        ("limit=1e1", "limit: must be a whole number"),
        ("limit=10.0", "limit: must be a whole number"),
        ("limit=1&limit=2", "limit"),
        ("min_confidence=1.5", "min_confidence"),
        ("classification=spam", "classification"),
        ("state=open", "state"),
        ("source=%ff", "query"),
        ("&".join(f"a{number}=1" for number in range(100)), "query"),
    ],
)
def test_queries_that_cannot_be_are_400_and_name_the_parameter(query, word):
    problem = refused(read_query, query, PageQuery)
    assert problem.status == 400
    assert word in problem.detail
    if word != "query":
        assert problem.members["errors"][0]["field"] == word.partition(":")[0]


def test_a_query_is_read_by_its_model():
    query = read_query("limit=7&min_confidence=0.5&q=a+b&unknown=1&sender=", PageQuery)
    assert (query.limit, query.min_confidence, query.q, query.sender) == (7, 0.5, "a b", None)


def test_a_cursor_comes_back_and_only_to_its_own_list():
    cursor = make_cursor("emails", 12345)
    assert read_cursor("emails", cursor) == 12345
    assert read_cursor("emails", None) is None
    assert make_cursor("emails", None) is None
    assert refused(read_cursor, "results", cursor).status == 400


@given(st.text(max_size=40))
def test_any_other_text_is_no_cursor(text):
    problem = refused(read_cursor, "emails", text)
    assert problem.status == 400


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("007", 7),
        ("9" * 18, 10**18 - 1),
        ("9" * 19, 0),
        ("", 0),
        ("-1", 0),
        ("1.5", 0),
        ("x", 0),
        ("٣", 0),
        ("²", 0),
    ],
)
def test_a_number_in_a_path_is_read_or_is_one_that_nothing_bears(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-02", 86400),
        ("1970-01-01T00:00:01Z", 1),
        ("1970-01-01T00:00:01.500Z", 1.5),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01 00:01", 60),
    ],
)
def test_iso_dates_and_times_are_read_as_utc(text, seconds):
    assert read_time("since", text) == seconds


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-13-01", "2026-1-1", "1700000000", "2026-01-01T25:00Z", "\uff12026-01-01"]
)
def test_other_times_are_refused_by_name(text):
    problem = refused(read_time, "since", text)
    assert (problem.status, problem.members["errors"][0]["field"]) == (400, "since")
    assert "since" in problem.detail


@pytest.mark.parametrize("text", ["9999-12-31", "9999-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00"])
def test_a_time_that_no_calendar_can_go_beyond_is_refused_for_its_year(text):
    assert "years 1 to 9998" in refused(read_time, "until", text).detail


def test_a_long_body_that_cannot_be_read_leaves_nothing_in_the_log(capfd):
    assert refused(read_model, b"[" * 2 * MAX_ON_HUB, Thing).status == 400
    assert capfd.readouterr() == ("", "")


@given(st.binary(max_size=200))
def test_no_bytes_do_worse_than_a_problem(raw):
    with contextlib.suppress(Problem):
        read_model(raw, Thing)
