"""Specific to mailboxes on Redis: blocking reads, messages lost in transit or deleted by hand, many owners."""

import random
import time
from collections import Counter
from typing import Any

import gevent
import msgspec
import pytest
from gevent.event import Event
from gevent.socket import AF_UNIX, SHUT_RDWR, SOCK_STREAM, socket

from engine.errors import DependencyTrouble
from engine.mailbox import LANES, QUARANTINE, Delivery, Envelope, Room, Settlement
from storage.launcher_sign import TTL_MS, LauncherSign
from storage.redis_keys import launcher_keys
from storage.redis_mailbox import RedisMailboxes
from tests.servers import wait_until

PLENTY = 1 << 30
ANNA, BERT = "n1/w1/0", "n1/w2/0"
ROOT = "ep:{test}"


@pytest.fixture
def box(redis_client, valkey_url):
    box = RedisMailboxes(valkey_url, namespace="test", rooms={})
    yield box
    box.close()


def letters(count: int, lane: str = "normal") -> list[Envelope]:
    return [Envelope(source="main", key=f"{lane}{number}", lane=lane, ref=number) for number in range(count)]


def take(
    box: RedisMailboxes, consumer: str = ANNA, count: int = 100, block: float = 0.0, **more: Any
) -> list[Delivery]:
    return box.take("fetch", consumer, count=count, max_bytes=PLENTY, block=block, **more)


class Proxy:
    """Forwards bytes to Valkey; once `armed`, it lets the next request through and disconnects before its reply."""

    def __init__(self, target: str, path: str) -> None:
        self.url = f"unix://{path}"
        self.armed = False
        self._target = target.removeprefix("unix://")
        self._listener = socket(AF_UNIX, SOCK_STREAM)
        self._listener.bind(path)
        self._listener.listen()
        self._greenlets: list[gevent.Greenlet[..., None]] = [gevent.spawn(self._accept)]

    def _accept(self) -> None:
        while True:
            client, _ = self._listener.accept()
            self._greenlets.append(gevent.spawn(self._serve, client))

    def _serve(self, client: socket) -> None:
        with client, socket(AF_UNIX, SOCK_STREAM) as server:
            server.connect(self._target)
            forth = gevent.spawn(self._pass_on, client, server)
            try:
                while (data := server.recv(65536)) and not self.armed:
                    client.sendall(data)
                self.armed = False
            finally:
                forth.kill()

    @staticmethod
    def _pass_on(client: socket, server: socket) -> None:
        while data := client.recv(65536):
            server.sendall(data)
        server.shutdown(SHUT_RDWR)

    def close(self) -> None:
        gevent.killall(self._greenlets)
        self._listener.close()


@pytest.fixture
def proxy(redis_client, valkey_url, short_tmp):
    proxy = Proxy(valkey_url, str(short_tmp / f"proxy{time.monotonic_ns()}.sock"))
    yield proxy
    proxy.close()


@pytest.fixture
def far(proxy):
    """A store whose replies can be cut off, with its scripts loaded and its connection open."""
    far = RedisMailboxes(proxy.url, namespace="test", rooms={})
    far.put("warm", letters(1))
    far.settle([Settlement(one) for one in far.take("warm", ANNA, count=1, max_bytes=1, block=0)])
    far.feed("warm", [], position="warm", expected=0, to=1)
    far.release("warm", ANNA, crashed=False)
    yield far
    far.close()


def waiting(
    box: RedisMailboxes, consumer: str = ANNA, *, block: float = 10, **more: Any
) -> "gevent.Greenlet[..., list[Delivery]]":
    """A consumer that is already waiting at the server."""
    greenlet = gevent.spawn(take, box, consumer, block=block, **more)
    wait_until(lambda: blocked(box) == 1, "a blocked reader")
    return greenlet


def blocked(box: RedisMailboxes) -> int:
    """Return how many clients wait at the server in a blocking read."""
    lines = bytes(box._call("CLIENT", "LIST")).decode().splitlines()
    clients = [dict(part.partition("=")[::2] for part in line.split()) for line in lines]
    return sum(one["cmd"] == "xreadgroup" and "b" in one["flags"] for one in clients)


