import json
import tracemalloc
from typing import Any

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import Permanent
from fakemail.answers import Garbled, RemoteEmail, read_email, read_history_id, read_opinion, retry_after
from fakemail.listing import NoList, read_items, read_listing
from fakemail.spool import Spool

NOW = 1_784_000_000.0


def email(max_body_bytes: int = 1000, **fields: Any) -> RemoteEmail:
    answer = {"id": "a", "subject": "s", "body": "b"} | fields
    return read_email(json.dumps(answer).encode(), "a", max_body_bytes)


def test_all_fields_of_an_email_are_read() -> None:
    read = email(
        sender="x@y",
        recipient="z@y",
        timestamp=12.5,
        history_id=3,
        headers={"From": "x", "Received": ["1", "2"]},
        labels=["unknown field"],
    )
    assert read == RemoteEmail(
        "a", "s", "b", "x@y", "z@y", 12.5, 3, {"From": "x", "Received": ["1", "2"]}, truncated=False
    )


def test_what_is_not_sent_is_absent() -> None:
    assert email() == RemoteEmail("a", "s", "b")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sender", 5),
        ("recipient", ["a"]),
        ("timestamp", True),
        ("timestamp", "yesterday"),
        ("timestamp", 1e300),
        ("timestamp", {}),
        ("history_id", "7"),
        ("history_id", True),
        ("history_id", -1),
        ("history_id", 2**63),
        ("history_id", 4.0),
        ("headers", ["From: x"]),
        ("headers", "From: x"),
        ("headers", {"a": 1, "b": None, "c": [], "d": [1]}),
    ],
)
def test_an_optional_field_of_a_wrong_type_is_absent(field: str, value: Any) -> None:
    assert email(**{field: value}) == RemoteEmail("a", "s", "b")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-07-14T08:00:00Z", 1783_958_400 + 57_600.0),
        ("2026-07-14T10:00:00.500+02:00", 1784_016_000.5),
        ("2026-07-14T08:00:00", 1784_016_000.0),
        (1784016000, 1784_016_000.0),
        ("0001-01-01T00:00:00+23:00", -62135679600.0),
    ],
)
def test_a_time_is_a_number_or_an_iso_text(value: object, seconds: float) -> None:
    assert email(timestamp=value).timestamp == seconds


@pytest.mark.parametrize(("value", "text"), [(None, ""), (12, "12"), (1.5, "1.5"), ("x", "x")])
def test_subject_and_body_become_texts_where_that_is_plain(value: object, text: str) -> None:
    read = email(subject=value, body=value)
    assert (read.subject, read.body) == (text, text)


@pytest.mark.parametrize("value", [True, [], {}, ["x"]])
@pytest.mark.parametrize("field", ["subject", "body"])
def test_a_subject_or_body_that_is_no_text_is_an_invalid_email(field: str, value: Any) -> None:
    with pytest.raises(Permanent) as caught:
        email(**{field: value})
    assert caught.value.reason == "invalid_email"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"id": "a"',
        b'{"id": "a", "subject": NaN, "body": ""}',
        b"[]",
        b"null",
        b'{"id": "b", "subject": "s", "body": "b"}',
        b'{"subject": "s", "body": "b"}',
        b"[" * 100_000,
        b'{"id": "a", "x": ' + b"[" * 100_000,
        b"\xff\xfe",
        b'{"id": "a"} {"id": "a"}',
    ],
    ids=lambda body: repr(body[:30]),
)
def test_garbage_is_told_apart_from_an_invalid_email(body: bytes) -> None:
    with pytest.raises(Garbled):
        read_email(body, "a", 100)


def test_a_long_body_is_cut_between_characters() -> None:
    assert email(6, body="aé€x") == RemoteEmail("a", "s", "aé€", truncated=True)
    assert email(5, body="aé€x") == RemoteEmail("a", "s", "aé", truncated=True)
    assert email(7, body="aé€x") == RemoteEmail("a", "s", "aé€x")
    assert email(100_000, subject="x" * 20_000).truncated


@given(st.text(), st.integers(0, 40))
def test_a_cut_body_is_the_longest_beginning_that_fits(body: str, size: int) -> None:
    read = email(size, body=body).body
    clean = body.encode("utf-8", "surrogatepass").decode("utf-8", "replace") if not body.isascii() else body
    assert len(read.encode()) <= size
    assert body.startswith(read) or clean != body
    assert read == body or len(read.encode()) > size - 4


