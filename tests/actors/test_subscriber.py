"""Outgoing webhooks: sent in order, signed, retried, disabled, resumed; a kill may repeat an event but skips none."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from actors.events import encode_event, message, new_event
from actors.subscriber import Course, Subscriber
from engine.events import Bus
from fakemail.egress import Egress
from fakemail.signature import SignatureError, new_secret, verify
from storage.books import Books
from storage.database import Database
from storage.records import Look
from storage.redis_mailbox import RedisMailboxes
from storage.subscriptions import Subscription, Subscriptions
from tests.actors.conftest import Watched, eventually
from tests.actors.receiver import Received, Receiver

SECRET = new_secret()


def event(number: int, kind: str = "process", source: str = "main") -> bytes:
    return encode_event(kind, {"email_id": f"mail-{number}", "source": source}, time.time())


@pytest.fixture
def subscriptions(database: Database) -> Subscriptions:
    return Subscriptions(database)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        yield server


@pytest.fixture
def subscribe(subscriptions: Subscriptions, receiver: Receiver) -> Callable[..., Subscription]:
    def make(**changes: Any) -> Subscription:
        values: dict[str, Any] = {
            "id": 0, "url": receiver.url, "secret": SECRET, "description": "", "events": (), "backlog": True,
            "position": "", "state": "active", "reason": None, "failures": 0, "failing_since": None,
            "next_attempt_at": None, "delivered": 0, "delivered_at": None, "created_at": time.time(),
        }  # fmt: skip
        return subscriptions.create(Subscription(**{**values, **changes}))

    return make


@pytest.fixture
def start(started: Callable[..., Any], mailboxes: RedisMailboxes, subscriptions: Subscriptions) -> Callable[..., Any]:
    def run(token: str = "front", **changes: Any) -> Any:
        options: dict[str, Any] = {
            "name": token, "bus": Bus(), "store": mailboxes, "subscriptions": subscriptions, "token": token,
            "wait_for_news": lambda _: gevent.sleep(0.005), "resolve": None, "tick": 0.02, "first_wait": 0.01,
        }  # fmt: skip
        return started(Subscriber, **{**options, **changes})

    return run


def everything(mailboxes: RedisMailboxes) -> list[bytes]:
    return [message(entry) for entry in mailboxes.read_log("", count=10_000).entries]


def test_the_very_messages_of_the_log_come_in_order_and_signed(mailboxes, receiver, subscribe, start):
    mailboxes.tell([event(number) for number in range(30)])
    subscribe()
    start()
    eventually(lambda: len(receiver.taken) == 30)
    mailboxes.tell([event(30)])
    eventually(lambda: len(receiver.taken) == 31)
    assert [each.body for each in receiver.taken] == everything(mailboxes)
    assert len({each.id for each in receiver.taken}) == 31
    for each in receiver.taken:
        verify((SECRET,), each.headers, each.body, time.time())


def test_it_begins_after_its_place_and_leaves_out_kinds_that_nobody_wants(mailboxes, receiver, subscribe, start):
    mailboxes.tell([event(1), event(2), event(3, "retry"), event(4)])
    first = mailboxes.read_log("", count=1).entries[0]
    made = subscribe(position=first.seq, events=("process",))
    start()
    eventually(lambda: len(receiver.taken) == 2)
    assert [each.json["data"]["email_id"] for each in receiver.taken] == ["mail-2", "mail-4"]
    assert made.position == first.seq


def test_what_is_refused_comes_again_with_the_same_id_before_anything_else(
    mailboxes, receiver, subscribe, start, subscriptions
):
    refusals = iter([500, 302, 429])
    receiver.answer = lambda _: next(refusals, 200)
    mailboxes.tell([event(1), event(2)])
    made = subscribe()
    start()
    eventually(lambda: len(receiver.taken) == 2)
    assert len({each.id for each in receiver.received[:4]}) == 1
    eventually(lambda: subscriptions.get(made.id).delivered == 2)
    kept = subscriptions.get(made.id)
    assert (kept.failures, kept.failing_since, kept.next_attempt_at) == (0, None, None)
    tries, _ = subscriptions.deliveries(made.id)
    assert [(each.attempt, each.status) for each in reversed(tries)] == [
        (1, 500),
        (2, 302),
        (3, 429),
        (4, 200),
        (1, 200),
    ]
    assert [each.error for each in subscriptions.deliveries(made.id, failed=True)[0]] == [
        "status 429", "status 302", "status 500",
    ]  # fmt: skip


def test_a_kill_between_delivery_and_position_repeats_with_the_same_id_and_leaves_nothing_out(
    mailboxes, receiver, subscribe, start, monkeypatch
):
    mailboxes.tell([event(number) for number in range(12)])
    subscribe()
    deaths = iter(range(3))
    keep = Course._keep

    def dying(course: Course, *, whole: bool) -> None:
        if course.taken and next(deaths, None) is not None:
            raise gevent.GreenletExit  # as if the process was killed: delivered, but not recorded
        keep(course, whole=whole)

    monkeypatch.setattr(Course, "_keep", dying)
    start()
    eventually(lambda: len(receiver.seqs()) == 12)
    assert len(receiver.taken) == 15
    assert list(receiver.seqs()) == sorted(receiver.seqs())
    assert len({each.id for each in receiver.taken}) == 12


def test_a_killed_actor_is_followed_by_one_that_goes_on_where_it_was(mailboxes, receiver, subscribe, start):
    mailboxes.tell([event(number) for number in range(40)])
    subscribe()
    first = start("first")
    eventually(lambda: len(receiver.taken) >= 5)
    first.stop(block=False)
    start("second")
    eventually(lambda: len(receiver.seqs()) == 40)
    assert receiver.seqs() == sorted(receiver.seqs())


def test_lasting_failure_disables_and_says_so_and_enabling_goes_on_without_a_gap(
    mailboxes, receiver, subscribe, start, subscriptions, caplog
):
    receiver.answer = lambda _: 500
    mailboxes.tell([event(1), event(2)])
    made = subscribe()
    start(disable_after=(0.02, 3))
    eventually(lambda: subscriptions.get(made.id).state == "disabled")
    assert "tries failed in a row: status 500" in subscriptions.get(made.id).reason
    assert "is disabled" in caplog.text
    receiver.answer = lambda _: 200
    assert subscriptions.enable(made.id).state == "active"
    eventually(lambda: len(receiver.seqs()) == 2)


def test_a_next_try_that_lies_beyond_any_pause_is_due_since_the_clock_went_back(mailboxes, receiver, subscribe, start):
    mailboxes.tell([event(1)])
    subscribe(failures=1, next_attempt_at=time.time() + 7_200)
    start()
    eventually(lambda: len(receiver.taken) == 1)


def test_gone_disables_at_once(mailboxes, receiver, subscribe, start, subscriptions):
    receiver.answer = lambda _: 410
    mailboxes.tell([event(1)])
    made = subscribe()
    start()
    eventually(lambda: subscriptions.get(made.id).state == "disabled")
    assert len(receiver.received) == 1
    assert "gone" in subscriptions.get(made.id).reason


def test_a_slow_subscriber_slows_nobody(mailboxes, receiver, subscribe, start):
    def slow(_: Received) -> int:
        gevent.sleep(30)
        return 200

    with Receiver(answer=slow) as sluggish:
        subscribe(url=sluggish.url)
        subscribe()
        mailboxes.tell([event(number) for number in range(20)])
        start()
        eventually(lambda: len(receiver.taken) == 20)


def test_one_node_leads_and_another_takes_over(mailboxes, receiver, subscribe, start):
    subscribe()
    leader = start("one")
    eventually(leader.proxy().running_for.get)
    other = start("two")
    mailboxes.tell([event(number) for number in range(5)])
    eventually(lambda: len(receiver.taken) == 5)
    assert other.proxy().running_for.get() == {}
    leader.stop()
    eventually(other.proxy().running_for.get)
    mailboxes.tell([event(5)])
    eventually(lambda: len(receiver.seqs()) == 6)


def test_a_deleted_subscription_is_told_nothing_more(mailboxes, receiver, subscribe, start, subscriptions):
    with Receiver() as other:
        made, kept = subscribe(), subscribe(url=other.url)
        leader = start()
        eventually(lambda: leader.proxy().running_for.get().keys() == {made.id, kept.id})
        assert subscriptions.delete(made.id)
        eventually(lambda: leader.proxy().running_for.get().keys() == {kept.id})
        for number in (1, 2, 3):
            mailboxes.tell([event(number)])
            eventually(lambda: len(other.taken) == number)  # noqa: B023  (asked within this turn of the loop)
        assert receiver.received == []


def test_one_that_follows_a_deleted_one_is_served_and_not_mistaken_for_it(
    mailboxes, receiver, subscribe, start, subscriptions
):
    with Receiver() as former:
        place = mailboxes.log_bounds()[1]
        made = subscribe(url=former.url, position=place)
        leader = start(tick=0.2)
        eventually(leader.proxy().running_for.get)
        subscriptions.delete(made.id)
        subscribe(position=place)
        mailboxes.tell([event(1)])
        eventually(lambda: len(receiver.taken) == 1)


def test_emails_of_the_first_sync_come_only_where_they_are_asked_for(
    mailboxes, receiver, subscribe, start, books: Books
):
    source = books.source("main")
    books.enter(source, ["mail-1", "mail-2"], Look("start", time.time()), lane="low")
    books.enter(source, ["mail-3"], Look("poll", time.time()), lane="normal")
    told = [new_event("main", ["mail-1", "mail-2"], 1.0), event(1), event(2), event(2, "label"), event(3)]
    mailboxes.tell(told)
    with Receiver() as curious:
        subscribe(backlog=False)
        subscribe(url=curious.url, backlog=True)
        start()
        eventually(lambda: len(curious.taken) == 5)
        eventually(lambda: len(receiver.taken) == 2)
        assert [(each.json["event"], each.json["data"]["email_id"]) for each in receiver.taken] == [
            ("label", "mail-2"), ("process", "mail-3"),
        ]  # fmt: skip


def test_a_place_that_the_log_has_lost_is_told_as_a_gap(mailboxes, receiver, subscribe, start):
    mailboxes.tell([event(1), event(2)])
    lost = "00000000-0000000000001-000000-000"
    subscribe(position=lost)
    start()
    eventually(lambda: len(receiver.taken) == 3)
    gap, *rest = [each.json for each in receiver.taken]
    assert (gap["type"], gap["from"], gap["reason"]) == ("gap", lost, "another log")
    assert [each["data"]["email_id"] for each in rest] == ["mail-1", "mail-2"]


def test_an_address_that_is_closed_is_not_called(mailboxes, receiver, subscribe, start, subscriptions):
    mailboxes.tell([event(1)])
    made = subscribe()
    start(resolve=Egress().resolve)
    eventually(lambda: subscriptions.get(made.id).failures > 0)
    assert receiver.received == []
    assert "EGRESS_ALLOW" in subscriptions.deliveries(made.id)[0][0].error


def test_the_log_of_deliveries_is_bounded(subscribe, subscriptions, mailboxes, receiver, start, monkeypatch):
    monkeypatch.setattr("storage.subscriptions.DELIVERIES_KEPT", 10)
    mailboxes.tell([event(number) for number in range(100)])
    made = subscribe()
    start()
    eventually(lambda: subscriptions.get(made.id).delivered == 100)
    assert len(subscriptions.deliveries(made.id, limit=100)[0]) == 10


def test_while_a_secret_is_replaced_both_the_old_and_the_new_one_fit(
    mailboxes, receiver, subscribe, start, subscriptions
):
    made, newer = subscribe(), new_secret()
    start()
    mailboxes.tell([event(1)])
    eventually(lambda: len(receiver.taken) == 1)
    subscriptions.rotate(made.id, newer, time.time() + 60)
    eventually(lambda: _fits(newer, _next(mailboxes, receiver)))
    assert _fits(SECRET, receiver.taken[-1])
    subscriptions.rotate(made.id, newer, time.time())
    eventually(lambda: not _fits(SECRET, _next(mailboxes, receiver)))
    assert _fits(newer, receiver.taken[-1])


def _next(mailboxes: RedisMailboxes, receiver: Receiver) -> Received:
    before = len(receiver.taken)
    mailboxes.tell([event(before + 1)])
    eventually(lambda: len(receiver.taken) > before)
    return receiver.taken[-1]


def _fits(secret: str, request: Received) -> bool:
    try:
        verify((secret,), request.headers, request.body, time.time())
    except SignatureError:
        return False
    return True


def test_with_many_subscriptions_and_a_slow_store_it_is_not_hung(mailboxes, subscribe, start):
    for _ in range(4):
        subscribe()
    watched = mailboxes.lease = Watched(mailboxes.lease)
    watched.ref = start()
    eventually(lambda: len(watched.since) > 8)
    assert watched.is_each_a_step()
