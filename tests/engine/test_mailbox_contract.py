"""The contract of mailbox stores (engine/mailbox.py), tested on the Redis store and on the in-memory one."""

import time
from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest

from engine.lanes import ROUND, quotas
from engine.mailbox import LANE_WEIGHTS, LANES, QUARANTINE, Delivery, Envelope, Room, Settlement
from storage.redis_mailbox import RedisMailboxes
from tests.engine.memory_mailbox import MemoryMailboxes
from tests.servers import wait_until

PLENTY = 1 << 30
ANNA, BERT, OTHER = "n1/w1/0", "n1/w1/1", "n1/w2/0"


@dataclass
class Stores:
    """Makes stores of one kind, on the same server throughout a test."""

    kind: str
    client: Any = None
    url: str = ""
    made: list[Any] = field(default_factory=list)

    def make(self, *, rooms: dict[str, Room] | None = None, **options: Any) -> Any:
        if self.kind == "memory":
            return MemoryMailboxes(rooms=rooms or {}, **options)
        self.made.append(RedisMailboxes(self.url, namespace="test", rooms=rooms or {}, **options))
        return self.made[-1]

    def wipe(self, store: Any) -> None:
        store.wipe() if self.kind == "memory" else self.client.flushall()

    def delete(self, store: Any, mailbox: str, lane: str) -> None:
        if self.kind == "memory":
            store.delete(mailbox, lane)
        else:
            self.client.xtrim(f"ep:{{test}}:mb:{mailbox}:{lane}", maxlen=0, approximate=False)


@pytest.fixture(params=["memory", "redis"])
def stores(request):
    if request.param == "memory":
        yield Stores("memory")
        return
    stores = Stores("redis", request.getfixturevalue("redis_client"), request.getfixturevalue("valkey_url"))
    yield stores
    for store in stores.made:
        store.close()


@pytest.fixture
def box(stores):
    return stores.make()


def letter(key: object, lane: str = "normal", body: bytes = b"", **more: Any) -> Envelope:
    return Envelope(source="main", key=str(key), lane=lane, body=body, **more)


def letters(count: int, lane: str = "normal", body: bytes = b"") -> list[Envelope]:
    return [letter(f"{lane}{number}", lane, body, ref=number) for number in range(count)]


def take(box: Any, consumer: str = ANNA, count: int = 100, mailbox: str = "fetch", **more: Any) -> list[Delivery]:
    options: dict[str, Any] = {"max_bytes": PLENTY, "block": 0.0} | more
    taken: list[Delivery] = box.take(mailbox, consumer, count=count, **options)
    return taken


def keys(deliveries: list[Delivery]) -> list[str]:
    return [delivery.envelope.key for delivery in deliveries]


def settle(box: Any, deliveries: list[Delivery], **more: Any) -> list[bool]:
    settled: list[bool] = box.settle([Settlement(delivery, **more) for delivery in deliveries])
    return settled


def quarantined(box: Any, count: int = 1) -> None:
    """Put messages into quarantine, as when their process died."""
    box.put("fetch", letters(count))
    take(box, ANNA, count=count)
    assert box.release("fetch", ANNA, crashed=True) == count


def test_what_is_put_is_taken_as_it_was(box):
    sent = Envelope(
        source="main",
        key="a\u00e9",
        ref=2**60,
        generation=3,
        attempts=2,
        lane="high",
        times={"listed": 1.5},
        body=b"\x00\xff",
    )
    assert box.put("fetch", [sent]) is True
    [delivery] = take(box)
    assert delivery.envelope == sent
    assert (delivery.mailbox, delivery.lane, delivery.deaths, delivery.lone_deaths) == ("fetch", "high", 0, 0)
    assert delivery.size == box.depths("fetch")["high"].bytes


def test_an_empty_mailbox_gives_nothing(box):
    assert take(box) == []
    assert box.pending("fetch", ANNA, count=10) == []
    assert box.settle([]) == []


