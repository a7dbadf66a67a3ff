"""The feeder fills the fetch mailbox from the books, by lane, up to its limit, and safely beside other feeders."""

import json
import time

import pytest
from gevent.event import Event

from actors.bodies import FETCH, FetchBody, decode, fetch_mailbox
from actors.feeder import Feeder
from engine.events import Bus
from engine.mailbox import Room, Settlement
from storage.records import Attempt, Look
from tests.actors.conftest import Watched, eventually


@pytest.fixture
def enter(books):
    def put(count, *, lane="normal", prefix="e"):
        ids = [f"{prefix}{number}" for number in range(count)]
        return books.enter(books.source("main"), ids, Look("poll", time.time(), notified_at=time.time()), lane=lane)

    return put


@pytest.fixture
def feeder(started, mailboxes, books):
    """A feeder with infrequent ticks: it moves when its bell rings."""
    bell = Event()
    started(Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=bell, tick=60.0)
    return bell


def depth(mailboxes, lane="normal"):
    return mailboxes.depths(FETCH)[lane].messages


def test_open_rows_go_in_in_order_when_the_bell_rings(feeder, enter, mailboxes):
    rows = enter(5)
    feeder.set()
    eventually(lambda: depth(mailboxes) == 5)
    taken = mailboxes.take(FETCH, "node/test/x", count=10, max_bytes=10**6, block=0)
    assert [(each.envelope.ref, each.envelope.key) for each in taken] == rows
    assert {"listed", "fed", "notified"} <= set(taken[0].envelope.times)


def test_no_more_than_the_mailbox_has_room_for_and_the_rest_waits_in_the_books(feeder, enter, mailboxes):
    enter(150)
    feeder.set()
    eventually(lambda: depth(mailboxes) == 100)
    taken = mailboxes.take(FETCH, "node/test/x", count=60, max_bytes=10**6, block=0)
    assert len(taken) == 60
    feeder.set()
    assert depth(mailboxes) == 100, "what is in hand still counts"


def test_what_waits_for_room_goes_in_when_there_is_room_also_when_the_bell_rang_at_the_start(
    started, enter, mailboxes, books
):
    enter(150)
    bell = Event()
    bell.set()  # so that the very first turn is due twice
    started(Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=bell, tick=60.0)
    eventually(lambda: depth(mailboxes) == 100)
    eventually(lambda: not bell.is_set())
    taken = mailboxes.take(FETCH, "node/test/x", count=100, max_bytes=10**6, block=0)
    mailboxes.settle([Settlement(each) for each in taken])
    eventually(lambda: depth(mailboxes) == 50)


def test_the_low_lane_gets_a_tenth_so_that_live_mail_finds_room(feeder, enter, mailboxes):
    enter(50, lane="low", prefix="old")
    feeder.set()
    eventually(lambda: depth(mailboxes, "low") == 10)
    enter(5, prefix="live")
    feeder.set()
    eventually(lambda: depth(mailboxes) == 5)
    assert depth(mailboxes, "low") == 10


@pytest.mark.parametrize("lanes", [("high", "normal", "low"), ("normal", "low"), ("high", "low")])
def test_all_lanes_together_get_no_more_than_there_is_room_for(enter, mailboxes, books, lanes):
    for lane in lanes:
        enter(95, lane=lane, prefix=lane)
    turn = Feeder(name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=Event()).feed
    assert turn() == sum(each.messages for each in mailboxes.depths(FETCH).values()) == 100


def test_no_lane_keeps_the_room_from_another(enter, mailboxes, books):
    for lane in ("high", "normal", "low"):
        enter(190, lane=lane, prefix=lane)
    turn = Feeder(name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=Event()).feed
    assert turn() == 100
    for _ in ("normal", "low"):
        done = mailboxes.take(FETCH, "node/test/x", count=50, max_bytes=10**6, block=0)
        mailboxes.settle([Settlement(each) for each in done])
        assert turn() == 50
    assert depth(mailboxes, "low") == 10
    assert depth(mailboxes, "high") + depth(mailboxes) == 90


def test_two_feeders_feed_each_row_once(started, enter, mailboxes, books):
    enter(90)
    bells = [Event(), Event()]
    for number, bell in enumerate(bells):
        name = f"feeder-{number}"
        started(Feeder, name=name, bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=bell, tick=60.0)
        bell.set()
    eventually(lambda: depth(mailboxes) >= 90)
    assert len({ref for _, ref, _ in mailboxes.refs(FETCH)}) == depth(mailboxes) == 90