def test_lone_surrogates_are_replaced_in_texts_and_kept_in_ids() -> None:
    answer = rb'{"id": "a\ud800", "subject": "\udc80", "body": "x\ud83d", "headers": {"\ud800": ["\ud800", "y"]}}'
    read = read_email(answer, "a\ud800", 100)
    assert read == RemoteEmail("a\ud800", "\ufffd", "x\ufffd", headers={"\ufffd": ["\ufffd", "y"]})


def test_headers_are_capped_in_number_and_in_size() -> None:
    many = email(headers={f"X-{number}": "v" for number in range(150)})
    assert (len(many.headers), many.truncated) == (100, True)
    large = email(headers={"A": "a" * 20_000, "B": "b" * 20_000, "C": "c"})
    assert (list(large.headers), large.truncated) == (["A"], True)


@pytest.mark.parametrize(
    "body", [b"{}", b"[]", b'{"history_id": "4"}', b'{"history_id": true}', b'{"history_id": 4.0}']
)
def test_a_history_id_is_a_whole_number(body: bytes) -> None:
    assert read_history_id(b'{"history_id": 41, "x": 1}') == 41
    with pytest.raises(Garbled):
        read_history_id(body)


@pytest.mark.parametrize(
    "answer",
    ['"meeting"', '{"classification": 1, "confidence": 1}', '{"classification": "a", "confidence": 1.1}', "{}"],
)
def test_an_opinion_is_a_label_and_a_confidence(answer: str) -> None:
    assert read_opinion(b'{"classification": "intro", "confidence": 1}') == ("intro", 1.0)
    with pytest.raises(Garbled):
        read_opinion(answer.encode())


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 1.0),
        ("-20", 1.0),
        ("1000000000", 300.0),
        ("9" * 400, 300.0),
        ("2.5", 2.0),
        (None, 1.0),
        ("", 1.0),
        ("soon", 1.0),
        ("٣", 1.0),
        ("Tue, 14 Jul 2026 03:34:20 GMT", 60.0),
        ("Tue, 14 Jul 2020 03:34:20 GMT", 1.0),
        ("Tue, 14 Jul 2096 03:34:20 GMT", 300.0),
        ("Tue, 99 Jul 2026 03:34:20 GMT", 1.0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 300.0),
    ],
)
def test_retry_after_is_clamped_whatever_it_says(value: str | None, seconds: float) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize("filler", [0, 20_000])
@pytest.mark.parametrize(
    "shape",
    [
        "[{0}]",
        ' {{"emails": [{0}]}} ',
        '{{"email_ids":[{0}], "next": {{"emails": 1}}}}',
        '{{"history_id": 4, "emails": [{0}], "email_ids": []}}',
        '{{"emails": null, "email_ids": [{0}]}}',
    ],
)
def test_every_shape_of_a_listing_is_read(shape: str, filler: int) -> None:
    expected = ["a", "", ",", '"],["', "é\ud800\x00", "a"] + ["x"] * filler
    plain = ", ".join(json.dumps(item) for item in expected)
    objects = ",".join(json.dumps({"id": item, "history_id": 4, "more": [{}]}) for item in expected)
    assert list(read_listing(shape.format(plain).encode())) == expected
    assert list(read_listing(shape.format(objects).encode())) == expected


def test_the_hub_turns_while_a_long_listing_is_read() -> None:
    body = json.dumps([f"id-{number}" for number in range(100_000)]).encode()
    turns = 0

    def count() -> None:
        nonlocal turns
        while True:
            gevent.sleep(1e-4)
            turns += 1

    counter = gevent.spawn(count)
    assert len(read_listing(body)) == 100_000
    counter.kill()
    assert turns > len(body) / (64 * 1024)


M = 1 << 20