def test_putting_once_adds_once_a_name(box):
    assert box.put("look", [letter("a")], once="hook-1") is True
    assert box.put("look", [letter("a")], once="hook-1") is False
    assert box.put("look", [letter("b")], once="hook-2" * 100) is True
    assert box.put("other", [letter("c")], once="hook-1") is True
    assert keys(take(box, mailbox="look")) == ["a", "b"]


def test_beyond_its_room_one_message_stands_for_all_that_come(stores):
    box = stores.make(rooms={"look": Room(messages=2)})
    ranks = [5, 6, 7, 6, 9, 9, 10, 8]
    put = [box.put("look", [letter(f"{nth}")], once=f"hook{nth}", rank=rank) for nth, rank in enumerate(ranks)]
    assert put == [True, True, True, False, True, False, True, False]
    assert box.depths("look")["normal"].messages == 3
    assert box.put("look", [letter("again")], once="hook6", rank=99) is False, "a repetition"
    waiting = take(box, mailbox="look")
    assert keys(waiting) == ["0", "1", "6"], "the highest rank"
    assert box.depths("look")["normal"].bytes == sum(each.size for each in waiting)


def test_ranks_may_be_as_large_as_they_like(stores):
    box = stores.make(rooms={"look": Room(messages=1)})
    for rank in (1, 2**63 - 2, 2**63 - 1, 2**53):
        box.put("look", [letter(str(rank))], rank=rank)
    assert keys(take(box, mailbox="look")) == ["1", str(2**63 - 1)]


def test_what_stands_for_others_may_be_in_hand(stores):
    box = stores.make(rooms={"look": Room(messages=1)})
    for rank in (1, 2):
        box.put("look", [letter(str(rank))], rank=rank)
    in_hand = take(box, mailbox="look")
    assert box.put("look", [letter("3")], rank=3) is True
    assert settle(box, in_hand)[0] is True
    assert keys(take(box, mailbox="look")) == ["3"]
    assert box.depths("look")["normal"].messages == 1


def test_a_mailbox_without_a_room_takes_any_number(box):
    assert all(box.put("look", [letter(str(rank))], rank=rank) for rank in (3, 2, 1))
    assert len(take(box, mailbox="look")) == 3


def test_lanes_are_read_by_weight(box):
    for lane in LANES:
        box.put("fetch", letters(100, lane))
    assert Counter(delivery.lane for delivery in take(box, count=63)) == {"high": 48, "normal": 12, "low": 3}


def test_a_reader_of_single_messages_starves_no_lane(box):
    for lane in LANES:
        box.put("fetch", letters(100, lane))
    seen = Counter(take(box, count=1)[0].lane for _ in range(42))
    assert seen == {"high": 32, "normal": 8, "low": 2}


def test_what_a_lane_does_not_use_goes_to_the_others(box):
    box.put("fetch", [*letters(3, "high"), *letters(50, "low")])
    assert Counter(delivery.lane for delivery in take(box, count=40)) == {"high": 3, "low": 37}


def test_a_lane_keeps_its_order(box):
    box.put("fetch", letters(50))
    assert keys(take(box, count=20) + take(box, count=30)) == [f"normal{number}" for number in range(50)]


@pytest.mark.parametrize("count", [1, 20, 21, 256])
@pytest.mark.parametrize("turn", [0, 5, 1000])
def test_quotas_add_up(count, turn):
    assert sum(quotas(count, turn).values()) == count
    assert Counter(ROUND) == LANE_WEIGHTS


def test_a_batch_is_bounded_by_bytes(box):
    box.put("fetch", letters(100, body=b"x" * 1000))
    assert 5 <= len(take(box, max_bytes=5000)) <= 20
    assert len(take(box, max_bytes=1)) >= 1, "one message is always given"


def test_a_message_in_hand_is_not_handed_out_again(box):
    box.put("fetch", letters(10))
    assert len(take(box, ANNA, count=4)) == 4
    assert len(take(box, BERT)) == 6
    assert take(box, OTHER) == []