def test_a_waiting_consumer_wakes_at_once_and_takes_what_came_along(box):
    sleeper = waiting(box)
    start = time.monotonic()
    box.put("fetch", letters(50, "low"))
    assert len(sleeper.get(timeout=20)) == 50
    assert time.monotonic() - start < 4


def test_the_limit_of_bytes_is_for_the_first_message_and_what_came_along_together(box):
    sleeper = gevent.spawn(box.take, "fetch", ANNA, count=100, max_bytes=2000, block=60)
    wait_until(lambda: blocked(box) == 1, "a blocked reader")
    box.put("fetch", [Envelope(source="main", key=f"{number}", lane="normal", body=b"x" * 2000) for number in range(5)])
    assert len(sleeper.get(timeout=20)) == 1


def test_of_a_pool_one_waits_and_takes_all_that_came(box, monkeypatch):
    look, looked = box._take_now, set()

    def noted(want, *further):
        found = look(want, *further)
        looked.add(want.consumer)
        return found

    monkeypatch.setattr(box, "_take_now", noted)
    sleepers = [gevent.spawn(take, box, f"n1/w1/{number}", block=60) for number in range(5)]
    wait_until(lambda: len(looked) == 5 and blocked(box) == 1, "one blocked reader, and four behind it")
    box.put("fetch", letters(20))
    (first,) = gevent.joinall(sleepers, count=1, timeout=20)
    assert len(first.get()) == 20
    gevent.killall(sleepers)


def test_when_the_one_that_waits_is_killed_another_takes_its_place(box):
    sleepers = [gevent.spawn(take, box, f"n1/w1/{number}", block=5) for number in range(2)]
    wait_until(lambda: blocked(box) == 1, "one blocked reader")
    sleepers[0].kill()
    box.put("fetch", letters(1))
    assert len(sleepers[1].get(timeout=5)) == 1


@pytest.mark.parametrize("count", [1, 100])
def test_who_waits_at_the_server_while_its_process_gets_a_lone_message_gives_back_what_comes(box, count):
    box.put("fetch", letters(1))
    take(box, BERT)
    sleeper = waiting(box, "n1/w1/1", count=count, block=1)
    box.release("fetch", BERT, crashed=True)
    assert [each.lane for each in take(box, ANNA)] == [QUARANTINE]
    box.put("fetch", letters(1, "high"))
    assert sleeper.get(timeout=20) == []
    assert box.consumers("fetch") == {ANNA: 1, "n1/w1/1": 0, BERT: 0}
    assert [(each.lane, each.deaths) for each in take(box, BERT)] == [("high", 0)]


def test_waiting_ends_in_time(box):
    start = time.monotonic()
    assert take(box, block=0.15) == []
    assert 0.14 < time.monotonic() - start < 5


def test_a_consumer_waits_for_room_downstream(box):
    box.rooms["classify"] = Room(messages=1)
    box.put("fetch", letters(3))
    box.put("classify", letters(1))
    sleeper = gevent.spawn(take, box, block=10, into=["classify"])
    [full] = box.take("classify", BERT, count=1, max_bytes=PLENTY, block=0)
    gevent.sleep(0.02)
    assert not sleeper.ready()
    box.settle([Settlement(full)])
    assert len(sleeper.get(timeout=5)) == 3


@pytest.mark.parametrize("loss", ["FLUSHALL", "DEL", "XGROUP DESTROY", "SCRIPT FLUSH"])
def test_a_consumer_survives_the_loss_of_what_it_reads_from(box, redis_client, loss):
    box.BLOCK_PIECE = 0.1
    sleeper = waiting(box)
    arguments = {
        "DEL": [f"{ROOT}:mb:fetch:{lane}" for lane in LANES],
        "XGROUP DESTROY": [f"{ROOT}:mb:fetch:normal", "g"],
    }
    redis_client.execute_command(loss, *arguments.get(loss, []))
    box.put("fetch", letters(2))
    assert len(sleeper.get(timeout=5)) >= 1
    assert len(box.pending("fetch", ANNA, count=10)) == 2 or len(take(box)) == 1


