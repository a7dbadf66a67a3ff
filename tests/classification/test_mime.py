"""Any bytes become an email: regular MIME, broken MIME, and hostile MIME."""

import time
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classification.mime import iter_messages, message_id, parse_message

RAW = Path("/work/shared/corpus/raw")
LIMIT = 262_144
INVITATION = b"""\
BEGIN:VCALENDAR
METHOD:REQUEST
BEGIN:VTIMEZONE
DTSTART:16010101T020000
END:VTIMEZONE
BEGIN:VEVENT
SUMMARY:Planning\\, round two
DTSTART:20240305T140000Z
LOCATION:Room 4
DESCRIPTION:Bring the
  numbers
END:VEVENT
END:VCALENDAR
"""


def test_a_plain_message_is_read():
    raw = b"From: Ann <ann@example.com>\r\nTo: bob@example.com\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nDate: Mon, 3 Jan 2022 10:00:00 +0100\r\n\r\nSee you there.\r\n"
    parsed = parse_message(raw, LIMIT)
    assert (parsed.subject, parsed.sender, parsed.recipient) == ("Café", "Ann <ann@example.com>", "bob@example.com")
    assert parsed.body.strip() == "See you there."
    assert parsed.headers["Date"] == "Mon, 3 Jan 2022 10:00:00 +0100"
    assert not parsed.truncated


def test_plain_text_is_preferred_to_its_html_twin():
    message = EmailMessage()
    message.set_content("plain words")
    message.add_alternative("<p>html words</p>", subtype="html")
    assert parse_message(message.as_bytes(), LIMIT).body.strip() == "plain words"


def test_a_message_with_html_alone_reads_as_text():
    raw = b"Content-Type: text/html; charset=iso-8859-1\n\n<html><body><p>Gr\xfc\xdfe</p></body></html>"
    assert parse_message(raw, LIMIT).body.strip() == "Grüße"


def test_a_calendar_part_goes_into_headers_and_text():
    message = EmailMessage()
    message.set_content("Please come")
    message.add_attachment(INVITATION, maintype="text", subtype="calendar")
    parsed = parse_message(message.as_bytes(), LIMIT)
    assert parsed.headers["X-Calendar-Method"] == "REQUEST"
    for words in (
        "Please come",
        "Planning, round two",
        "Tuesday, 05 March 2024 14:00 UTC",
        "Room 4",
        "Bring the numbers",
    ):
        assert words in parsed.body


def test_a_forwarded_message_is_read_with_its_subject():
    inner, outer = EmailMessage(), EmailMessage()
    inner["Subject"] = "the inner one"
    inner.set_content("inner words")
    outer.set_content("fyi")
    outer.add_attachment(inner)
    body = parse_message(outer.as_bytes(), LIMIT).body
    assert "the inner one" in body
    assert "inner words" in body


def test_attachments_are_left_out():
    message = EmailMessage()
    message.set_content("see attachment")
    message.add_attachment("secret words", filename="a.txt")
    assert "secret" not in parse_message(message.as_bytes(), LIMIT).body


def test_headers_that_tell_are_kept_and_repeated_ones_are_lists():
    raw = b"List-Id: <x.y>\nList-Unsubscribe: <mailto:a>\nReceived: no\nReply-To: a@b\nReply-To: c@d\n\nhi"
    headers = parse_message(raw, LIMIT).headers
    assert headers["List-Id"] == "<x.y>"
    assert headers["Reply-To"] == ["a@b", "c@d"]
    assert "Received" not in headers


def test_a_long_body_is_cut_at_whole_characters():
    parsed = parse_message(b"Subject: x\n\n" + "é".encode() * 1000, 101)
    assert parsed.truncated
    assert len(parsed.body.encode()) <= 101
    assert set(parsed.body) == {"é"}


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\0" * 10_000,
        b"no header at all",
        b"Content-Type: multipart/mixed\n\nno boundary",
        b"Content-Type: text/plain; charset=punycode\n\n" + b"a-" * 50_000,
        b"Content-Type: text/plain; charset=no-such\n\nwords",
        b'Content-Type: text/plain; charset="a\0b"\n\nwords',
        b"Content-Transfer-Encoding: base64\n\n!!!not base64",
        b"Content-Transfer-Encoding: uuencode\n\nbegin 666 x\n\xff",
        b"Subject: =?utf-8?b?!!!!?=\n\nx",
        b"Subject: " + b"=?utf-8?q?a?= " * 20_000 + b"\n\nx",
        b"Date: " + b"9" * 10_000 + b"\n\nx",
        b"To: " + b"<" * 100_000 + b"\n\nx",
        b"X: y\n" * 100_000 + b"\nx",
        b"Subject: a\n" + b" b\n" * 100_000 + b"\nx",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(3_000)),
        b"Content-Type: message/rfc822\n\n" * 2_000,
        b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 20_000,
        b"Content-Type: multipart/mixed; boundary=b" + b";" * 200_000 + b"\n\nx",
        b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html" + b"\n ;" * 200_000 + b"\n\nx",
    ],
)
def test_broken_and_hostile_messages_are_read_as_far_as_they_go(raw):
    started = time.thread_time()
    parsed = parse_message(raw, LIMIT)
    assert time.thread_time() - started < 2
    assert len(parsed.body.encode("utf-8", "replace")) <= LIMIT


@given(st.binary(max_size=400))
@settings(max_examples=80)
def test_any_bytes_are_read(raw):
    parse_message(raw, LIMIT)


@given(
    st.lists(
        st.sampled_from(
            [
                b"Content-Type: ",
                b"multipart/mixed; boundary=a\n",
                b"\n",
                b"--a",
                b"--",
                b"text/html",
                b"message/rfc822\n",
                b"\xff",
                b"Subject: ",
                b"=?utf-8?b?",
                b"a",
            ]
        ),
        max_size=30,
    )
)
@settings(max_examples=80)
def test_any_mix_of_mime_pieces_is_read(pieces):
    parse_message(b"".join(pieces), LIMIT)


def test_ids_depend_on_the_bytes_alone():
    assert message_id(b"a") == message_id(b"a") != message_id(b"b")
    assert len(message_id(b"a")) == 32


@pytest.mark.skipif(not RAW.is_dir(), reason="the corpus of raw messages is not on this machine")
def test_every_raw_message_of_the_corpus_is_read():
    read = [parse_message(raw, LIMIT) for raw in iter_messages(RAW)]
    assert len(read) == 1352
    assert sum(bool(parsed.body.strip() or parsed.subject) for parsed in read) > 1340