@pytest.mark.parametrize("room", [Room(messages=3), Room(bytes=60)])
def test_nothing_is_taken_while_there_is_no_room_downstream(stores, room):
    box = stores.make(rooms={"classify": room})
    box.put("fetch", letters(10))
    box.put("classify", letters(3))
    assert take(box, into=["classify"]) == []
    settle(box, take(box, OTHER, mailbox="classify", count=2))
    assert len(take(box, into=["classify", "unlimited"])) == 10


def test_a_lane_deleted_by_hand_does_not_keep_a_mailbox_full(stores):
    box = stores.make(rooms={"classify": Room(bytes=50)})
    box.put("fetch", letters(1))
    box.put("classify", letters(20))
    stores.delete(box, "classify", "normal")
    assert len(take(box, into=["classify"])) == 1


def test_a_restarted_consumer_finds_what_it_held_oldest_first(box):
    box.put("fetch", [letter("a", "low")])
    box.put("fetch", [letter("b", "high")])
    box.put("fetch", [letter("c", "normal")])
    held = take(box)
    assert len(held) == 3
    assert take(box) == []
    assert sorted(keys(box.pending("fetch", ANNA, count=10))) == ["a", "b", "c"]
    assert box.pending("fetch", BERT, count=10) == []
    settle(box, [delivery for delivery in held if delivery.envelope.key == "b"])
    assert sorted(keys(box.pending("fetch", ANNA, count=10))) == ["a", "c"]


def test_what_is_held_comes_in_pages(box):
    for lane in LANES:
        box.put("fetch", letters(7, lane))
    take(box)
    seen: list[str] = []
    after: dict[str, str] = {}
    while page := box.pending("fetch", ANNA, count=4, after=after):
        seen += keys(page)
        after |= {delivery.lane: delivery.entry for delivery in page}
    assert len(seen) == len(set(seen)) == 21


def test_entries_deleted_under_a_consumer_leave_its_hands(stores, box):
    box.put("fetch", [*letters(30), *letters(2, "high")])
    take(box)
    stores.delete(box, "fetch", "normal")
    assert keys(box.pending("fetch", ANNA, count=10)) == ["high0", "high1"]
    assert box.consumers("fetch") == {ANNA: 2}


def test_settling_acknowledges_hands_on_and_tells(box):
    _, before = box.log_bounds()
    box.put("fetch", letters(2))
    first, second = take(box)
    on = letter("on", "high", ref=7)
    settlements = [Settlement(first, forward=("classify", on), events=(b"one", b"two")), Settlement(second)]
    assert box.settle(settlements) == [True, True]
    assert [delivery.envelope for delivery in take(box, mailbox="classify")] == [on]
    assert [entry.data for entry in box.read_log(before, count=10).entries] == [b"one", b"two"]
    assert all(depth.messages == depth.bytes == 0 for depth in box.depths("fetch").values())
    assert box.consumers("fetch") == {ANNA: 0}


def test_of_two_owners_one_hands_over(box):
    box.put("fetch", letters(1))
    held = take(box)
    assert settle(box, held, forward=("classify", letter("x")), events=(b"x",)) == [True]
    assert settle(box, held, forward=("classify", letter("x")), events=(b"x",)) == [False]
    assert len(take(box, mailbox="classify")) == 1


@pytest.mark.parametrize("crashed", [True, False])
def test_a_late_acknowledgement_of_what_was_given_back_is_void(box, crashed):
    box.put("fetch", letters(2))
    late = take(box, ANNA)
    box.release("fetch", ANNA, crashed=crashed)
    taken = take(box, OTHER)
    assert settle(box, late, forward=("classify", letter("x"))) == [False, False]
    assert all(settle(box, taken, forward=("classify", letter("x"))))
    assert len(take(box, mailbox="classify")) == len(taken)


def test_one_batch_may_bring_settlements_of_several_mailboxes(box):
    box.put("fetch", letters(2))
    box.put("classify", letters(2, "low"))
    held = take(box) + take(box, mailbox="classify")
    assert settle(box, held, forward=("dead", letter("x"))) == [True] * 4
    assert box.depths("dead")["normal"].messages == 4