def test_a_lost_group_hands_out_again_what_was_in_hand_and_one_owner_settles_it(box, redis_client):
    box.put("fetch", letters(3))
    before = take(box, ANNA)
    redis_client.xgroup_destroy(f"{ROOT}:mb:fetch:normal", "g")
    after = take(box, BERT)
    assert [one.entry for one in before] == [one.entry for one in after]
    done = [
        box.settle([Settlement(one, forward=("classify", one.envelope)) for one in held]) for held in (before, after)
    ]
    assert done == [[True] * 3, [False] * 3]
    assert box.depths("classify")["normal"].messages == 3


def test_a_lost_reply_of_take_leaves_the_messages_in_the_consumers_hands(far, proxy):
    far.put("fetch", letters(5))
    proxy.armed = True
    with pytest.raises(DependencyTrouble) as caught:
        take(far)
    assert caught.value.dependency == "redis"
    assert take(far) == []
    assert len(far.pending("fetch", ANNA, count=10)) == 5


def test_a_lost_reply_of_settle_hands_over_once(far, proxy):
    far.put("fetch", letters(5))
    settlements = [Settlement(one, forward=("classify", one.envelope), events=(b"e",)) for one in take(far)]
    proxy.armed = True
    with pytest.raises(DependencyTrouble):
        far.settle(settlements)
    assert far.settle(settlements) == [False] * 5
    assert far.depths("classify")["normal"].messages == 5
    assert len(far.read_log("", count=100).entries) == 5


def test_a_lost_reply_of_feed_feeds_once(far, proxy):
    proxy.armed = True
    with pytest.raises(DependencyTrouble):
        far.feed("fetch", letters(5), position="main:low", expected=0, to=5)
    assert far.feed("fetch", letters(5), position="main:low", expected=0, to=5) is False
    assert far.positions(["main:low"]) == {"main:low": 5}
    assert far.depths("fetch")["normal"].messages == 5


def test_a_lost_reply_of_put_once_puts_once(far, proxy):
    proxy.armed = True
    with pytest.raises(DependencyTrouble):
        far.put("look", letters(1), once="hook")
    assert far.put("look", letters(1), once="hook") is False
    assert far.depths("look")["normal"].messages == 1


def test_a_lost_reply_of_release_is_made_good_by_doing_it_again(far, proxy):
    far.put("fetch", letters(300))
    take(far, count=300)
    proxy.armed = True
    with pytest.raises(DependencyTrouble):
        far.release("fetch", ANNA, crashed=True)
    far.release("fetch", ANNA, crashed=True)
    assert far.depths("fetch")[QUARANTINE].messages == 300
    assert sorted(ref for _, ref, _ in far.refs("fetch")) == list(range(300))


def test_entries_that_are_not_ours_leave_the_mailbox(box, redis_client):
    box.put("fetch", letters(1))
    redis_client.xadd(f"{ROOT}:mb:fetch:normal", {"e": b"\xc1garbage"})
    redis_client.xadd(f"{ROOT}:mb:fetch:normal", {"other": b"thing"})
    box.put("fetch", letters(1, "low"))
    assert len(list(box.refs("fetch"))) == 2
    assert [one.envelope.key for one in take(box)] == ["normal0", "low0"]
    assert box.depths("fetch")["normal"].messages == 1


def test_deleted_entries_in_hand_are_dropped(box, redis_client):
    box.put("fetch", letters(5))
    take(box)
    redis_client.xtrim(f"{ROOT}:mb:fetch:normal", maxlen=2, approximate=False)
    assert len(box.pending("fetch", ANNA, count=2)) == 2
    assert box.consumers("fetch") == {ANNA: 2}
    redis_client.xtrim(f"{ROOT}:mb:fetch:normal", maxlen=0, approximate=False)
    assert box.release("fetch", ANNA, crashed=True) == 0
    assert box.consumers("fetch") == {ANNA: 0}
    assert box.forget("fetch", ANNA) is True


