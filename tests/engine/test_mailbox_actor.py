"""The loop: take, handle, postpone, settle; every message ends exactly once, whatever fails in between."""

import time
from collections import Counter

import gevent
import msgspec
import pytest
from gevent.event import Event

import engine.mailbox_actor
import engine.pump
from engine.canary import canary
from engine.context import Context
from engine.errors import DependencyTrouble, MessageTrouble, Permanent
from engine.events import (
    BATCH_SETTLED,
    DEPENDENCY_BACK,
    DEPENDENCY_LOST,
    MESSAGE_BURIED,
    MESSAGE_RETRIED,
    RELEASED,
    Bus,
)
from engine.mailbox import DEAD, QUARANTINE, Envelope, Room, Settlement
from engine.outcome import DeadLetterBody
from tests.engine.helpers import (
    FAST,
    Faults,
    MemoryLedger,
    Script,
    buried,
    done,
    first_raising,
    holder,
    in_mailbox,
    letters,
    once,
    raising,
    told,
    until,
)
from tests.engine.memory_mailbox import MemoryMailboxes

DOWN = DependencyTrouble("down", dependency="database")


class Bench:
    """A store, a ledger, and the actors of one process."""

    def __init__(self):
        self.store = MemoryMailboxes(turn=0.05, rooms={"next": Room(messages=5)})
        self.ledger = MemoryLedger()
        self.bus = Bus()
        self.released: Counter[str] = Counter()
        self.bus.subscribe(lambda _name, it: self.released.update({it["consumer"]: it["count"]}), RELEASED)
        self.refs = []
        self.control = type("Gate", (), {"paused": False})()

    def context(self, **more):
        options = {"store": self.store, "process": "n/p", "ledger": self.ledger, "bus": self.bus}
        return Context(**{**options, "policy": FAST, "control": self.control, **more})

    def start(self, acts=None, *, context=None, cls=Script, **options):
        self.refs.append(cls.start(context or self.context(), acts=acts, **options))
        return self.refs[-1]

    def run(self, *keys, acts=None, **options):
        """Put messages with these keys, and start an actor on them."""
        self.store.put("work", letters(*keys))
        return self.start(acts, **options)

    def drained(self):
        until(lambda: in_mailbox(self.store) == 0, "an empty mailbox")


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Shorten the waits to milliseconds."""
    monkeypatch.setattr(engine.pump, "backoff", lambda attempt, **_: min(0.002 * attempt, 0.02))
    monkeypatch.setattr(engine.pump, "IDLE_S", 0.002)


@pytest.fixture
def bench():
    bench = Bench()
    yield bench
    for ref in bench.refs:
        ref.stop(timeout=2)


def done_twice(outcome, delivery):
    for _ in range(2):
        done(outcome, delivery)


# -- the plain way


def test_a_done_message_leaves_with_its_events(bench):
    bench.run("a", "b")
    bench.drained()
    assert told(bench.store) == {"done a": 1, "done b": 1}


def test_a_forwarded_message_is_in_the_next_mailbox(bench):
    bench.run("a", acts={"a": lambda outcome, it: outcome.forward(it, "next", Envelope("main", "a", body=b"more"))})
    bench.drained()
    [delivery] = bench.store.take("next", "x", count=9, max_bytes=1 << 20, block=0)
    assert delivery.envelope.body == b"more"


def test_a_batch_is_bounded_by_count(bench):
    ref = bench.run(*"abcdefg", count=3)
    bench.drained()
    assert [len(batch) for batch in holder(ref).batches] == [3, 3, 1]


def test_one_batch_is_taken_ahead_and_no_more(bench):
    go_on = Event()
    ref = bench.run(*"abcdefgh", acts={"a": once(go_on)}, count=2)
    until(lambda: bench.store.depths("work")["normal"].in_hand == 4)
    gevent.sleep(0.05)
    assert bench.store.depths("work")["normal"].in_hand == 4
    go_on.set()
    bench.drained()
    assert len(holder(ref).seen) == 8


def test_nothing_is_taken_while_a_mailbox_downstream_is_full(bench):
    bench.store.put("next", letters(*"12345"))
    ref = bench.run("a", into=("next",))
    gevent.sleep(0.03)
    assert not holder(ref).batches
    waiting = bench.store.take("next", "x", count=9, max_bytes=1 << 20, block=0)
    bench.store.settle([Settlement(delivery) for delivery in waiting])
    bench.drained()


def test_nothing_is_taken_while_paused(bench):
    bench.control.paused = True
    ref = bench.run("a")
    until(lambda: ref.describe().state == "paused")
    gevent.sleep(0.03)
    assert not holder(ref).batches
    bench.control.paused = False
    bench.drained()
    until(lambda: ref.describe().state == "running")


def test_what_comes_while_it_waits_at_the_mailbox_and_was_paused_meanwhile_goes_back(bench, monkeypatch):
    take = bench.store.take

    def paused_meanwhile(*args, **options):
        bench.control.paused = True
        return take(*args, **options)

    monkeypatch.setattr(bench.store, "take", paused_meanwhile)
    ref = bench.run("a")
    until(lambda: ref.describe().state == "paused")
    until(lambda: bench.store.depths("work")["normal"].in_hand == 0)
    assert (in_mailbox(bench.store), holder(ref).batches) == (1, [])
    monkeypatch.undo()
    bench.control.paused = False
    bench.drained()


def test_a_batch_is_told_of_once(bench):
    batches = []
    bench.bus.subscribe(lambda _name, fields: batches.append(fields), BATCH_SETTLED)
    bench.run("a", "b", acts={"b": lambda outcome, it: outcome.bury(it, "gone", "404")})
    until(lambda: batches)
    counted = {name: batches[0][name] for name in ("messages", "done", "buried", "retried", "foreign")}
    assert counted == {"messages": 2, "done": 1, "buried": 1, "retried": 0, "foreign": 0}
    assert batches[0]["handle_s"] > 0


def test_failures_are_told_of_by_reason(bench):
    heard = []
    bench.bus.subscribe(
        lambda name, fields: heard.append((name, fields["reason"], fields["count"])), MESSAGE_RETRIED, MESSAGE_BURIED
    )
    bench.store.put("work", [*letters(*"abc"), Envelope("main", "d", attempts=3)])
    bench.start({key: lambda outcome, it: outcome.retry(it, "fetch_failed", "500") for key in "abd"})
    until(lambda: len(heard) == 2)
    assert sorted(heard) == [(MESSAGE_BURIED, "fetch_failed", 1), (MESSAGE_RETRIED, "fetch_failed", 2)]


# -- a message's trouble


def test_only_the_message_that_raises_alone_is_charged(bench):
    ref = bench.run(*"abc", acts={"b": raising(ValueError("b is bad"))})
    bench.drained()
    assert told(bench.store) == {"done a": 1, "done c": 1, "retry b": 1}
    assert holder(ref).batches == [["a", "b", "c"], ["a"], ["b"], ["c"]]
    row = bench.ledger.rows["b"]
    assert (row.reason, row.error, row.spend) == ("handler_error", "ValueError: b is bad", True)
    assert 0.5 <= row.next_at - row.at <= 1.0
    assert row.processor == "n/p/worker"


@pytest.mark.parametrize("error", [gevent.Timeout(1), gevent.GreenletExit(), SystemExit(), RecursionError()], ids=repr)
def test_whatever_a_message_brings_about_is_charged_to_it_and_the_actor_lives(bench, error):
    ref = bench.run("a", "b", acts={"b": raising(error)})
    bench.drained()
    assert told(bench.store) == {"done a": 1, "retry b": 1}
    assert ref.describe().state == "running"


def test_a_message_trouble_keeps_its_own_reason(bench):
    bench.run("a", acts={"a": raising(MessageTrouble("no body", reason="fetch_failed"))})
    bench.drained()
    assert bench.ledger.rows["a"].reason == "fetch_failed"


def test_a_permanent_trouble_is_buried_at_once(bench):
    bench.run("a", acts={"a": raising(Permanent("no email", reason="invalid_email"))})
    bench.drained()
    [letter] = buried(bench.store)
    body = msgspec.msgpack.decode(letter.envelope.body, type=DeadLetterBody)
    assert (body.reason, body.attempts, body.content) == (
        "invalid_email",
        1,
        b"body a",
    )
    assert (body.mailbox, body.processor) == ("work", "n/p/worker")
    assert not bench.ledger.rows


def test_after_the_last_retry_it_is_buried(bench):
    bench.store.put("work", [Envelope("main", "a", attempts=3), Envelope("main", "b", attempts=2)])
    bench.start({key: raising(ValueError("bad")) for key in "ab"})
    bench.drained()
    [letter] = buried(bench.store)
    assert letter.envelope.key == "a"
    assert msgspec.msgpack.decode(letter.envelope.body, type=DeadLetterBody).attempts == 4
    assert set(bench.ledger.rows) == {"b"}


def test_a_retry_that_is_nobodys_fault_spends_nothing_and_is_never_buried(bench):
    bench.store.put("work", [Envelope("main", "a", attempts=3)])
    bench.start({"a": lambda outcome, it: outcome.retry(it, "gone", "404", delay=7.0, spend=False, missing=True)})
    bench.drained()
    row = bench.ledger.rows["a"]
    assert (row.spend, row.missing, row.next_at - row.at) == (False, True, pytest.approx(7.0))
    assert not told(bench.store)


def test_a_forgotten_message_is_charged_as_a_failed_try(bench):
    bench.run("a", "b", acts={"b": lambda _outcome, _it: None})
    bench.drained()
    assert told(bench.store) == {"done a": 1, "retry b": 1}


def test_a_message_with_two_dispositions_is_a_failed_try(bench):
    bench.run("a", "b", acts={"b": done_twice})
    bench.drained()
    assert told(bench.store) == {"done a": 1, "retry b": 1}


def test_a_handler_without_an_outcome_is_a_failed_try(bench):
    class Careless(Script):
        def handle(self, batch):
            super().handle(batch)

    bench.run("a", cls=Careless)
    bench.drained()
    assert "not an Outcome" in bench.ledger.rows["a"].error


def test_a_handler_beyond_its_deadline_is_charged_with_the_time_outs_reason(bench):
    class Slow(Script):
        timeout_reason = "classifier_timeout"

    acts = {"b": once(Event())}
    bench.run("a", "b", acts=acts, cls=Slow, deadline=0.03)
    bench.drained()
    assert bench.ledger.rows["b"].reason == "classifier_timeout"
    assert told(bench.store) == {"done a": 1, "retry b": 1}


def test_a_handler_that_gets_on_may_take_longer_than_its_deadline(bench):
    class Steady(Script):
        def handle(self, batch):
            for _ in batch:
                gevent.sleep(0.02)
                self.breathe()
            return super().handle(batch)

    bench.run(*"abcdef", cls=Steady, deadline=0.06)
    bench.drained()
    assert not bench.ledger.rows


def test_a_step_does_not_pay_for_the_time_of_the_one_before(bench, monkeypatch):
    busy: list[float] = []
    postpone = bench.ledger.postpone

    def slow(retries):
        busy.append(ref.card.busy_for())
        gevent.sleep(0.05)
        return postpone(retries)

    def late(_outcome, _delivery):
        gevent.sleep(0.05)
        raise ValueError("bad")

    settle = bench.store.settle

    def settled(settlements):
        busy.append(ref.card.busy_for())
        return settle(settlements)

    monkeypatch.setattr(bench.ledger, "postpone", slow)
    monkeypatch.setattr(bench.store, "settle", settled)
    ref = bench.run("a", acts={"a": late})
    bench.drained()
    assert len(busy) == 2
    assert max(busy) < 0.05


def test_a_batch_that_is_taken_apart_has_its_deadline_for_each_message(bench):
    busy = []

    class OneByOne(Script):
        def handle(self, batch):
            if len(batch) > 1:
                raise ValueError("apart")
            busy.append(self.card.busy_for())
            gevent.sleep(0.02)
            return super().handle(batch)

    bench.run(*"abcdef", cls=OneByOne)
    bench.drained()
    assert len(busy) == 6
    assert max(busy) < 0.02


def test_urgent_messages_among_others_make_the_next_batches_smaller(bench):
    sizes = []

    class Sized(Script):
        def handle(self, batch):
            sizes.append(len(batch))
            return super().handle(batch)

    bench.store.put("work", [*letters(*"abcdefghijklmnop", lane="low"), *letters("urgent", lane="high")])
    bench.start(cls=Sized, count=8)
    bench.drained()
    assert sizes == [8, 2, 2, 2, 2, 1]


def test_one_actor_of_a_process_computes_at_a_time_and_waiting_for_ones_turn_is_no_fault(bench):
    inside, met = [], []

    class Thinker(Script):
        def handle(self, batch):
            with self.thinking():
                inside.append(self.name)
                for _ in range(4):
                    gevent.sleep(0.03)
                    self.breathe()
                    met.append(tuple(inside))
                inside.remove(self.name)
            return super().handle(batch)

    context = bench.context()
    bench.store.put("work", letters(*"abcdef"))
    for name in ("one", "two", "three"):
        bench.start(context=context, cls=Thinker, name=name, count=1, deadline=0.2)
    bench.drained()
    assert set(met) == {("one",), ("two",), ("three",)}
    assert told(bench.store) == {f"done {key}": 1 for key in "abcdef"}
    assert not bench.ledger.rows


def test_who_waited_for_its_turn_to_compute_has_its_whole_deadline_from_then_on(bench):
    class Thinker(Script):
        def handle(self, batch):
            with self.thinking():
                gevent.sleep(0.8)
            return super().handle(batch)

    context = bench.context()
    context.thinking.acquire()
    gevent.spawn_later(0.9, context.thinking.release)
    bench.run("a", context=context, cls=Thinker, deadline=1.0)
    bench.drained()
    assert told(bench.store) == {"done a": 1}


def test_who_fails_while_computing_leaves_the_turn_to_the_next(bench):
    class Thinker(Script):
        def handle(self, batch):
            with self.thinking():
                return super().handle(batch)

    bench.run("a", "b", acts={"a": raising(ValueError("no"))}, cls=Thinker, count=1)
    bench.drained()
    assert told(bench.store) == {"retry a": 1, "done b": 1}


def test_an_error_that_no_database_would_take_is_made_fit(bench):
    bench.run("a", acts={"a": raising(Permanent("\ud800\0" + "x" * 9_000, reason="invalid_email"))})
    bench.drained()
    body = msgspec.msgpack.decode(buried(bench.store)[0].envelope.body, type=DeadLetterBody)
    assert "\0" not in body.error
    assert len(body.error) <= 2_000


def test_a_retry_event_that_cannot_be_made_does_not_keep_the_message(bench, monkeypatch):
    monkeypatch.setattr(bench.ledger, "retry_event", raising(ValueError("no words")))
    ref = bench.run("a", acts={"a": raising(ValueError("bad"))})
    bench.drained()
    assert "a" in bench.ledger.rows
    assert ref.describe().failures == 0


def test_the_dead_letter_writers_own_trouble_makes_no_dead_letter_of_a_dead_letter(bench, monkeypatch):
    monkeypatch.setattr(Script, "pause", lambda _self, _seconds: gevent.sleep(0.01))
    body = DeadLetterBody("gone", "404", 1, 1.0, "n/p/w", content=b"large")
    bench.store.put(DEAD, [Envelope("main", "a", body=msgspec.msgpack.encode(body))])
    seen = []

    def refuse_what_is_large(outcome, delivery):
        seen.append(msgspec.msgpack.decode(delivery.envelope.body, type=DeadLetterBody))
        if seen[-1].content:
            raise ValueError("no room")
        outcome.done(delivery, b"done a")

    bench.start({"a": refuse_what_is_large}, mailbox=DEAD)
    until(lambda: in_mailbox(bench.store, DEAD) == 0)
    assert seen[-1] == msgspec.structs.replace(body, content=b"")
    assert told(bench.store) == {"done a": 1}
    assert not bench.ledger.rows


# -- a dependency's trouble


def test_a_dependencys_trouble_spends_nothing_and_the_same_batch_comes_again(bench):
    told_of = []
    bench.bus.subscribe(lambda name, _fields: told_of.append(name), DEPENDENCY_LOST, DEPENDENCY_BACK)
    ref = bench.run(*"abc", acts={"b": first_raising(DOWN, times=3)})
    bench.drained()
    assert holder(ref).batches == [["a", "b", "c"]] * 4
    assert not bench.ledger.rows
    assert told(bench.store) == {"done a": 1, "done b": 1, "done c": 1}
    until(lambda: told_of == [DEPENDENCY_LOST, DEPENDENCY_BACK])


def test_while_it_waits_it_says_for_what_answers_and_takes_nothing(bench):
    away = Event()
    acts = {"a": lambda outcome, it: done(outcome, it) if away.is_set() else raising(DOWN)(outcome, it)}
    ref = bench.run("a", acts=acts, count=1)
    until(lambda: ref.describe().state == "waiting")
    assert ref.describe().reason == "database: down"
    bench.store.put("work", letters("b", "c", "d"))
    assert ref.proxy().name.get(timeout=1) == "worker"
    gevent.sleep(0.03)
    assert bench.store.depths("work")["normal"].in_hand <= 2
    away.set()
    bench.drained()
    assert list(holder(ref).seen) == ["a", "b", "c", "d"]
    until(lambda: ref.describe().state == "running")


def test_a_dependency_that_asked_for_time_gets_it(bench):
    trouble = DependencyTrouble("slow down", dependency="fakemail", retry_after=0.2)
    ref = bench.run("a", acts={"a": first_raising(trouble)})
    until(lambda: ref.describe().state == "waiting")
    gevent.sleep(0.1)
    assert len(holder(ref).batches) == 1
    bench.drained()


def test_trouble_with_one_message_keeps_that_one_and_settles_the_rest(bench):
    left = [DOWN, DOWN]
    acts = {"b": lambda outcome, it: outcome.again(it, left.pop()) if left else done(outcome, it)}
    ref = bench.run(*"abc", acts=acts)
    bench.drained()
    assert holder(ref).batches == [["a", "b", "c"], ["b"], ["b"]]
    assert told(bench.store) == {"done a": 1, "done b": 1, "done c": 1}


def test_trouble_with_every_message_is_one_outage_with_growing_pauses(bench, monkeypatch):
    left, troubles, told_of = [DOWN] * 4, [], []

    def backoff(number, **_limits):
        troubles.append(number)
        return 0.01

    monkeypatch.setattr(engine.pump, "backoff", backoff)  # test_supervision.py tests that its pauses grow
    bench.bus.subscribe(lambda name, _fields: told_of.append(name), DEPENDENCY_LOST, DEPENDENCY_BACK)

    def act(outcome, delivery):
        outcome.again(delivery, left.pop()) if left else done(outcome, delivery)

    bench.run("a", acts={"a": act})
    bench.drained()
    assert told_of == [DEPENDENCY_LOST, DEPENDENCY_BACK]
    assert troubles == [1, 2, 3, 4]


def all_raising(error, switch=None):
    """Return an action that raises for every message until the switch is set."""

    def act(outcome, delivery):
        raising(error)(outcome, delivery) if switch is None or not switch.is_set() else done(outcome, delivery)

    return dict.fromkeys("abcdefgh", act)


@pytest.fixture
def lasting(monkeypatch):
    """Make trouble count as lasting soon."""
    monkeypatch.setattr(engine.pump, "GIVE_BACK_S", 0.02)


@pytest.mark.parametrize("again", [False, True], ids=["raised", "again"])
def test_what_one_node_cannot_do_for_long_another_node_does(bench, lasting, again):
    acts = all_raising(DOWN)
    if again:
        acts = dict.fromkeys(acts, lambda outcome, it: outcome.again(it, DOWN))
    broken = bench.run(*"abcdefg", acts=acts, context=bench.context(process="broken/p"), count=3)
    until(lambda: broken.describe().state == "waiting")
    bench.start()
    bench.drained()
    bench.store.put("work", letters("h"))
    bench.drained()
    assert told(bench.store) == {f"done {key}": 1 for key in "abcdefgh"}
    assert not bench.ledger.rows
    assert broken.describe().failures == 0


def test_on_a_node_alone_what_is_in_hand_stays_there_however_long_the_trouble(bench, lasting, monkeypatch):
    monkeypatch.setattr(bench.store, "release", lambda *_, **__: pytest.fail("given back"))
    up = Event()
    ref = bench.run(*"abcd", acts=all_raising(DOWN, up), count=2)
    bench.store.take("work", "n/other/worker", count=0, max_bytes=0, block=0)
    until(lambda: len(holder(ref).batches) > 10)
    up.set()
    bench.drained()
    assert told(bench.store) == {f"done {key}": 1 for key in "abcd"}
    monkeypatch.undo()


def test_what_was_given_back_is_tried_one_at_a_time_until_one_gets_on(bench, lasting, caplog):
    caplog.set_level("INFO", logger="engine")
    bench.store.take("work", "other/p/worker", count=1, max_bytes=1 << 20, block=0)
    up = Event()
    ref = bench.run(*"abcdef", acts=all_raising(DOWN, up), count=3)
    until(lambda: len(holder(ref).batches) > 10 and len(holder(ref).batches[-1]) == 1)
    assert {len(batch) for batch in holder(ref).batches[-3:]} == {1}
    assert bench.released["n/p/worker"] > 3, "each is counted"
    before = len(holder(ref).batches)
    up.set()
    bench.drained()
    sizes = [len(batch) for batch in holder(ref).batches[before:]]
    assert max(sizes) == 3, "and then as many as ever"
    assert told(bench.store) == {f"done {key}": 1 for key in "abcdef"}
    until(lambda: ref.describe().state == "running")
    assert len([line for line in caplog.messages if "back to mailbox" in line]) == 1
    assert len([line for line in caplog.messages if "waits for" in line]) == 1


def test_trouble_with_a_quarantined_message_does_not_make_later_trouble_a_lasting_one(bench):
    entries = []

    def act(outcome, it):
        entries.append((it.envelope.key, it.entry))
        done(outcome, it) if up.is_set() else raising(DOWN)(outcome, it)

    up = Event()
    bench.store.take("work", "other/p/worker", count=0, max_bytes=0, block=0)
    bench.store.put("work", letters("a"))
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)
    bench.store.release("work", "n/p/worker", crashed=True)
    bench.start(dict.fromkeys("ab", act))
    until(lambda: entries and bench.store.depths("work")[QUARANTINE].in_hand == 0)
    bench.store.put("work", letters("b"))
    until(lambda: [key for key, _ in entries].count("b") > 3)
    assert len({entry for key, entry in entries if key == "b"}) == 1, "it stays in hand"
    up.set()
    bench.drained()
    assert told(bench.store) == {"done a": 1, "done b": 1}


def test_what_stays_in_hand_is_not_reread_while_the_mailboxs_readers_are_asked_for(bench, lasting):
    def asked(name):
        if name == "consumers":
            gevent.sleep(0.01)
        return ""

    up = Event()
    acts = dict.fromkeys("ab", lambda outcome, it: done(outcome, it) if up.is_set() else outcome.again(it, DOWN))
    ref = bench.run("a", "b", acts=acts, context=bench.context(store=Faults(bench.store, asked)))
    until(lambda: len(holder(ref).batches) > 10)
    up.set()
    before = len(holder(ref).batches)
    bench.drained()
    gevent.sleep(0.05)
    assert holder(ref).batches[before:] == [["a", "b"]], "handled once, not once for each copy"


def test_that_a_canary_gets_on_does_not_end_a_trouble(bench, lasting):
    told_of = []
    bench.bus.subscribe(lambda name, _fields: told_of.append(name), DEPENDENCY_LOST, DEPENDENCY_BACK)
    bench.store.take("work", "other/p/worker", count=1, max_bytes=1 << 20, block=0)
    ref = bench.run("a", acts=all_raising(DOWN))
    until(lambda: len(holder(ref).batches) > 10)
    bench.store.put("work", [canary("c", ("home",))])
    until(lambda: in_mailbox(bench.store, "home") == 1)
    seen = len(holder(ref).batches)
    until(lambda: len(holder(ref).batches) > seen + 1)
    assert told_of == [DEPENDENCY_LOST]


def test_one_by_one_goes_on_where_a_dependencys_trouble_met_it(bench):
    acts = {"a": first_raising(ValueError("in company")), "b": first_raising(DOWN)}
    ref = bench.run("a", "b", acts=acts)
    bench.drained()
    assert holder(ref).batches == [["a", "b"], ["a"], ["b"], ["b"]]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_ledger_in_trouble_is_asked_again_for_the_same(bench, when):
    fates = [when]
    ledger = Faults(bench.ledger, lambda name: fates.pop() if name == "postpone" and fates else "")
    bench.run("a", "b", acts={"a": raising(ValueError("bad"))}, context=bench.context(ledger=ledger))
    bench.drained()
    assert told(bench.store) == {"retry a": 1, "done b": 1}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["take", "settle", "pending"])
def test_a_lost_call_of_the_store_loses_nothing_and_doubles_nothing(bench, step, when):
    fates = [when]
    store = Faults(bench.store, lambda name: fates.pop() if name == step and fates else "")
    bench.store.put("work", letters("a", "b"))
    bench.start(context=bench.context(store=store))
    bench.drained()
    assert not fates
    assert told(bench.store) == {"done a": 1, "done b": 1}


def test_an_entry_whose_answer_was_lost_unnoticed_is_found_by_rereading(bench, monkeypatch):
    monkeypatch.setattr(engine.pump, "REREAD_S", 0.02)
    bench.run("a")
    bench.drained()
    bench.store.put("work", letters("b"))
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)
    bench.drained()
    assert told(bench.store)["done b"] == 1


def test_what_a_call_of_before_an_outage_takes_late_is_found_soon_after_the_outage(bench):
    lost = ["before"]
    store = Faults(bench.store, lambda name: lost.pop() if name == "take" and lost else "")
    ref = bench.run(context=bench.context(store=store))
    until(lambda: not lost and holder(ref).pump._reread_at > 0, "a reading again after the outage")
    bench.store.put("work", letters("a"))
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)
    began = time.monotonic()
    bench.drained()
    assert told(bench.store) == {"done a": 1}
    assert time.monotonic() - began < 5


def test_a_message_that_somebody_else_settled_is_counted_as_theirs_and_its_event_is_not_told_twice(bench):
    go_on, batches = Event(), []
    bench.bus.subscribe(lambda _name, fields: batches.append((fields["foreign"], fields["done"])), BATCH_SETTLED)
    ref = bench.run("a", acts={"a": once(go_on)})
    until(lambda: holder(ref).batches)
    bench.store.release("work", "n/p/worker", crashed=False)
    [other] = bench.store.take("work", "n/q/worker", count=1, max_bytes=1 << 20, block=0)
    bench.store.settle([Settlement(other, None, (b"done a",))])
    go_on.set()
    until(lambda: batches)
    assert batches == [(1, 0)]
    assert told(bench.store) == {"done a": 1}


# -- stopping


def test_a_stop_finishes_what_is_in_hand_and_takes_nothing_more(bench):
    go_on = Event()
    ref = bench.run(*"abcdef", acts={"a": once(go_on)}, count=2)
    actor = holder(ref)
    until(lambda: actor.batches and bench.store.depths("work")["normal"].in_hand == 4)
    stopping = ref.stop(block=False)
    go_on.set()
    assert stopping.get(timeout=2)
    assert sorted(actor.seen) == ["a", "b", "c", "d"]
    assert bench.store.depths("work")["normal"].in_hand == 0
    assert in_mailbox(bench.store) == 2


def test_a_stop_in_trouble_leaves_what_is_in_hand_in_the_mailbox(bench):
    ref = bench.run("a", "b", acts={"a": raising(DOWN)})
    until(lambda: ref.describe().state == "waiting")
    ref.stop(timeout=2)
    depth = bench.store.depths("work")["normal"]
    assert (depth.messages, depth.in_hand) == (2, 0)
    assert not bench.ledger.rows


def test_a_stop_waits_for_what_is_in_hand_no_longer_than_its_deadline(bench, monkeypatch):
    monkeypatch.setattr(engine.mailbox_actor, "STOP_S", 0.0)
    go_on = Event()
    ref = bench.run("a", "b", acts={"a": once(go_on)}, count=1)
    actor = holder(ref)
    until(lambda: bench.store.depths("work")["normal"].in_hand == 2)
    stopping = ref.stop(block=False)
    actor._stop_at = 0.0
    go_on.set()
    stopping.get(timeout=2)
    assert list(actor.seen) == ["a"]
    assert bench.store.depths("work")["normal"].in_hand == 0


# -- after a death


def test_a_restarted_process_finishes_what_it_held(bench):
    bench.store.put("work", letters("a", "b"))
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)
    ref = bench.start()
    bench.drained()
    assert holder(ref).batches[0] == ["a"]
    assert told(bench.store) == {"done a": 1, "done b": 1}


def test_what_a_crashed_process_held_is_quarantined_and_handled_alone(bench):
    bench.store.put("work", letters("a", "b", "c"))
    bench.store.take("work", "n/p/worker", count=2, max_bytes=1 << 20, block=0)
    ref = bench.start(context=bench.context(after_crash=True))
    bench.drained()
    assert sorted(batch for batch in holder(ref).batches if batch != ["c"]) == [["a"], ["b"]]
    assert told(bench.store) == {"done a": 1, "done b": 1, "done c": 1}


def test_after_a_crash_each_mailbox_is_quarantined_once_and_not_again_for_later_actors(bench):
    bench.store.put("work", letters("a"))
    context = bench.context(after_crash=True)
    first = bench.start(context=context, acts={"a": raising(DOWN)})
    until(lambda: first.describe().state == "waiting")
    bench.start(context=context, name="second")
    gevent.sleep(0.03)
    assert bench.store.depths("work")[QUARANTINE].messages == 0


def test_a_message_with_which_two_processes_died_alone_is_buried_unhandled(bench):
    bench.store.put("work", letters("a"))
    for _ in range(3):
        until(lambda: bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0))
        bench.store.release("work", "n/p/worker", crashed=True)
    ref = bench.start()
    bench.drained()
    assert not holder(ref).batches
    body = msgspec.msgpack.decode(buried(bench.store)[0].envelope.body, type=DeadLetterBody)
    assert (body.reason, body.attempts) == ("crashed_process", 3)


def test_two_deaths_one_of_them_in_company_do_not_bury_it(bench):
    bench.store.put("work", letters("a"))
    for _ in range(2):
        until(lambda: bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0))
        bench.store.release("work", "n/p/worker", crashed=True)
    bench.start()
    bench.drained()
    assert told(bench.store) == {"done a": 1}


def test_a_quarantined_message_goes_back_while_its_dependency_is_away(bench):
    bench.store.put("work", letters("a"))
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)
    bench.store.release("work", "n/p/worker", crashed=True)
    ref = bench.start({"a": first_raising(DOWN, times=2)})
    until(lambda: holder(ref).batches)
    until(lambda: bench.store.depths("work")[QUARANTINE].in_hand == 0)
    bench.drained()
    assert told(bench.store) == {"done a": 1}


def test_a_quarantined_message_that_shall_be_tried_again_goes_back_as_well(bench):
    bench.store.put("work", letters("a"))
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)
    bench.store.release("work", "n/p/worker", crashed=True)
    left = [DOWN, DOWN]
    ref = bench.start({"a": lambda outcome, it: outcome.again(it, left.pop()) if left else done(outcome, it)})
    until(lambda: not left)
    bench.drained()
    assert told(bench.store) == {"done a": 1}
    assert ref.describe().state == "running"
    assert ref.describe().failures == 0


def test_a_quarantined_message_in_a_predecessors_hand_is_not_blamed_for_a_kill_of_everything(bench):
    bench.store.put("work", letters("a"))
    for crashed in (True, None):
        until(lambda: bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0))
        if crashed:
            bench.store.release("work", "n/p/worker", crashed=True)
    ref = bench.start()
    bench.drained()
    assert told(bench.store) == {"done a": 1}
    assert holder(ref).batches == [["a"]]
    assert bench.released == {"n/p/worker": 1}


def test_what_no_living_actor_of_this_process_owns_is_swept_up(bench, monkeypatch):
    monkeypatch.setattr(engine.mailbox_actor, "SWEEP_S", 0.02)
    bench.store.put("work", letters("a", "b"))
    bench.store.take("work", "n/p/left", count=1, max_bytes=1 << 20, block=0)
    bench.store.take("work", "other/process/worker", count=1, max_bytes=1 << 20, block=0)
    bench.start()
    until(lambda: told(bench.store) == {"done a": 1})
    assert in_mailbox(bench.store) == 1


def test_at_the_start_nothing_is_swept_up_that_a_later_actor_of_the_pool_will_finish(bench):
    bench.store.put("work", letters("a"))
    bench.store.take("work", "n/p/second", count=1, max_bytes=1 << 20, block=0)
    context = bench.context()
    bench.start(context=context, name="first")
    gevent.sleep(0.05)
    assert bench.store.consumers("work")["n/p/second"] == 1
    second = bench.start(context=context, name="second")
    bench.drained()
    assert holder(second).batches == [["a"]]


def test_who_may_not_take_leaves_what_it_holds_to_others(bench, monkeypatch):
    class Follower(Script):
        def may_take(self):
            return False

    bench.store.put("work", letters("a"))
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)
    monkeypatch.setattr(engine.pump, "REREAD_SOON_S", 0.02)
    ref = bench.start(cls=Follower)
    until(lambda: bench.store.depths("work")["normal"].in_hand == 0)
    assert in_mailbox(bench.store) == 1
    until(lambda: holder(ref).pump._reread_at > 0)
    bench.store.take("work", "n/p/worker", count=1, max_bytes=1 << 20, block=0)  # by a call that was given up before
    until(lambda: bench.store.depths("work")["normal"].in_hand == 0)
    assert bench.released == {"n/p/worker": 2}


def test_a_pump_that_fails_takes_its_actor_along(bench):
    def broken(name):
        if name == "take":
            raise ZeroDivisionError
        return ""

    ref = bench.start(context=bench.context(store=Faults(bench.store, broken)))
    until(lambda: ref.card.ended)
    assert "ZeroDivisionError" in ref.describe().last_error
