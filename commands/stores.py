"""Opens a process's stores in order: the database and its schema, then the mailboxes, which carry the books' name."""

import logging
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from gevent.event import Event

from actors.bodies import CLASSIFY, HINTS, fetch_mailbox, look_mailbox
from actors.feeder import are_copied, feed_positions
from actors.ledger import SqlLedger
from engine.backoff import backoff
from engine.errors import DependencyTrouble
from engine.mailbox import MAIN, Room
from settings import Settings
from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.desired import Desired
from storage.learning import Learning
from storage.migrations import STEPS
from storage.notifications import Notifications
from storage.reading import Reader
from storage.redis_client import check_server, connect
from storage.redis_mailbox import RedisMailboxes
from storage.results import ResultStore
from storage.search import Search
from storage.tasks import Tasks

log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stores:
    """All durable stores, opened."""

    database: Database
    books_id: str
    mailboxes: RedisMailboxes
    room: Room
    books: Books
    results: ResultStore
    dead_letters: DeadLetters
    notifications: Notifications
    desired: Desired
    tasks: Tasks
    learning: Learning
    search: Search
    reader: Reader
    ledger: SqlLedger

    def close(self) -> None:
        """Close the connections."""
        self.mailboxes.close()
        self.database.close()


@dataclass(slots=True)
class StartupWait:
    """Waits at the start for dependencies that are away; `waits` maps each to the reason.

    Ends the process if `stop` is set.
    """

    stop: Event
    waits: dict[str, str] = field(default_factory=dict)

    def until(self, attempt: Callable[[], T]) -> T:
        """Return the result of `attempt`, retried until it raises no DependencyTrouble."""
        failures = 0
        while True:
            try:
                answer = attempt()
            except DependencyTrouble as trouble:
                failures += 1
                self._note(trouble, failures)
                if self.stop.wait(backoff(failures, base=0.1, cap=1.0)):
                    raise SystemExit(0) from None
            else:
                self.waits.clear()
                return answer

    def _note(self, trouble: DependencyTrouble, failures: int) -> None:
        self.waits.clear()
        self.waits[trouble.dependency] = str(trouble)
        if failures in (1, 10) or failures % 60 == 0:
            log.warning("waiting for %s: %s", trouble.dependency, trouble)


def open_stores(settings: Settings, redis_url: str, process: str, startup: StartupWait) -> Stores:
    """Open all stores, waiting for a database or Redis that is away.

    Raises SettingsError for one that can never be used.
    """
    for warning in startup.until(partial(_check_redis, redis_url)):
        log.warning(warning)
    database = Database(settings.database)
    version = startup.until(database.migrate)
    if version > len(STEPS):
        log.warning(
            "a newer program has brought the database to schema %d; this one knows %d and may go on",
            version,
            len(STEPS),
        )
    books = Books(database, shard=process)
    room = Room(settings.mailbox_limit)
    books_id = startup.until(books.books_id)
    sources = {MAIN, *(each.name for each in settings.fakemail_sources)}  # main may be our own simulator
    rooms = dict.fromkeys((*map(fetch_mailbox, sources), CLASSIFY), room)
    rooms |= dict.fromkeys(map(look_mailbox, sources), HINTS)
    mailboxes = RedisMailboxes(redis_url, namespace=books_id, rooms=rooms)
    return Stores(
        database=database,
        books_id=books_id,
        mailboxes=mailboxes,
        room=room,
        books=books,
        results=ResultStore(database),
        dead_letters=DeadLetters(database, shard=process),
        notifications=Notifications(database),
        desired=Desired(database),
        tasks=Tasks(database),
        learning=Learning.of(database),
        search=Search(database),
        reader=Reader(database),
        ledger=SqlLedger(books),
    )


def open_and_rename_copies(settings: Settings, redis_url: str, process: str, startup: StartupWait) -> Stores:
    """Open all stores for a front.

    If the books are an older copy of those that Redis knows, give them a new name first.
    """
    stores = open_stores(settings, redis_url, process, startup)
    if startup.until(lambda: books_were_copied(stores)):
        log.warning(
            "these books are an older copy of what Redis knows: they get a new name, and all open emails are fed again"
        )
        startup.until(lambda: stores.books.renew_books_id(instead_of=stores.books_id))
        stores.close()
        return open_stores(settings, redis_url, process, startup)
    return stores


def _check_redis(url: str) -> list[str]:
    with closing(connect(url)) as client:
        return check_server(client)


def books_were_copied(stores: Stores) -> bool:
    """Return whether this database is an older copy of the one that the mailboxes know."""
    return are_copied(stores.books, stores.mailboxes.positions(feed_positions(stores.books.sources())))