def test_byte_counters_heal_when_a_lane_is_empty(box, redis_client):
    box.put("fetch", letters(5))
    redis_client.hincrby(f"{ROOT}:mb:fetch:bytes", "normal", 10_000)
    box.settle([Settlement(one) for one in take(box)])
    assert redis_client.hget(f"{ROOT}:mb:fetch:bytes", "normal") == b"0"


def test_refs_meet_what_is_given_back_and_what_comes_while_they_are_listed(box):
    box.put("fetch", letters(1200))
    box.put("fetch", letters(1, "low"))
    listing = box.refs("fetch")
    seen = {next(listing)[1] for _ in range(3)}
    take(box, count=900)
    box.release("fetch", ANNA, crashed=True)
    seen |= {ref for _, ref, _ in listing}
    assert seen == set(range(1200))


def test_a_page_of_the_log_comes_at_once(box):
    start = box.read_log(None, count=1).last
    sleeper = gevent.spawn(box.read_log, start, count=10, block=10)
    gevent.sleep(0.02)
    box.tell([b"a", b"b"])
    assert [entry.data for entry in sleeper.get(timeout=5).entries] == [b"a", b"b"]


def test_a_reader_of_the_log_learns_of_another_log_while_it_waits(box, redis_client):
    box.BLOCK_PIECE = 0.1
    box.tell([b"old"])
    place = box.read_log(None, count=1).last
    sleeper = gevent.spawn(box.read_log, place, count=10, block=10)
    gevent.sleep(0.02)
    redis_client.flushall()
    page = sleeper.get(timeout=5)
    assert (page.gap, page.entries) == ("another log", [])
    box.tell([b"new"])
    assert [entry.data for entry in box.read_log(page.last, count=10).entries] == [b"new"]


def test_a_log_that_lost_its_end_is_another_log_to_those_who_saw_more(box, redis_client):
    box.tell([b"a"])
    start = box.read_log("", count=1).last
    backup = {key: redis_client.dump(key) for key in box.keys.log}
    box.tell([b"b"])
    place = box.read_log(start, count=1).last
    for key, data in backup.items():
        redis_client.restore(key, 0, data, replace=True)
    page = box.read_log(place, count=10)
    assert (page.gap, page.entries, page.last) == ("another log", [], start)


def test_half_a_log_is_no_log(box, redis_client):
    box.tell([b"a"])
    place = box.read_log(None, count=1).last
    redis_client.delete(box.keys.log[0])
    assert box.read_log(place, count=10).gap == "another log"


def test_listeners_wake_at_once(box):
    last, _ = box.listen(None, block=0)
    sleeper = gevent.spawn(box.listen, last, block=10)
    gevent.sleep(0.02)
    box.call("control")
    assert sleeper.get(timeout=1)[1] == ["control"]


def test_the_hub_turns_while_a_consumer_waits(box):
    turned = Event()
    sleeper = waiting(box)
    gevent.spawn(turned.set)
    assert turned.wait(1)
    box.put("fetch", letters(1))
    assert sleeper.get(timeout=5)


def test_a_consumer_that_is_killed_while_it_waits_leaves_no_answer_for_the_next(box):
    waiting(box).kill()
    box.put("fetch", letters(1))
    assert box.read_log(None, count=1, block=0.01).entries == []
    assert box.listen(None, block=0.01)[1] == []
    assert [one.envelope.key for one in take(box, block=5) + box.pending("fetch", ANNA, count=5)].count("normal0") >= 1


