"""(b) Our processing stage as it is: mailbox `classify` → ClassifierActors → rows, books, counters → settled.

Run as a child: `python -m benchmarks.stage FOLDER REDIS_URL N frozen|model [WORKERS]`. Real actors on real stores,
assembled as commands/process.py does for a worker process; only the classifier may be the frozen function. WORKERS is
the number of actors.
"""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import sys
import time
from typing import Any

import gevent
import redis
from gevent.event import Event

from actors.bodies import CLASSIFY, ClassifyBody, encode
from actors.classifier import ClassifierActor
from actors.ledger import SqlLedger
from benchmarks import work
from benchmarks.frozen import Frozen
from benchmarks.rig import Meter, say
from classification.model import Classifier
from engine.collector import spare_collector
from engine.events import BATCH_SETTLED, HUB_LAG, Bus
from engine.hub import HubWatch
from engine.mailbox import Envelope
from engine.mailbox_actor import Context
from engine.metrics import Metrics
from storage.books import Books
from storage.database import Database
from storage.records import Look
from storage.redis_mailbox import RedisMailboxes
from storage.results import ResultStore

WORKERS = 3
SLICE = 1000


class Stage:
    """The stores and the actors of one worker process."""

    def __init__(self, path: str, url: str, process: str) -> None:
        self.database = Database(f"sqlite:///{path}/stage.db")
        self.database.migrate()
        self.books = Books(self.database, shard=process)
        self.mailboxes = RedisMailboxes(url, namespace=self.books.books_id(), rooms={})
        self.results = ResultStore(self.database)
        self.bus = Bus()
        self.metrics = Metrics(self.bus)
        self.context = Context(
            store=self.mailboxes, process=f"bench/{process}", ledger=SqlLedger(self.books), bus=self.bus
        )
        self.done = 0
        self.lags: list[float] = []
        self.finished = Event()
        self.seconds: dict[str, float] = {}
        self.bus.subscribe(self._count, BATCH_SETTLED)
        self.bus.subscribe(lambda _, fields: self.lags.extend(fields["lags"]), HUB_LAG)

    def fill(self, count: int, *, first: int = 0) -> None:
        """Enter the emails from number `first` on into the books and the mailbox, as the fetcher would."""
        source = self.books.open_source("main", "http://bench")
        for start in range(first, first + count, SLICE):
            emails = [work.email(number) for number in range(start, min(start + SLICE, first + count))]
            look = Look("poll", time.time())
            rows = self.books.enter(source, [each["id"] for each in emails], look, lane="normal")
            by_key = {each["id"]: each for each in emails}
            self.mailboxes.put(CLASSIFY, [_envelope(ref, key, by_key[key]) for ref, key in rows])

    def work(self, classifier: Any, expected: int | None, workers: int = WORKERS) -> None:
        """Start the pool; return when `expected` emails are settled here (None: when the mailbox is empty)."""
        refs = [
            ClassifierActor.start(
                self.context, classifier=classifier, results=self.results, name=f"classifier-{number}"
            )
            for number in range(1, workers + 1)
        ]
        if expected is None:
            while sum(depth.messages for depth in self.mailboxes.depths(CLASSIFY).values()):
                gevent.sleep(0.02)
        else:
            while self.done < expected:
                self.finished.wait(1.0)
                self.finished.clear()
        self.ended = time.perf_counter()
        for ref in refs:
            ref.stop()

    def _count(self, _name: str, fields: dict[str, Any]) -> None:
        self.done += fields["done"]
        for step in ("handle_s", "settle_s"):
            self.seconds[step] = self.seconds.get(step, 0.0) + fields.get(step, 0.0)
        self.finished.set()


def _envelope(ref: int, key: str, email: dict[str, str]) -> Envelope:
    now = time.time()
    body = ClassifyBody(subject=email["subject"], body=email["body"], sender=email["sender"])
    times = {"listed": now, "fed": now, "fetched": now}
    return Envelope("main", key, ref=ref, times=times, body=encode(body))


def classifier_of(kind: str) -> Any:
    """Return the frozen function or the product's model."""
    return Frozen() if kind == "frozen" else Classifier.load()


def main(path: str, url: str, count: int, kind: str, workers: int = WORKERS) -> None:
    """Fill the mailbox, then time the stage, on top of whatever is already stored."""
    stage = Stage(path, url, "worker-1")
    before = stage.books.audit().listed
    stage.fill(count, first=before)
    classifier = classifier_of(kind)
    watch = HubWatch(stage.bus)
    watch.start()
    spare_collector()
    meter = Meter(redis.Redis.from_url(url))
    stage.work(classifier, count, workers)
    figures = meter.read(count, ended=stage.ended)
    watch.stop()
    audit = stage.books.audit()
    assert audit.results == before + count == audit.listed, audit
    lags = sorted(stage.lags) or [0.0]
    say({**figures, "lag_p99_ms": lags[int(len(lags) * 0.99)] * 1000, "lag_max_ms": lags[-1] * 1000})


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], *map(int, sys.argv[5:6]))
