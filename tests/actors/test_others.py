"""The dead-letter writer, the broadcaster and the heartbeat."""

import time

import msgspec
import pytest

import actors.heartbeat
from actors.bodies import ClassifyBody, FetchBody, encode
from actors.broadcaster import Broadcaster
from actors.dead_letter_writer import DeadLetterWriter
from actors.events import encode_event
from actors.heartbeat import Heartbeat
from engine import clock
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.mailbox import DEAD, Envelope, LogEntry
from engine.mailbox_actor import DeadLetterBody
from storage.dead_letters import DeadLetters
from storage.records import Look
from storage.statements import execute
from tests.actors.conftest import eventually


@pytest.fixture
def letters(database):
    return DeadLetters(database)


def dead_letter_body(**changes):
    fields = {
        "reason": "classifier_error",
        "error": "ValueError: no",
        "attempts": 4,
        "at": time.time(),
        "processor": "node/front/c",
        "mailbox": "classify",
        "content": encode(ClassifyBody(subject="s", body="b")),
    }
    return msgspec.msgpack.encode(DeadLetterBody(**{**fields, **changes}))


def test_a_buried_message_becomes_one_dead_letter_and_one_event(started, context, books, letters, mailboxes):
    start = mailboxes.read_log(None, count=1).last
    ((ref, key),) = books.enter(books.source("main"), ["a"], Look("poll", time.time()), lane="normal")
    mailboxes.put(DEAD, [Envelope("main", key, ref=ref, body=dead_letter_body())])
    started(DeadLetterWriter, context, dead_letters=letters)
    eventually(lambda: mailboxes.depths(DEAD)["normal"].messages == 0)
    (letter,), _ = letters.page()
    assert (letter.key, letter.reason, letter.attempts) == ("a", "classifier_error", 4)
    assert books.audit().dead == 1
    (entry,) = mailboxes.read_log(start, count=10).entries
    assert b'"event":"dead"' in entry.data


def test_a_death_while_it_is_fetched_leaves_the_text_that_is_known(
    started, context, books, database, letters, mailboxes
):
    ((ref, key),) = books.enter(books.source("main"), ["a"], Look("poll", time.time()), lane="normal")
    dead = (
        dead_letter_body(),
        dead_letter_body(reason="gone", mailbox="fetch", content=encode(FetchBody(first_missing_at=1.0))),
    )
    started(DeadLetterWriter, context, dead_letters=letters)
    for generation, body in enumerate(dead):
        mailboxes.put(DEAD, [Envelope("main", key, ref=ref, generation=generation, body=body)])
        eventually(lambda: letters.page()[0])
        (letter,), _ = letters.page()
        assert database.read(execute, "SELECT subject FROM content") == [("s",)]
        letters.replay([letter.id])


def test_the_broadcaster_hands_on_every_entry_once_and_in_order(started, mailboxes):
    got: list[LogEntry] = []
    started(Broadcaster, name="broadcaster", bus=Bus(), store=mailboxes, publish=got.extend, gap=lambda _: None)
    eventually(mailboxes.log_bounds)
    written = [encode_event("new", {"count": number}, 0.0) for number in range(300)]

    def first_is_seen():
        mailboxes.tell([encode_event("new", {"count": -1}, 0.0)])
        return got

    eventually(first_is_seen)
    for start in range(0, 300, 7):
        mailboxes.tell(written[start : start + 7])
    eventually(lambda: len([entry for entry in got if b'"count":-1' not in entry.data]) == 300)
    assert [entry.data for entry in got if b'"count":-1' not in entry.data] == written
    assert [entry.seq for entry in got] == sorted({entry.seq for entry in got})


def test_after_a_trouble_the_broadcaster_looks_before_it_waits(started, mailboxes, monkeypatch):
    """A server that is back may have lost the log's end, which only a look reveals."""
    read, asked = mailboxes.read_log, []

    def faltering(after, **how):
        asked.append(how.pop("ended"))
        if len(asked) == 3:
            raise DependencyTrouble("away", dependency="redis")
        return read(after, **how | {"block": 0.01})

    monkeypatch.setattr(mailboxes, "read_log", faltering)
    started(Broadcaster, name="broadcaster", bus=Bus(), store=mailboxes, publish=lambda _: None, gap=lambda _: None)
    eventually(lambda: len(asked) >= 5)
    assert asked[:5] == [False, True, True, False, True]


def test_the_heart_says_that_the_process_lives(started, mailboxes):
    describe = lambda: {"node": "node", "role": "front"}  # noqa: E731
    measure = lambda: b"figures"  # noqa: E731
    started(
        Heartbeat,
        name="heartbeat",
        bus=Bus(),
        store=mailboxes,
        process="node/front",
        describe=describe,
        measure=measure,
    )
    eventually(lambda: mailboxes.alive().get("node/front") == {"node": "node", "role": "front"})
    assert mailboxes.metrics(["node/front"]) == {"node/front": b"figures"}


def test_what_comes_up_after_the_first_beat_does_not_wait_for_the_slow_ones(started, mailboxes, monkeypatch):
    monkeypatch.setattr(actors.heartbeat, "BEAT_S", 3600.0)
    workers = 0
    started(
        Heartbeat, name="heartbeat", bus=Bus(), store=mailboxes, process="node/w", describe=lambda: {"workers": workers}
    )
    eventually(lambda: mailboxes.alive().get("node/w") == {"workers": 0})
    workers = 3
    eventually(lambda: mailboxes.alive().get("node/w") == {"workers": 3})


def test_where_this_machines_clock_is_wrong_that_of_redis_holds_and_the_log_says_so(
    started, mailboxes, monkeypatch, caplog
):
    shared = clock.SharedClock()
    monkeypatch.setattr("actors.heartbeat.clock.compare", shared.compare)
    beat = mailboxes.beat
    monkeypatch.setattr(mailboxes, "beat", lambda *args, **more: beat(*args, **more) - 3600)
    started(Heartbeat, name="heartbeat", bus=Bus(), store=mailboxes, process="node/w", describe=dict)
    eventually(lambda: "3600 s ahead of that of Redis" in caplog.text)
    eventually(lambda: mailboxes.living() == {"node/w"})
    assert shared.now() == pytest.approx(time.time() - 3600, abs=5)
    assert caplog.text.count("ahead of that of Redis") == 1