def test_a_caller_that_is_killed_before_its_answer_leaves_none_for_the_next(box, redis_client):
    box.feed("fetch", [], position="here", expected=0, to=7)
    redis_client.client_pause(100)
    caller = gevent.spawn(box.positions, ["here"])
    gevent.sleep(0.02)
    caller.kill()
    assert box.positions(["elsewhere"]) == {"elsewhere": 0}


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_killed_and_repeated_each_message_is_handed_on_once(box, seed):
    dice = random.Random(seed)
    people = [f"n1/w{number}/{slot}" for number in range(2) for slot in range(2)]
    hands: dict[str, list[Delivery]] = {name: [] for name in people}
    box.turn = 0.005
    box.put("fetch", [one for lane in LANES for one in letters(15, lane)])

    def step(name: str) -> None:
        what = dice.random()
        held = hands[name]
        if what < 0.4:
            held += take(box, name, count=dice.randrange(1, 9))
        elif what < 0.8:
            box.settle(
                [Settlement(one, forward=("done", one.envelope), events=(one.envelope.key.encode(),)) for one in held]
            )
            if dice.random() < 0.8:
                held.clear()
        elif what < 0.9:
            box.release("fetch", name, crashed=dice.random() < 0.5)
            if dice.random() < 0.5:
                held.clear()
        else:
            hands[name] = box.pending("fetch", name, count=dice.randrange(1, 20))

    def drained() -> bool:
        for name in people:
            step(name)
        return not any(depth.messages for depth in box.depths("fetch").values())

    wait_until(drained, "an empty mailbox")
    done = Counter(one.envelope.key for one in box.take("done", ANNA, count=500, max_bytes=PLENTY, block=0))
    told = Counter(entry.data.decode() for entry in box.read_log("", count=500).entries)
    assert done == told == Counter(one.key for lane in LANES for one in letters(15, lane))
    assert all(depth.bytes == 0 for depth in box.depths("fetch").values())


def test_a_server_that_takes_no_writes_does_not_pass_for_well(box, redis_client):
    assert box.ping() > 0
    redis_client.config_set("maxmemory", "1")
    try:
        with pytest.raises(DependencyTrouble, match="maxmemory"):
            box.ping()
    finally:
        redis_client.config_set("maxmemory", "0")


def test_a_full_server_hands_out_what_waits_also_when_some_of_it_is_quarantined(box, redis_client):
    box.put("fetch", letters(3))
    take(box, ANNA)
    box.release("fetch", ANNA, crashed=True)
    box.put("fetch", letters(3, "low"))
    redis_client.config_set("maxmemory", "1")
    try:
        (lone,) = take(box, BERT)
        assert lone.lane == QUARANTINE
        assert box.settle([Settlement(lone)]) == [True]
    finally:
        redis_client.config_set("maxmemory", "0")


def test_a_launcher_is_heard_of_on_a_full_server(box, redis_client, valkey_url):
    redis_client.config_set("maxmemory", "1")
    try:
        with LauncherSign(valkey_url, "full", every=0.02):
            wait_until(lambda: box.launchers(["full"]) == {"full": True}, "its first sign")
            redis_client.pexpire(launcher_keys("full")[0], 60_000)
            wait_until(lambda: redis_client.pttl(launcher_keys("full")[0]) <= TTL_MS, "the next one")
    finally:
        redis_client.config_set("maxmemory", "0")


def test_a_launcher_that_ends_waits_for_no_server_that_hangs(short_tmp):
    path = str(short_tmp / "hangs.sock")
    with socket(AF_UNIX, SOCK_STREAM) as server:
        server.bind(path)
        server.listen()
        sign = LauncherSign(f"unix://{path}", "node", every=0.02)
        with sign:
            asked, _ = server.accept()
            began = time.monotonic()
        assert time.monotonic() - began < 1.5
        asked.close()


FAR_OFF = 600_000  # ms: as if the server's clock had since been set back by ten minutes


def test_a_lease_from_before_the_clock_was_set_back_keeps_nobody_out(box, redis_client):
    redis_client.set(box.keys.lease("lister"), "dead", px=FAR_OFF)
    assert box.lease("lister", "mine", ttl=5.0)
    assert not box.lease("lister", "another", ttl=5.0)