def test_nobody_is_blamed_when_everything_was_killed(box):
    box.put("fetch", letters(3, "low"))
    take(box, ANNA)
    assert box.release("fetch", ANNA, crashed=False) == 3
    again = take(box, BERT)
    assert [(delivery.lane, delivery.deaths) for delivery in again] == [("low", 0)] * 3


def test_releasing_gives_back_everything_once(box):
    box.put("fetch", [*letters(300), *letters(201, "high")])
    assert len(take(box, count=600)) == 501
    assert box.release("fetch", ANNA, crashed=False) == 501
    assert box.release("fetch", ANNA, crashed=False) == 0
    assert len(set(keys(take(box, BERT, count=600)))) == 501


def test_messages_of_a_crashed_process_come_back_one_by_one(box):
    quarantined(box, 3)
    depth = box.depths("fetch")
    assert (depth["normal"].messages, depth["normal"].bytes, depth[QUARANTINE].messages) == (0, 0, 3)
    seen = []
    for _ in range(3):
        [alone] = take(box)
        assert (alone.lane, alone.deaths, alone.lone_deaths) == (QUARANTINE, 1, 0)
        assert take(box) == [], "not one more while it is in hand"
        seen += keys([alone])
        assert settle(box, [alone]) == [True]
    assert seen == ["normal0", "normal1", "normal2"]
    assert take(box) == []


def test_a_process_is_alone_with_a_quarantined_message_and_others_go_on(box):
    quarantined(box)
    box.put("fetch", letters(5, "high"))
    [alone] = take(box, ANNA)
    assert alone.lane == QUARANTINE
    assert take(box, BERT) == [], "the same process"
    assert len(take(box, OTHER, count=2)) == 2
    settle(box, [alone])
    assert len(take(box, BERT)) == 3


def test_a_process_empties_its_hands_before_it_gets_a_quarantined_message(box):
    box.put("fetch", letters(3, "high"))
    in_hand = take(box, BERT, count=1)
    take(box, OTHER, count=1)
    box.release("fetch", OTHER, crashed=True)
    assert take(box, ANNA) == [], "BERT's hands are not empty"
    assert take(box, BERT) == [], "and get nothing more"
    settle(box, in_hand)
    assert [delivery.lane for delivery in take(box, ANNA)] == [QUARANTINE]


def test_while_one_process_empties_its_hands_the_others_go_on(box):
    box.put("fetch", letters(9, "high"))
    take(box, BERT, count=1)
    take(box, OTHER, count=1)
    take(box, "n1/w3/0", count=1)
    box.release("fetch", "n1/w3/0", crashed=True)
    assert take(box, ANNA) == []
    assert [delivery.lane for delivery in take(box, OTHER, count=1)] == ["high"]


def test_deaths_alone_are_counted_and_only_those_of_a_process_seen_to_die(box):
    quarantined(box)
    [first] = take(box)
    box.release("fetch", ANNA, crashed=False)
    [second] = take(box)
    assert (second.lane, second.deaths, second.lone_deaths) == (QUARANTINE, 1, 0)
    box.release("fetch", ANNA, crashed=True)
    [third] = take(box)
    assert (third.deaths, third.lone_deaths) == (2, 1)
    [again] = box.pending("fetch", ANNA, count=5)
    assert again == third, "a restarted slot finds its quarantined message"
    box.release("fetch", ANNA, crashed=True)
    [fourth] = take(box)
    assert (fourth.deaths, fourth.lone_deaths) == (3, 2)
    assert settle(box, [first, second, third, fourth]) == [False, False, False, True]