@pytest.mark.parametrize(
    "text",
    [
        b"[[" + b"0," * (2 * M) + b"0]]",
        b'["' + b"a" * (4 * M) + b'"]',
        b'["' + b"a" * (4 * M),
        b'["' + b"\xc3\xa9" * (4 * M) + b'"]',
        b'{"x":[' + b"0," * (2 * M) + b'0],"emails":[]}',
        b'[{"id":"a","x":{' + b'"a":0,' * (M // 2) + b'"b":1}}]',
        b"[" + b"1" * (4 * M) + b"]",
        b"[" * (4 * M),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_one_long_value_in_a_listing_is_refused_before_it_is_decoded(text: bytes) -> None:
    with pytest.raises(Garbled, match=r"more than 1048576 characters|RecursionError|ValueError"):
        read_listing(text)


def test_any_space_in_a_listing_is_passed_over() -> None:
    assert list(read_listing(b'["a",' + b" " * (4 * M) + b'"b"]')) == ["a", "b"]


def test_an_empty_listing_is_a_listing() -> None:
    assert read_listing(b"[]") == read_listing(b'{"emails": [ ]}') == []


@pytest.mark.parametrize("long", [False, True])
@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        '["a", "b"',
        '["a" "b"]',
        '["a",]',
        '["a"] []',
        "[1]",
        "[null]",
        '[{"id": 1}]',
        "[NaN]",
        '{"emails": {"id": "a"}}',
        '{"emails": ["a"]',
        '{"emails": ["a"], "x": NaN}',
        '{"other": ["a"]}',
        '{1: ["a"]}',
        '{"emails" ["a"]}',
        '"a"',
        "{}",
        "[" * 50_000,
    ],
    ids=lambda text: text[:30],
)
def test_a_damaged_listing_is_refused_as_a_whole(text: str, long: bool) -> None:
    with pytest.raises(Garbled):
        read_listing(text.encode() + b" " * 40_000 * long)


def test_an_object_without_the_list_is_told_apart() -> None:
    with pytest.raises(NoList):
        list(read_items(b'{"emails": 5}', ("emails",), bare=False))
    with pytest.raises(NoList):
        list(read_items(b"[]", ("emails",), bare=False))


@given(st.lists(st.text(st.characters(), max_size=5)), st.sampled_from([True, False]))
def test_any_ids_survive_a_listing(ids: list[str], ascii_only: bool) -> None:
    body = json.dumps(ids, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    assert read_listing(body) == ids


@pytest.mark.parametrize("name", ["a", "é", "€", "😀", "\\", '"', "\ud800", "x" * 40_000, "€" * 40_000])
@pytest.mark.parametrize("ascii_only", [True, False])
def test_ids_survive_wherever_the_window_cuts_them(name: str, ascii_only: bool) -> None:
    ids = [f"{number}{name}" for number in range(20 if len(name) > 1 else 20_000)]
    body = json.dumps({"more": [1.5, -3, True, None], "emails": ids}, ensure_ascii=ascii_only)
    listing = read_listing(body.encode("utf-8", "surrogatepass"))
    assert len(listing) == len(ids)
    assert list(listing) == ids
    assert list(listing) == ids  # and again


@pytest.mark.parametrize("number", ["1", "12345", "-1.5e-7"])
def test_a_number_at_the_edge_of_the_window_is_read_whole(number: str) -> None:
    for padding in range(32 * 1024 - 40, 32 * 1024 + 4):
        body = f'{{"n": {" " * padding}{number}, "emails": ["a"]}}'
        assert list(read_listing(body.encode())) == ["a"]


def test_a_long_listing_is_never_whole_in_memory() -> None:
    spool = Spool()
    spool.extend(b"[")
    for number in range(200_000):
        spool.extend(b'"mail-%010d",' % number)
    spool.extend(b'"end"]')
    tracemalloc.start()
    listing = read_listing(spool)
    count = sum(1 for _ in listing)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (count, len(listing)) == (200_001, 200_001)
    assert peak < 2_000_000


def test_a_spool_goes_on_in_a_file_and_gives_every_part_back() -> None:
    spool, whole = Spool(), b""
    for size in (0, 1, 1000, 256 * 1024, 7, 100_000):
        piece = bytes(range(256)) * (size // 256 + 1)
        spool.extend(piece[:size])
        whole += piece[:size]
        assert len(spool) == len(whole)
        assert spool.read(0, len(whole) + 1) == whole
    assert spool.read(300_000, 10) == whole[300_000:300_010]
    assert spool.read(len(whole), 10) == b""
