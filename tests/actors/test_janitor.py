"""The janitor recovers due retries, what dead processes held, and emails that are in no mailbox any more."""

import time

import pytest
from gevent.event import Event

import actors.janitor
from actors.bodies import CLASSIFY, FETCH, canary_mailbox
from actors.failure_detector import FailureDetector
from actors.feeder import Feeder
from actors.janitor import DUE_BATCH, INDEX_BATCH, Janitor
from engine.canary import canary
from engine.events import RELEASED, Bus
from engine.mailbox import Envelope, Room
from storage.counters import Moves
from storage.launcher_sign import LauncherSign
from storage.records import Attempt, Look
from storage.search import Search
from storage.statements import execute
from tests.actors.conftest import Watched, eventually


@pytest.fixture
def janitor(started, mailboxes, books, database):
    def begin(suspect_age=60.0, restart=60.0, node_lost=20.0, node_ended=0.5, search=None, bus=None):
        bell = Event()
        started(Feeder, name="feeder", bus=Bus(), store=mailboxes, books=books, room=Room(100), bell=bell, tick=60.0)
        return started(
            Janitor,
            name="janitor",
            bus=bus or Bus(),
            store=mailboxes,
            books=books,
            search=search or Search(database),
            bell=bell,
            suspect_age=suspect_age,
            detector=FailureDetector(mailboxes, restart=restart, node_lost=node_lost, node_ended=node_ended),
        )

    return begin


def enter(books, *ids):
    return books.enter(books.source("main"), ids, Look("poll", time.time()), lane="normal")


def depth(mailboxes, mailbox=FETCH):
    return sum(lane.messages for lane in mailboxes.depths(mailbox).values())


def looks(mailboxes):
    """Record the mailboxes whose consumers are queried from now on."""
    looked, consumers = [], mailboxes.consumers

    def look(mailbox):
        looked.append(mailbox)
        return consumers(mailbox)

    mailboxes.consumers = look
    return looked


def test_a_due_retry_is_fed_again(janitor, books, mailboxes):
    ((ref, key),) = enter(books, "a")
    now = time.time()
    books.postpone([Attempt("main", key, ref, 0, 0, "classifier_error", "e", now, now + 0.1, "p")])
    janitor()
    eventually(lambda: depth(mailboxes) == 1)
    (taken,) = mailboxes.take(FETCH, "node/test/x", count=1, max_bytes=10**6, block=0)
    assert taken.envelope.attempts == 1


class Backlog(Search):
    """A search index with `slices` full slices left to index (None: endless)."""

    def __init__(self, slices=None):
        self.slices = slices

    def index(self, limit=INDEX_BATCH):
        if self.slices is None:
            return limit
        self.slices = max(0, self.slices - 1)
        return limit if self.slices else 0


def test_a_backlog_of_the_full_text_holds_up_no_other_duty(janitor, books, mailboxes):
    ((ref, key),) = enter(books, "a")
    now = time.time()
    books.postpone([Attempt("main", key, ref, 0, 0, "classifier_error", "e", now, now + 0.3, "p")])
    janitor(search=Backlog())
    eventually(lambda: depth(mailboxes) == 1)


def test_while_there_is_more_to_index_one_turn_follows_the_other_at_once(janitor, monkeypatch):
    monkeypatch.setattr(actors.janitor, "BACKLOG_S", 0.0)
    backlog = Backlog(200)
    janitor(search=backlog)
    eventually(lambda: not backlog.slices)  # with a pause after each turn it would take 100 s


def test_what_a_process_held_that_is_gone_is_given_back_and_nobody_is_blamed(janitor, mailboxes):
    mailboxes.put(CLASSIFY, [Envelope("main", "a", ref=1), Envelope("main", "b", ref=2)])
    mailboxes.beat("node/alive", {}, ttl=60)
    (held,) = mailboxes.take(CLASSIFY, "node/alive/c", count=1, max_bytes=10**6, block=0)
    (lost,) = mailboxes.take(CLASSIFY, "node/gone/c", count=1, max_bytes=10**6, block=0)
    bus, released = Bus(), []
    bus.subscribe(lambda _, fields: released.append(fields), RELEASED)
    janitor(restart=0.1, bus=bus)
    eventually(lambda: "node/gone/c" not in mailboxes.consumers(CLASSIFY))
    assert released == [{"mailbox": CLASSIFY, "consumer": "node/gone/c", "count": 1}]
    (again,) = mailboxes.take(CLASSIFY, "node/alive/d", count=5, max_bytes=10**6, block=1)
    assert (again.envelope.key, again.deaths, again.lane) == (lost.envelope.key, 0, "normal")
    assert mailboxes.settle([]) == []
    assert mailboxes.consumers(CLASSIFY)["node/alive/c"] == 1, held