def test_the_quarantine_gets_its_turn_under_load_and_then_the_lanes(stores):
    box = stores.make(turn=0.05)
    lanes: list[str] = []

    def five_times_over() -> bool:
        got = take(box, count=5)
        lanes.extend(delivery.lane for delivery in got)
        settle(box, got)
        box.put("fetch", letters(5, "high"))
        if not box.depths("fetch")[QUARANTINE].messages:
            quarantined(box, 5)
        return sum(one != other for one, other in pairwise(lanes)) >= 4

    box.put("fetch", letters(5, "high"))
    wait_until(five_times_over, "quarantine and lanes in turn")


def test_the_quarantine_stands_aside_when_a_process_cannot_empty_its_hands(stores):
    box = stores.make(turn=0.04)
    box.put("fetch", letters(100, "high"))
    stuck = take(box, BERT, count=1)
    box.put("fetch", [letter("victim")])
    take(box, OTHER, count=200)
    box.release("fetch", OTHER, crashed=True)
    box.put("fetch", letters(50, "low"))
    assert take(box, ANNA) == [], "it waits for BERT's hands"
    wait_until(lambda: bool(take(box, ANNA)), "the turn's end")
    assert settle(box, stuck) == [True]


def test_consumers_tell_what_they_hold_and_are_forgotten_when_empty(box):
    box.put("fetch", letters(5))
    held = take(box, ANNA, count=2)
    take(box, OTHER)
    assert box.consumers("fetch") == {ANNA: 2, OTHER: 3}
    assert box.forget("fetch", ANNA) is False
    settle(box, held)
    assert box.forget("fetch", ANNA) is True
    assert box.forget("fetch", "nobody") is True
    assert box.consumers("fetch") == {OTHER: 3}
    assert box.consumers("never-used") == {}


def test_feeding_moves_the_position_once(box):
    _, before = box.log_bounds()
    big = 2**53
    assert box.positions(["main:low"]) == {"main:low": 0}
    assert box.feed("fetch", letters(2), position="main:low", expected=0, to=big, events=[b"new"]) is True
    assert box.feed("fetch", letters(2), position="main:low", expected=0, to=big, events=[b"new"]) is False
    assert box.feed("fetch", letters(2), position="main:low", expected=big + 1, to=big + 2) is False
    assert box.feed("fetch", [], position="main:low", expected=big, to=big + 1) is True
    assert box.positions(["main:low", "main:high"]) == {"main:low": big + 1, "main:high": 0}
    assert box.positions([]) == {}
    assert len(take(box)) == 2
    assert [entry.data for entry in box.read_log(before, count=10).entries] == [b"new"]


def test_depths_count_messages_bytes_and_what_is_in_hand(box):
    box.put("fetch", [*letters(3, "high", b"x" * 100), *letters(1, "low")])
    held = take(box, count=2)
    depths = box.depths("fetch")
    assert [(lane, depth.messages) for lane, depth in depths.items()] == [
        ("high", 3),
        ("normal", 0),
        ("low", 1),
        (QUARANTINE, 0),
    ]
    assert sum(depth.in_hand for depth in depths.values()) == 2
    assert depths["high"].bytes > 300
    assert 0 <= depths["high"].oldest_age < 60
    assert depths["normal"].oldest_age == 0
    settle(box, held)
    assert sum(depth.messages for depth in box.depths("fetch").values()) == 2


def test_bytes_follow_a_message_on_its_way(box):
    box.put("fetch", letters(4, body=b"x" * 50))
    size = box.depths("fetch")["normal"].bytes
    take(box)
    box.release("fetch", ANNA, crashed=True)
    depths = box.depths("fetch")
    assert (depths["normal"].bytes, depths[QUARANTINE].bytes) == (0, size)
    settle(box, take(box), forward=("classify", letter("x", "low")))
    assert 0 < box.depths("fetch")[QUARANTINE].bytes < size
    assert box.depths("classify")["low"].bytes > 0


def test_refs_list_every_message_in_hand_or_not(box):
    box.put("fetch", letters(5))
    take(box, count=3)
    box.release("fetch", ANNA, crashed=True)
    take(box, ANNA)
    box.put("fetch", [letter("z", "high", ref=99, generation=2)])
    assert sorted(box.refs("fetch")) == [*(("main", ref, 0) for ref in range(5)), ("main", 99, 2)]
    assert list(box.refs("empty")) == []


