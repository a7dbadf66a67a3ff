"""Shared by the actors' tests: books on SQLite, mailboxes in a real Valkey, and a FakeMail account to list and read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis

from actors.bodies import CLASSIFY, FETCH
from actors.ledger import SqlLedger
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.mailbox import Room
from engine.mailbox_actor import Context, RetryPolicy
from fakemail.answers import RemoteEmail
from storage.books import Books
from storage.database import Database
from storage.redis_mailbox import RedisMailboxes

URL = "http://fakemail.example"


@dataclass
class Account:
    """A FakeMail account in memory: what it lists, what can be fetched, and whether it is down."""

    bears_history: bool = True
    emails: dict[str, int] = field(default_factory=dict)  # id → history id, in listing order
    hidden: set[str] = field(default_factory=set)  # notified, but neither listed nor fetchable yet
    history_id: int = 0
    down: bool = False
    listings: list[int] = field(default_factory=list)
    subscriptions: int = 0
    refuses_webhook: bool = False

    def receive(self, *ids: str, history_id: int | None = None) -> None:
        for email_id in ids:
            self.history_id = history_id if history_id is not None else self.history_id + 1
            self.emails[email_id] = self.history_id

    def reset(self) -> None:
        self.emails.clear()
        self.history_id = 0

    def _check(self) -> None:
        if self.down:
            raise DependencyTrouble("refused", dependency="fakemail")

    def watch(self) -> int:
        self._check()
        return self.history_id

    def probe(self) -> None:
        self._check()

    def subscribe(self) -> None:
        self._check()
        if self.refuses_webhook:
            raise DependencyTrouble("answered with status 422", dependency="fakemail")
        self.subscriptions += 1

    def list_emails(self, from_history_id: int, _heard: Callable[[], None] = lambda: None) -> list[str]:
        self._check()
        self.listings.append(from_history_id)
        found = [(at, email_id) for email_id, at in self.emails.items() if at > from_history_id]
        return [email_id for _, email_id in sorted(found) if email_id not in self.hidden]

    def get_email(self, email_id: str) -> RemoteEmail | None:
        self._check()
        if email_id not in self.emails or email_id in self.hidden:
            return None
        history_id = self.emails[email_id] if self.bears_history else None
        return RemoteEmail(
            id=email_id, subject=f"subject of {email_id}", body="Let us meet on Monday", history_id=history_id
        )

    def get_emails(self, email_ids: list[str]) -> list[RemoteEmail | Exception | None]:
        answers: list[RemoteEmail | Exception | None] = []
        for email_id in email_ids:
            try:
                answers.append(self.get_email(email_id))
            except DependencyTrouble as trouble:
                answers.append(trouble)
        return answers


@pytest.fixture
def account() -> Account:
    return Account()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = Database(f"sqlite:///{tmp_path}/emails.db")
    opened.migrate()
    yield opened
    opened.close()


@pytest.fixture
def books(database: Database) -> Books:
    made = Books(database)
    made.open_source("main", URL)
    return made


@pytest.fixture
def mailboxes(valkey_url: str, redis_client: "redis.Redis", books: Books) -> Iterator[RedisMailboxes]:
    made = RedisMailboxes(valkey_url, namespace=books.books_id(), rooms={FETCH: Room(100), CLASSIFY: Room(100)})
    yield made
    made.close()


@pytest.fixture
def context(mailboxes: RedisMailboxes, books: Books) -> Context:
    return Context(mailboxes, "node/front", SqlLedger(books), bus=Bus(), policy=RetryPolicy(3, 0.01))


@pytest.fixture
def started(mailboxes: RedisMailboxes, database: Database) -> Iterator[Callable[..., Any]]:
    """A function that starts actors, which have ended before the test's stores are closed."""
    refs = []

    def start(cls, *args, **kwargs):
        refs.append(cls.start(*args, **kwargs))
        return refs[-1]

    yield start
    for ref in refs:
        ref.stop(block=False)
    # Not `actor_stopped`: pykka sets that before on_stop, which uses the stores.
    eventually(lambda: all(ref.card.ended for ref in refs))


class Watched:
    """A method, and `since`: since when the actor `ref`, once it is set, had been busy at each call."""

    def __init__(self, method: Callable[..., Any]) -> None:
        self.method = method
        self.ref: Any = None
        self.since: list[float | None] = []

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self.ref is not None:
            self.since.append(self.ref.card.busy_at)
        return self.method(*args, **kwargs)

    def is_each_a_step(self) -> bool:
        """Whether the actor noted its progress before each call, so that slow calls do not add up to a hang."""
        return None not in self.since and len({*self.since}) == len(self.since)


def eventually(holds: Callable[[], object], seconds: float = 20.0) -> None:
    """Wait until the condition holds; the deadline only matters for broken code."""
    with gevent.Timeout(seconds, AssertionError(f"did not come to hold within {seconds} s")):
        while not holds():
            gevent.sleep(0.005)