@pytest.mark.parametrize("heard_of", ["node/front", "other/front"], ids=["its node lives", "its node is silent"])
def test_what_a_silent_process_held_waits_for_its_launcher_which_may_have_to_blame_it(janitor, mailboxes, heard_of):
    mailboxes.put(CLASSIFY, [Envelope("main", "a", ref=1)])
    mailboxes.beat(heard_of, {}, ttl=60)
    mailboxes.take(CLASSIFY, "node/hung/c", count=1, max_bytes=10**6, block=0)
    looked = looks(mailboxes)
    janitor()
    eventually(lambda: looked.count(CLASSIFY) >= 2)
    assert mailboxes.consumers(CLASSIFY) == {"node/hung/c": 1}
    assert mailboxes.release(CLASSIFY, "node/hung/c", crashed=True) == 1
    (again,) = mailboxes.take(CLASSIFY, "node/hung/c", count=5, max_bytes=10**6, block=1)
    assert (again.lane, again.deaths) == ("quarantine", 1)


def held_by(mailboxes, node):
    """A message in hand of a process on a node that sends no heartbeats."""
    mailboxes.put(CLASSIFY, [Envelope("main", "a", ref=1)])
    mailboxes.beat("other/front", {}, ttl=60)
    mailboxes.take(CLASSIFY, f"{node}/worker-1/c", count=1, max_bytes=10**6, block=0)


def test_what_a_node_held_whose_launcher_ended_too_is_given_back_at_once(janitor, mailboxes, valkey_url):
    held_by(mailboxes, "lost")
    with LauncherSign(valkey_url, "lost", every=0.05):
        eventually(lambda: mailboxes.launchers(["lost"]) == {"lost": True})
    assert mailboxes.launchers(["lost", "older"]) == {"lost": False}
    began = time.monotonic()
    janitor()
    eventually(lambda: mailboxes.consumers(CLASSIFY) == {})
    assert time.monotonic() - began < 15
    (again,) = mailboxes.take(CLASSIFY, "other/front/d", count=5, max_bytes=10**6, block=1)
    assert (again.lane, again.deaths) == ("normal", 0)


def test_as_long_as_the_launcher_lives_what_its_silent_processes_held_is_its_to_blame(janitor, mailboxes, valkey_url):
    held_by(mailboxes, "hung")
    with LauncherSign(valkey_url, "hung", every=0.05):
        eventually(lambda: mailboxes.launchers(["hung"]) == {"hung": True})
        looked = looks(mailboxes)
        janitor(node_lost=0.1, node_ended=0.1)
        eventually(lambda: looked.count(CLASSIFY) >= 3)
        assert mailboxes.consumers(CLASSIFY) == {"hung/worker-1/c": 1}
    eventually(lambda: mailboxes.consumers(CLASSIFY) == {})


@pytest.fixture
def look_for_canaries(mailboxes, books, database):
    """Turns of a janitor; each yields the canaries' mailboxes that exist after it."""
    janitor = Janitor(name="j", bus=Bus(), store=mailboxes, books=books, search=Search(database), bell=Event())

    def turn():
        janitor.forget_canaries()
        return set().union(*mailboxes.mailboxes(canary_mailbox("")))

    return turn


def put_canaries(mailboxes, *nodes):
    """On each of these nodes a canary came home, and was in hand when the node ended."""
    for node in nodes:
        mailboxes.put(canary_mailbox(node), [canary(node, ())])
        mailboxes.take(canary_mailbox(node), f"{node}/front/canary", count=1, max_bytes=10**6, block=0)


def test_the_canarys_mailbox_of_a_node_that_is_gone_is_forgotten(look_for_canaries, mailboxes, redis_client):
    put_canaries(mailboxes, "here", "gone")
    mailboxes.beat("here/front", {}, ttl=60)
    assert look_for_canaries() == {"canary.here", "canary.gone"}, "it may just be late"
    assert look_for_canaries() == {"canary.here"}
    assert redis_client.keys("*canary.gone*") == []


def test_that_of_a_node_that_comes_back_or_whose_launcher_lives_stays(look_for_canaries, mailboxes, valkey_url):
    put_canaries(mailboxes, "late", "starting")
    with LauncherSign(valkey_url, "starting", every=0.05):
        eventually(lambda: mailboxes.launchers(["starting"]) == {"starting": True})
        look_for_canaries()
        mailboxes.beat("late/front", {}, ttl=60)
        assert look_for_canaries() == look_for_canaries() == {"canary.late", "canary.starting"}


def test_looking_for_canaries_among_very_many_keys_of_others_says_that_it_gets_on(
    look_for_canaries, mailboxes, redis_client, monkeypatch
):
    """Regression: tens of millions of foreign keys in Redis exceeded the janitor's deadline, which ended the front."""
    monkeypatch.setattr("storage.redis_mailbox.SCAN_SLICE", 10)
    progress: list[int] = []
    breathe = Janitor.breathe

    def noting(self):
        progress.append(1)
        breathe(self)

    monkeypatch.setattr(Janitor, "breathe", noting)
    redis_client.mset({f"of-others:{number}": "" for number in range(500)})
    put_canaries(mailboxes, "gone")
    look_for_canaries()
    assert len(progress) >= 10
    assert look_for_canaries() == set()