def test_signs_of_life_from_before_the_clock_was_set_back_count_no_more(box, redis_client):
    box.beat("n1/w1", {}, ttl=5.0)
    seconds, _ = redis_client.time()
    redis_client.hset(box.keys.processes, "n2/w1", f"{seconds * 1000 + FAR_OFF} {{}}")
    for node, left in (("n1", 5_000), ("n2", FAR_OFF)):
        alive, known = launcher_keys(node)
        redis_client.set(alive, 1, px=left)
        redis_client.set(known, 1)

    assert box.living() == {"n1/w1"}
    assert box.launchers(["n1", "n2", "n3"]) == {"n1": True, "n2": False}


def test_a_turn_with_the_quarantine_from_before_the_clock_was_set_back_is_over(box, redis_client):
    box.put("fetch", letters(1))
    take(box, ANNA)
    box.release("fetch", ANNA, crashed=True)
    seconds, _ = redis_client.time()
    far = seconds * 1000 + FAR_OFF
    redis_client.hset(box.keys.duty("fetch"), mapping={"consumer": "n9/w1/0", "until": far, "rest": far, "served": 0})

    assert [each.lane for each in take(box, BERT)] == [QUARANTINE]


def packed(**fields):
    return msgspec.msgpack.encode({"s": "main", "k": "a", "r": 7, **fields})


def put_raw(redis_client, entry, lane="normal"):
    redis_client.xadd(f"{ROOT}:mb:fetch:{lane}", {"e": entry})


def test_fields_that_a_newer_program_added_are_ignored(box, redis_client):
    box.put("fetch", [])
    put_raw(redis_client, packed(colour="blue", nested={"x": [1]}))
    (taken,) = take(box)
    assert (taken.envelope.key, taken.envelope.ref) == ("a", 7)
    assert box.settle([Settlement(taken)]) == [True]


@pytest.mark.parametrize("change", [{"v": 2}, {"v": 2, "r": "another kind of ref"}], ids=["readable", "unreadable"])
def test_a_message_of_a_newer_version_is_left_to_newer_workers(box, redis_client, change):
    box.put("fetch", letters(1))
    put_raw(redis_client, packed(**change))
    (ours,) = take(box)
    assert ours.envelope.key == "normal0"
    assert box.settle([Settlement(ours)]) == [True]
    assert take(box) == []
    assert (box.depths("fetch")["normal"].messages, box.depths("fetch")["normal"].in_hand) == (1, 0)
    ((_, fields),) = redis_client.xrange(f"{ROOT}:mb:fetch:normal")
    assert fields[b"e"] == packed(**change), "as it came"


def test_a_newer_message_that_an_older_worker_held_when_it_died_is_left_too(box, redis_client):
    put_raw(redis_client, packed(v=2))
    redis_client.xgroup_create(f"{ROOT}:mb:fetch:normal", "g", "0")
    redis_client.xreadgroup("g", ANNA, {f"{ROOT}:mb:fetch:normal": ">"})
    assert box.pending("fetch", ANNA, count=10) == []
    assert box.consumers("fetch")[ANNA] == 0
    assert box.depths("fetch")["normal"].messages == 1


def test_what_nobody_of_ours_wrote_leaves_the_mailbox(box, redis_client):
    put_raw(redis_client, b"\xff\x00 no envelope")
    assert take(box) == []
    assert box.depths("fetch")["normal"].messages == 0


def test_what_is_handed_on_at_once_is_bounded_in_bytes_too(box, monkeypatch):
    monkeypatch.setattr("storage.redis_mailbox.SLICE_BYTES", 3_000)
    sizes = dict(zip("abcde", (10, 2_000, 2_000, 5_000, 10), strict=True))
    box.put("work", [Envelope("main", key, body=b"x" * size) for key, size in sizes.items()])
    taken = box.take("work", ANNA, count=10, max_bytes=PLENTY, block=0.0)
    run, sent = box._run, []

    def counted(name, *args):
        sent.append(name)
        return run(name, *args)

    monkeypatch.setattr(box, "_run", counted)
    assert box.settle([Settlement(each, ("next", each.envelope)) for each in taken]) == [True] * 5
    assert sent.count("settle") == 4  # a and b, c, d, e
    assert [each.envelope.key for each in box.take("next", ANNA, count=10, max_bytes=PLENTY, block=0.0)] == list(
        "abcde"
    )
