"""Notifications to a real receiver that may be slow, down or unwilling."""

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.pywsgi import WSGIServer
from gevent.queue import Queue

from fakemail.faults import NONE, Faults
from fakemail.notifier import QUEUE_LIMIT, Notifier
from fakemail.signature import SignatureError, verify
from tests.fakemail.conftest import Running
from tests.fakemail.serving import serving

SECRETS = ("first", "second")


class Receiver:
    """A webhook receiver that records what it gets and answers with `statuses` in turn, then with 202."""

    def __init__(self) -> None:
        self.got: Queue[tuple[int, dict[str, str], bytes]] = Queue()
        self.statuses: list[str] = []
        self.delay = 0.0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = environ["wsgi.input"].read()
        headers = {name[5:].replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        gevent.sleep(self.delay)
        self.got.put((json.loads(body)["history_id"], headers, body))
        start_response(self.statuses.pop(0) if self.statuses else "202 Accepted", [])
        return []

    def next_id(self, timeout: float = 10) -> int:
        return int(self.got.get(timeout=timeout)[0])

    def all_ids(self, until: int) -> list[int]:
        """Return everything received up to and including the given id."""
        ids = [self.next_id()]
        while ids[-1] != until:
            ids.append(self.next_id())
        return ids


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def notifier(receiver: Receiver) -> Iterator[Notifier]:
    with serving(receiver) as url:
        notifier = Notifier(SECRETS)
        notifier.add(f"{url}/webhook/main?x=1")
        yield notifier
        notifier.stop()


def test_each_announcement_is_delivered_in_order(notifier: Notifier, receiver: Receiver) -> None:
    for number in range(1, 11):
        notifier.announce(number, NONE)
    assert receiver.all_ids(10) == list(range(1, 11))


def test_a_notification_is_signed_by_the_first_secret(notifier: Notifier, receiver: Receiver) -> None:
    notifier.announce(7, NONE)
    _, headers, body = receiver.got.get(timeout=10)
    verify(("first",), headers, body, time.time())
    with pytest.raises(SignatureError):
        verify(("second",), headers, body, time.time())


def test_without_a_secret_nothing_is_signed(receiver: Receiver) -> None:
    with serving(receiver) as url:
        notifier = Notifier()
        notifier.add(url)
        notifier.announce(7, NONE)
        _, headers, _ = receiver.got.get(timeout=10)
        notifier.stop()
    assert "WEBHOOK-SIGNATURE" not in headers
    assert headers["WEBHOOK-ID"].startswith("msg_7_")


@pytest.mark.parametrize("status", ["500 Oops", "503 Away", "302 Found", "404 Gone"])
def test_what_is_not_taken_is_told_again_under_the_same_id(notifier: Notifier, receiver: Receiver, status: str) -> None:
    receiver.statuses = [status]
    notifier.announce(7, NONE)
    first, second = (receiver.got.get(timeout=10) for _ in range(2))
    assert first[0] == second[0] == 7
    assert first[1]["WEBHOOK-ID"] == second[1]["WEBHOOK-ID"]


def test_for_a_receiver_that_was_away_the_newest_is_enough(notifier: Notifier, receiver: Receiver) -> None:
    receiver.statuses = ["500 Oops"]
    receiver.delay = 0.05
    for number in range(1, 21):
        notifier.announce(number, NONE)
    assert receiver.all_ids(20) == [1, 20]


def test_for_a_slow_receiver_a_long_queue_shrinks_to_the_newest(notifier: Notifier, receiver: Receiver) -> None:
    receiver.delay = 0.05
    notifier.announce(1, NONE)
    gevent.sleep(0.02)
    for number in range(2, QUEUE_LIMIT + 3):
        notifier.announce(number, NONE)
    assert receiver.all_ids(QUEUE_LIMIT + 2) == [1, QUEUE_LIMIT + 2]


def test_a_receiver_that_comes_back_is_told_what_it_missed(receiver: Receiver) -> None:
    with serving(receiver) as url:
        pass
    notifier = Notifier()
    notifier.add(url)
    notifier.announce(3, NONE)
    gevent.sleep(0.05)
    server = WSGIServer(("127.0.0.1", int(url.rpartition(":")[2])), receiver, log=None)
    server.start()
    assert receiver.next_id() == 3
    notifier.stop()
    server.stop(timeout=0)


def test_dropped_notifications_never_come(notifier: Notifier, receiver: Receiver) -> None:
    notifier.announce(1, Faults(drop_rate=1))
    notifier.announce(2, NONE)
    assert receiver.all_ids(2) == [2]


def test_a_duplicated_notification_comes_twice_under_one_id(notifier: Notifier, receiver: Receiver) -> None:
    notifier.announce(1, Faults(duplicate_rate=1))
    first, second = (receiver.got.get(timeout=10) for _ in range(2))
    assert first[1]["WEBHOOK-ID"] == second[1]["WEBHOOK-ID"]


@pytest.mark.parametrize("faults", [Faults(delay_rate=1, delay_ms=100), Faults(reorder_rate=1)])
def test_a_delayed_or_reordered_notification_is_overtaken(
    notifier: Notifier, receiver: Receiver, faults: Faults
) -> None:
    notifier.announce(1, faults)
    notifier.announce(2, NONE)
    assert receiver.all_ids(1) == [2, 1]


def test_a_batch_is_announced_once_and_known_emails_not_at_all(running: Running, receiver: Receiver) -> None:
    with serving(receiver) as url:
        running.client.subscribe(url)
        running.ask("POST", "/send_batch", {"emails": [{"subject": "s", "body": "b", "id": str(n)} for n in range(5)]})
        running.ask("POST", "/send_batch", {"emails": [{"subject": "s", "body": "b", "id": "3"}]})
        running.send()
        assert receiver.all_ids(6) == [5, 6]


def test_a_reset_forgets_what_was_to_be_announced(running: Running, receiver: Receiver) -> None:
    with serving(receiver) as url:
        running.client.subscribe(url)
        running.ask("PUT", "/faults", {"delay_rate": 1, "delay_ms": 3_600_000})
        running.send()
        running.send()
        running.ask("POST", "/reset")
        running.ask("DELETE", "/faults")
        running.send()
        assert receiver.all_ids(1) == [1]
        (subscriber,) = running.simulator._notifier._subscribers.values()
        assert subscriber._queue == []
