"""The simulator's account: accepts, lists, returns and announces emails as FakeMail does.

It runs behind simulator_http.py, mounted under /simulator of the main server or alone; greenlets of one process use it.
When `send` returns, the emails are on disk: all sends that wait during a commit share the next one.
"""

import random
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import BoundedSemaphore
from gevent.threadpool import ThreadPool

from engine.timestamps import timestamp
from engine.turns import breathe
from fakemail.egress import Egress
from fakemail.faults import NONE, Faults
from fakemail.notifier import Notifier
from fakemail.simulator_requests import NewEmail, write
from fakemail.simulator_store import Appended, NewRow, SimulatorStore

_LISTING_SLICE = 1000
_EMAILS_PER_SLICE = 200
_COMMIT_EMAILS = 20_000


class Sent(NamedTuple):
    """The ids of the emails as sent, and the newest history id among them."""

    email_ids: list[str]
    history_id: int


class _Waiting(NamedTuple):
    rows: list[NewRow]
    places: Any  # an AsyncResult of list[Appended]; by gevent's types a result may be None


class Simulator:
    """One FakeMail account. `send` and other methods that write raise apsw.Error if the disk fails or is full."""

    def __init__(
        self, store: SimulatorStore, webhook_secrets: tuple[str, ...] = (), egress: Egress | None = None
    ) -> None:
        self._store = store
        self._egress = egress or Egress(loopback=True)
        self._notifier = Notifier(webhook_secrets, self._egress.resolve)
        self._writer = ThreadPool(1)
        self._writing = BoundedSemaphore(1)
        self._waiting: list[_Waiting] = []
        self._wake = Event()
        self._dice = random.Random()
        self._faults = NONE
        self._faults_changed = Event()
        self._newest = store.newest()
        self._epoch = 0
        for url in store.subscribers():
            self._notifier.add(url)
        self._committer = gevent.spawn(self._commit_forever)

    # The five calls of FakeMail, without their faults.

    def watch(self) -> int:
        """Return the newest history id."""
        return self._newest

    def subscribe(self, url: str) -> None:
        """Notify `url` from now on, also after restarts and resets; raises ValueError if it may not be called."""
        self._egress.check(url)
        self._notifier.add(url)
        self._writer.apply(self._store.subscribe, (url,))

    def listing(self, after: int) -> Iterator[list[bytes]]:
        """Yield the ids after a history id that are visible by now, oldest first, in slices of at most a thousand."""
        upto, epoch, now = self._newest, self._epoch, time.time()
        while after < upto and epoch == self._epoch:
            rows = self._store.slice(after, upto, now, _LISTING_SLICE)
            if rows:
                after = rows[-1][0]
                yield [email_id for _, email_id in rows]
            if len(rows) < _LISTING_SLICE:
                return

    def find(self, email_id: bytes) -> bytes | None:
        """Return the JSON of one email, by its id in UTF-8, or None if it is not visible (yet)."""
        return self._store.find(email_id, time.time())

    # The control calls.

    def send(self, emails: Sequence[NewEmail]) -> Sent:
        """Add emails to the account durably and announce them together. Known ids change nothing."""
        rows: list[NewRow] = []
        ids: list[str] = []
        now = time.time()
        for number, email in enumerate(emails):
            if number % _EMAILS_PER_SLICE == _EMAILS_PER_SLICE - 1:
                breathe()
            row_id = email.id or f"fm-{secrets.token_hex(8)}"
            ids.append(row_id)
            rows.append(self._row(row_id, email, now))
        if not rows:
            return Sent(ids, self._newest)
        waiting = _Waiting(rows, AsyncResult())
        self._waiting.append(waiting)
        self._wake.set()
        places: list[Appended] = waiting.places.get()
        return Sent(ids, max(place.history_id for place in places))

    def status(self) -> dict[str, Any]:
        """Return the answer to `GET /simulator/status`. Emails are numbered from 1: the newest number is the count."""
        return {
            "history_id": self._newest,
            "webhook_urls": self._notifier.urls,
            "email_count": self._newest,
            "status": "ok",
        }

    def reset(self) -> None:
        """Delete all emails, the history and queued notifications; subscribers stay."""
        with self._writing:
            self._writer.apply(self._store.reset)
            self._epoch += 1
            self._newest = 0
            self._notifier.clear()

    @property
    def faults(self) -> Faults:
        """The current faults."""
        return self._faults

    def set_faults(self, faults: Faults) -> None:
        """Replace the faults; hanging calls go on, unless the new faults hang them again."""
        self._faults = NONE if faults == NONE else faults
        changed, self._faults_changed = self._faults_changed, Event()
        changed.set()

    def strike(self) -> str | None:
        """Apply the faults to one call: wait for hanging and latency, and return any other fault, or None."""
        if self._faults is NONE:
            return None
        while self._faults.hang:
            self._faults_changed.wait()
        if self._faults.latency_ms:
            gevent.sleep(self._faults.latency_ms / 1000)
        return self._faults.answer(self._dice)

    def sign_with(self, webhook_secrets: tuple[str, ...]) -> None:
        """Sign notifications with the first of these secrets from now on."""
        self._notifier.secrets = webhook_secrets

    def close(self) -> None:
        """Stop notifying, wait for a running commit, and close the file."""
        self._notifier.stop()
        self.set_faults(NONE)
        with self._writing:
            self._committer.kill()
            self._writer.kill()
        self._store.close()

    def _row(self, email_id: str, email: NewEmail, now: float) -> NewRow:
        wait = self._faults.invisible_s(self._dice)
        return NewRow(
            email_id.encode("utf-8", "surrogatepass"),
            now + wait if wait else 0.0,
            _render(email_id, email, now),
        )

    def _commit_forever(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            while self._waiting:
                with self._writing:
                    self._commit(self._take())

    def _take(self) -> list[_Waiting]:
        taken, size = 0, 0
        while taken < len(self._waiting) and (taken == 0 or size < _COMMIT_EMAILS):
            size += len(self._waiting[taken].rows)
            taken += 1
        together, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return together

    def _commit(self, together: list[_Waiting]) -> None:
        try:
            results = self._writer.apply(self._store.append, ([waiting.rows for waiting in together],))
        except Exception as error:  # noqa: BLE001 - every sender of this commit gets it
            for waiting in together:
                waiting.places.set_exception(error)
            return
        for waiting, places in zip(together, results, strict=True):
            self._announce(places)
            waiting.places.set(places)

    def _announce(self, places: list[Appended]) -> None:
        new = [place.history_id for place in places if place.new]
        if not new:
            return
        self._newest = max(self._newest, new[-1])
        self._notifier.announce(new[-1], self._faults)


def open_simulator(data_dir: Path, webhook_secrets: tuple[str, ...] = (), egress: Egress | None = None) -> Simulator:
    """Return the simulator with its account in DATA_DIR/simulator.db; `egress` says which webhooks it may call."""
    data_dir.mkdir(parents=True, exist_ok=True)
    return Simulator(SimulatorStore(data_dir / "simulator.db"), webhook_secrets, egress)


def _render(email_id: str, email: NewEmail, now: float) -> bytes:
    """Return the email's JSON without its history id and the closing brace."""
    fields: dict[str, Any] = {"id": email_id, "subject": email.subject, "body": email.body}
    fields |= {"sender": email.sender, "recipient": email.recipient, "timestamp": timestamp(now)}
    fields["headers"] = email.headers or {}
    if email.priority is not None:
        fields["priority"] = email.priority
    return write(fields)[:-1]