@pytest.mark.parametrize("size", [1, 2, 7, 99, 100, 101, 1000])
def test_pages_of_the_log_are_exact_whatever_their_size(box, size):
    start = box.read_log(None, count=1)
    assert start.entries == []
    told = [b"%d" % number for number in range(350)]
    for first in (0, 1, 3, 5, 205):
        last = {0: 1, 1: 3, 3: 5, 5: 205, 205: 350}[first]
        box.tell(told[first:last])
    seen, after = [], start.last
    while (page := box.read_log(after, count=size)).entries:
        assert len(page.entries) <= size
        assert page.gap is None
        assert page.last == page.entries[-1].seq
        seen += page.entries
        after = page.last
    assert [entry.data for entry in seen] == told
    assert [entry.seq for entry in seen] == sorted({entry.seq for entry in seen})
    assert page.last == after
    assert box.log_bounds() == (seen[0].seq, seen[-1].seq)


def test_a_reader_from_now_on_meets_only_what_comes(box):
    box.tell([b"old"])
    now = box.read_log(None, count=10)
    assert now.entries == []
    assert now.gap is None
    box.tell([b"new"])
    assert [entry.data for entry in box.read_log(now.last, count=10).entries] == [b"new"]


def test_a_reader_at_the_end_of_the_log_gets_what_comes_next(box):
    box.tell([b"old"])
    end = box.read_log("", count=10).last
    assert box.read_log(end, count=10, block=0.01, ended=True).entries == []
    box.tell([b"new"])
    for block in (0.0, 5.0):
        page = box.read_log(end, count=10, block=block, ended=True)
        assert [entry.data for entry in page.entries] == [b"new"]


def test_old_events_give_way_by_size_and_late_readers_are_told(stores):
    box = stores.make(log_bytes=5000)
    late = box.read_log(None, count=1).last
    for number in range(100):
        box.tell([b"%03d" % number + b"." * 97])
        if number == 0:
            prompt = box.read_log(late, count=10).last
    page = box.read_log(late, count=1000)
    assert page.gap == "trimmed"
    assert [entry.data[:3] for entry in page.entries] == [b"%03d" % number for number in range(50, 100)]
    assert box.read_log(prompt, count=10).gap == "trimmed"
    assert box.read_log(page.entries[0].seq, count=1000).gap is None
    assert box.log_bounds() == (page.entries[0].seq, page.last)


def test_a_reader_who_has_all_that_was_trimmed_sees_no_gap(stores):
    box = stores.make(log_bytes=500)
    place = box.read_log(None, count=1).last
    for number in range(30):
        box.tell([b"%03d" % number + b"." * 297])
        page = box.read_log(place, count=10)
        assert (page.gap, [entry.data[:3] for entry in page.entries]) == (None, [b"%03d" % number])
        place = page.last


@pytest.mark.parametrize("place", ["", "nonsense", "00000000-1795492921669-000001-001", "-1", "a-b-c-d"])
def test_a_place_of_another_log_is_a_gap(box, place):
    box.tell([b"a", b"b"])
    page = box.read_log(place, count=10)
    assert page.gap == "another log"
    assert [entry.data for entry in page.entries] == [b"a", b"b"]
    assert box.read_log(page.last, count=10).gap is None


def test_a_wiped_store_begins_another_log_and_feeds_from_the_start(stores, box):
    box.tell([b"a"])
    box.feed("fetch", letters(2), position="main:low", expected=0, to=9)
    held = take(box)
    old = box.read_log(None, count=1).last
    stores.wipe(box)
    assert settle(box, held) == [False, False]
    assert take(box) == []
    assert box.positions(["main:low"]) == {"main:low": 0}
    box.tell([b"b"])
    page = box.read_log(old, count=10)
    assert (page.gap, [entry.data for entry in page.entries]) == ("another log", [b"b"])