def test_counters_of_processes_that_are_gone_become_one_shard(janitor, mailboxes, database):
    mailboxes.beat("node/alive", {}, ttl=60)
    for shard in ("node/alive", "gone/worker-1", "gone-too/worker-1"):
        moves = Moves()
        moves.add("errors", 2)
        database.write(moves.apply, shard)
    janitor()
    rows = "SELECT shard, value FROM counter ORDER BY shard"
    eventually(lambda: database.read(execute, rows) == [("node/alive", 2), ("past", 4)])


def test_open_rows_that_no_mailbox_holds_are_unaccounted_and_fed_again(janitor, books, mailboxes, redis_client):
    rows = enter(books, "a", "b")
    envelopes = [Envelope("main", key, ref=ref) for ref, key in rows]
    mailboxes.feed(FETCH, envelopes, position="main:normal", expected=0, to=books.newest_seq(1))
    redis_client.delete(f"ep:{{{books.books_id()}}}:mb:{FETCH}:normal")  # the stream is lost, the position remains
    seen = []
    set_unaccounted = books.set_unaccounted

    def note(counts, now):
        set_unaccounted(counts, now)
        seen.append(sum(counts.values()))

    books.set_unaccounted = note
    janitor(suspect_age=0.3)
    eventually(lambda: depth(mailboxes) == 2)
    assert 2 in seen
    eventually(lambda: seen[-1] == 0)
    assert books.audit().unaccounted == 0


def test_counting_what_very_many_messages_hold_says_that_it_gets_on(janitor, books, mailboxes, monkeypatch):
    """With large, distant mailboxes it takes minutes, without being stuck."""
    monkeypatch.setattr(actors.janitor, "HELD_AT_ONCE", 1)
    progress: list[int] = []
    ended: list[int] = []
    read, breathe = mailboxes.refs, Janitor.breathe

    def refs(mailbox):
        for each in read(mailbox):
            before = len(progress)
            yield each
            ended.append(len(progress) - before)

    def noting(self):
        progress.append(1)
        breathe(self)

    mailboxes.refs = refs
    monkeypatch.setattr(Janitor, "breathe", noting)
    rows = enter(books, "a", "b", "c")
    envelopes = [Envelope("main", key, ref=ref) for ref, key in rows]
    mailboxes.feed(FETCH, envelopes, position="main:normal", expected=0, to=books.newest_seq(1))
    janitor(suspect_age=0.2)
    eventually(lambda: len(ended) >= 3)
    assert min(ended) >= 1, "between each two messages"


def test_what_is_in_hand_is_not_unaccounted(janitor, books, mailboxes):
    rows = enter(books, "a")
    mailboxes.beat("node/alive", {}, ttl=60)
    envelopes = [Envelope("main", key, ref=ref) for ref, key in rows]
    mailboxes.feed(FETCH, envelopes, position="main:normal", expected=0, to=books.newest_seq(1))
    mailboxes.take(FETCH, "node/alive/f", count=1, max_bytes=10**6, block=0)
    seen = []

    def note(counts, _now):
        seen.append(sum(counts.values()))

    books.set_unaccounted = note
    janitor(suspect_age=0.2)
    eventually(lambda: len(seen) >= 5)
    assert set(seen) == {0}
    assert depth(mailboxes) == 1


def test_a_database_put_back_under_the_running_system_gets_a_new_name_once(janitor, books, mailboxes):
    enter(books, "a")
    name = books.books_id()
    mailboxes.feed(FETCH, [], position="main:normal", expected=0, to=1_000)  # Redis knows more than these books
    janitor(suspect_age=0.2)
    eventually(lambda: books.books_id() != name)
    renamed = books.books_id()
    assert books.renew_books_id(instead_of=name) == renamed  # another janitor that saw the same name changes nothing


def test_with_many_mailboxes_and_a_slow_store_it_is_not_hung(janitor, books, mailboxes):
    for name in ("one", "two"):
        books.open_source(name, f"http://{name}")
    watched = mailboxes.consumers = Watched(mailboxes.consumers)
    watched.ref = janitor()
    eventually(lambda: len(watched.since) > 16)
    assert watched.is_each_a_step()


def test_with_many_due_retries_and_a_slow_database_it_is_not_hung(janitor, books):
    due = iter([DUE_BATCH] * 5)
    watched = books.due = Watched(lambda _now, _limit: next(due, 0))
    watched.ref = janitor()
    eventually(lambda: len(watched.since) > 5)
    assert watched.is_each_a_step()