@pytest.mark.parametrize("missing", [True, False])
def test_new_mail_is_told_once_and_a_retry_is_no_new_mail(feeder, enter, mailboxes, books, missing):
    start = mailboxes.read_log(None, count=1).last
    ((ref, key),) = enter(1)
    feeder.set()
    eventually(lambda: depth(mailboxes) == 1)
    now = time.time()
    books.postpone([Attempt("main", key, ref, 0, 0, "gone", "404", now, now, "p", spend=False, missing=missing)])
    assert books.due(now + 1, 10) == 1
    feeder.set()
    eventually(lambda: depth(mailboxes) == 2)
    events = [json.loads(entry.data) for entry in mailboxes.read_log(start, count=10).entries]
    assert [(event["event"], event["data"]["email_ids"]) for event in events] == [("new", [key])]
    retried = mailboxes.take(FETCH, "node/test/x", count=10, max_bytes=10**6, block=0)[-1]
    assert decode(retried.envelope.body, FetchBody).first_missing_at == (now if missing else None)


def test_a_wiped_redis_is_filled_again_from_the_books(feeder, enter, mailboxes, redis_client):
    enter(20)
    feeder.set()
    eventually(lambda: depth(mailboxes) == 20)
    redis_client.flushall()
    feeder.set()
    eventually(lambda: depth(mailboxes) == 20)


def test_bytes_count_too(started, mailboxes, books, enter):
    bell, room = Event(), Room(100_000, bytes=2_000)
    started(Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=room, bell=bell, tick=0.02)
    for part in range(20):  # one batch may exceed the limit, the next one finds no room
        enter(10, prefix=f"long-{part}-{'x' * 100}-")
        bell.set()
        eventually(lambda: mailboxes.depths(FETCH)["normal"].bytes >= 2_000 or not bell.is_set())
    eventually(lambda: mailboxes.depths(FETCH)["normal"].bytes >= 2_000)
    first = depth(mailboxes)
    enter(50, prefix="late")
    bell.set()
    eventually(lambda: not bell.is_set())
    assert depth(mailboxes) == first < 250


def test_a_first_sync_of_100_000_does_not_hold_up_the_live_mail_of_another_source(started, mailboxes, books):
    noisy, quiet = books.open_source("noisy", "http://noisy"), books.open_source("quiet", "http://quiet")
    for lane in ("low", "normal"):
        for start in range(0, 50_000, 2_000):
            ids = [f"{lane}{number}" for number in range(start, start + 2_000)]
            books.enter(noisy, ids, Look("start", time.time()), lane=lane)
    mailboxes.rooms.update(dict.fromkeys(("fetch.noisy", "fetch.quiet"), Room(100)))
    bell = Event()
    started(Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=bell, tick=60.0)
    bell.set()
    eventually(lambda: mailboxes.depths(fetch_mailbox("noisy"))["normal"].messages > 0)
    books.enter(quiet, ["live"], Look("notification", time.time(), notified_at=time.time()), lane="normal")
    bell.set()
    eventually(lambda: mailboxes.depths(fetch_mailbox("quiet"))["normal"].messages == 1)
    assert sum(each.messages for each in mailboxes.depths(fetch_mailbox("noisy")).values()) <= 100


def test_sources_take_turns_batch_by_batch(started, mailboxes, books):
    one, two = books.open_source("one", "http://one"), books.open_source("two", "http://two")
    fed = []
    feed = mailboxes.feed

    def note(mailbox, envelopes, **options):
        fed.append((mailbox, len(envelopes)))
        return feed(mailbox, envelopes, **options)

    mailboxes.feed = note
    for source in (one, two):
        for start in (0, 2_000):
            ids = [str(number) for number in range(start, start + 2_000)]
            books.enter(source, ids, Look("poll", time.time()), lane="normal")
    bell = Event()
    started(Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(10_000), bell=bell, tick=60.0)
    bell.set()
    eventually(lambda: sum(count for _, count in fed) == 8_000)
    assert [mailbox for mailbox, _ in fed] == ["fetch.one", "fetch.two"] * 4


def test_what_is_open_of_a_source_that_nobody_serves_waits_in_the_books(started, enter, mailboxes, books):
    books.enter(books.open_source("former", "http://former"), ["old"], Look("poll", time.time()), lane="normal")
    enter(1)
    bell = Event()
    started(
        Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=bell, tick=60.0,
        served={"main"},
    )  # fmt: skip
    bell.set()
    eventually(lambda: depth(mailboxes) == 1)
    assert mailboxes.depths(fetch_mailbox("former"))["normal"].messages == 0
    assert books.audit("former").queued == 1


def test_with_many_sources_and_slow_stores_it_is_not_hung(started, mailboxes, books):
    for name in ("one", "two", "three"):
        books.open_source(name, f"http://{name}")
    watched = mailboxes.depths = Watched(mailboxes.depths)
    watched.ref = started(
        Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=Event(), tick=0.01
    )
    eventually(lambda: len(watched.since) > 8)
    assert watched.is_each_a_step()