def test_a_peek_shows_the_newest_messages_and_takes_none(box):
    quarantined(box)
    box.put("fetch", letters(3))
    taken = take(box, OTHER, count=2)
    newest = box.peek("fetch", 2)
    assert newest == letters(3)[:0:-1]
    assert {each.key for each in box.peek("fetch", 10)} == {"normal0", "normal1", "normal2"}
    assert len(box.peek("fetch", 10)) == 4
    assert sum(depth.in_hand for depth in box.depths("fetch").values()) == len(taken)
    settle(box, taken)
    assert len(box.peek("fetch", 10)) == 4 - len(taken)
    assert box.peek("look.nobody", 10) == []


def test_it_tells_the_time(box):
    assert box.time() == pytest.approx(time.time(), abs=5)


def test_processes_live_as_long_as_they_beat(box):
    box.beat("n1/w1", {"pid": 7, "text": "d\u00e9j\u00e0 vu"}, ttl=30)
    box.beat("n1/w2", {}, ttl=0.02)
    assert box.alive()["n1/w1"] == {"pid": 7, "text": "d\u00e9j\u00e0 vu"}
    wait_until(lambda: set(box.alive()) == {"n1/w1"}, "the end of a process that does not beat")


def test_the_metrics_of_a_process_live_as_long_as_it_and_are_nobody_elses_burden(box):
    box.beat("n1/w1", {"pid": 7}, ttl=30, metrics=b"\x00\xffone")
    box.beat("n1/w2", {}, ttl=0.02, metrics=b"two")
    box.beat("n2/w1", {"pid": 9}, ttl=30)
    assert box.metrics([]) == {}
    wait_until(lambda: set(box.living()) == {"n1/w1", "n2/w1"}, "the end of a process that does not beat")
    asked, left = ["n1/w1", "n1/w2", "n2/w1", "n3/w1"], {"n1/w1": b"\x00\xffone"}
    wait_until(lambda: box.metrics(asked) == left, "the end of its metrics, which Redis may notice a millisecond later")
    assert box.alive() == {"n1/w1": {"pid": 7}, "n2/w1": {"pid": 9}}


def test_a_lease_has_one_holder_who_may_renew_it(box):
    assert box.lease("lister:main", "token-a", ttl=30) is True
    assert box.lease("lister:main", "token-b", ttl=30) is False
    assert box.lease("lister:main", "token-a", ttl=30) is True
    assert box.lease("lister:other", "token-b", ttl=0.02) is True
    wait_until(lambda: box.lease("lister:other", "token-c", ttl=30), "the end of a lease")
    box.give_up("lister:main", "token-b")
    assert box.lease("lister:main", "token-b", ttl=30) is False
    box.give_up("lister:main", "token-a")
    assert box.lease("lister:main", "token-b", ttl=30) is True


def test_calls_reach_who_listens_from_before(box):
    box.call("early")
    last, topics = box.listen(None, block=0)
    assert topics == []
    box.call("control")
    box.call("rules")
    box.call("control")
    last, topics = box.listen(last, block=0)
    assert topics == ["control", "rules"]
    assert box.listen(last, block=0) == (last, [])


def test_a_mailbox_is_found_by_its_name_and_can_be_removed_with_all_that_is_in_it(box):
    for mailbox in ("canary.n1", "canary.n2", "fetch"):
        box.put(mailbox, letters(3))
    (held,) = take(box, count=1, mailbox="canary.n1")
    assert set().union(*box.mailboxes("canary.")) == {"canary.n1", "canary.n2"}
    box.remove("canary.n1")
    assert set().union(*box.mailboxes("canary.")) == {"canary.n2"}
    assert set().union(*box.mailboxes("")) == {"canary.n2", "fetch"}
    assert (box.consumers("canary.n1"), settle(box, [held])) == ({}, [False])
    box.put("canary.n1", letters(1))
    assert len(take(box, mailbox="canary.n1")) == 1, "it begins anew"


def test_it_answers_a_ping(box):
    assert 0 <= box.ping() < 5
