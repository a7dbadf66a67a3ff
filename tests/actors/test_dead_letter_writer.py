"""The dead-letter writer buries what failed for good, tells of it, and logs it."""

import time

import msgspec
import pytest

from actors.dead_letter_writer import DeadLetterWriter
from engine.mailbox import DEAD, Envelope
from engine.outcome import DeadLetterBody
from storage.dead_letters import DeadLetters
from storage.records import Look
from tests.actors.conftest import eventually


@pytest.fixture
def dead_letters(database, context, started):
    kept = DeadLetters(database)
    started(DeadLetterWriter, context, dead_letters=kept)
    return kept


def test_the_log_names_what_failed_for_good_and_why(dead_letters, books, mailboxes, caplog):
    caplog.set_level("INFO")
    [(ref, key)] = books.enter(books.source("main"), ["a/b"], Look("poll", time.time()), lane="normal")
    letter = DeadLetterBody("gone", "not found at FakeMail for 60 s", 1, time.time(), "node/front/fetcher")
    mailboxes.put(DEAD, [Envelope("main", key, ref=ref, body=msgspec.msgpack.encode(letter))])
    eventually(lambda: any(record.message == "Failed for good" for record in caplog.records))
    line = next(record for record in caplog.records if record.message == "Failed for good")
    assert (line.source, line.email_id, line.reason) == ("main", "a/b", "gone")
    assert dead_letters.page()[0][0].reason == "gone"
