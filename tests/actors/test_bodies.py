"""Older and newer programs can read each other's envelopes."""

import msgspec
import pytest

from actors.bodies import ClassifyBody, FetchBody, LookBody, decode, encode, fetch_mailbox


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (LookBody, {"history_id": 7, "webhook_id": "m"}),
        (FetchBody, {"first_missing_at": 1.5}),
        (ClassifyBody, {"subject": "s", "body": "b", "headers": {"a": "b"}}),
    ],
)
def test_fields_that_a_newer_program_added_are_ignored(kind, fields):
    body = decode(msgspec.msgpack.encode({**fields, "colour": "blue", "deep": {"x": [1, None]}}), kind)
    assert {name: getattr(body, name) for name in fields} == fields


def test_fields_that_an_older_program_did_not_know_have_their_defaults():
    assert decode(b"", LookBody) == LookBody()
    assert decode(msgspec.msgpack.encode({}), FetchBody) == FetchBody()
    assert decode(encode(FetchBody()), FetchBody) == FetchBody()


def test_main_keeps_the_mailbox_that_it_always_had():
    assert [fetch_mailbox(name) for name in ("main", "sales")] == ["fetch", "fetch.sales"]
