"""A whole application on real stores, called as WSGI: SQLite books, Valkey, the real classifier, no FakeMail."""

import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from actors.bodies import CLASSIFY, FETCH, look_mailbox
from actors.deciding import Deciders
from actors.events import process_event
from classification.model import Classifier
from engine.mailbox import DEAD
from fakemail.unset import NoFakeMail
from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.desired import Desired
from storage.learning import Learning
from storage.reading import Reader
from storage.records import DeadLetter, SourceState, StoredResult
from storage.redis_mailbox import RedisMailboxes
from storage.results import ResultStore
from storage.search import Search
from storage.tasks import Tasks
from tests.storage.books_fixtures import burial, enter, result, save
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.live import Hub
from web.services import Access, Services, SourceConfig

HEARTBEAT = {
    "node": "node",
    "role": "worker",
    "pid": 7,
    "started": 1_700_000_000.0,
    "workers": 3,
    "busy": 1,
    "actors": [
        {"name": "supervisor", "kind": "supervisor", "state": "running"},
        {"name": "classifier-1", "kind": "classifier", "state": "running", "parent": "supervisor", "mailbox": CLASSIFY},
    ],
}


@dataclass
class System:
    """The application, its stores, and ways to put things into them."""

    app: Application
    services: Services
    client: WsgiClient
    main: SourceState

    def with_access(self, **access: Any) -> WsgiClient:
        """Return a client of the same system with other access settings."""
        self.services.access = Access(**access)
        return WsgiClient(Application(self.services))

    def enter(self, *ids: str, source: SourceState | None = None) -> list[int]:
        """List emails; return their refs."""
        return enter(self.services.books, ids, source=source or self.main)

    def process(self, *ids: str, source: SourceState | None = None, **changes: Any) -> list[StoredResult]:
        """List emails and store their results, with their events, as the classifier does."""
        source = source or self.main
        refs = self.enter(*ids, source=source)
        rows = [result(ref, key, source=source.name, **changes) for ref, key in zip(refs, ids, strict=True)]
        stored = [each for each in save(self.services.results, *rows) if each is not None]
        self.services.mailboxes.tell([process_event(each) for each in stored])
        return stored

    def bury(self, *ids: str, **changes: Any) -> list[DeadLetter]:
        """List emails and bury them."""
        refs = self.enter(*ids)
        burials = [burial(ref, key, **changes) for ref, key in zip(refs, ids, strict=True)]
        return [each for each in self.services.dead_letters.bury(burials) if each is not None]


@pytest.fixture(scope="session")
def classifier() -> Classifier:
    return Classifier.load()


@pytest.fixture
def mailboxes(redis_client: Any, valkey_url: str) -> Iterator[RedisMailboxes]:
    store = RedisMailboxes(valkey_url, namespace=f"t{time.monotonic_ns()}", rooms={})
    yield store
    store.close()


@pytest.fixture(scope="session")
def blank_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated database file to copy: a migration takes longer than most tests here."""
    path = tmp_path_factory.mktemp("blank") / "emails.db"
    db = Database(f"sqlite:///{path}")
    db.migrate()
    db.checkpoint()
    db.close()
    return path


@pytest.fixture
def database(blank_database: Path, tmp_path: Path) -> Iterator[Database]:
    shutil.copy(blank_database, tmp_path / "emails.db")
    db = Database(f"sqlite:///{tmp_path}/emails.db")
    yield db
    db.close()


@pytest.fixture
def system(database: Database, mailboxes: RedisMailboxes, classifier: Classifier) -> System:
    books, learning = Books(database), Learning.of(database)
    deciders = Deciders(classifier, rules=learning.rules, models=learning.models, shard="test")
    deciders.read()
    main = books.open_source("main", "http://127.0.0.1:1")
    mailboxes.beat("node/worker-1", HEARTBEAT, ttl=60)
    services = Services(
        version="1.2.3",
        node="node",
        access=Access(),
        database=database,
        mailboxes=mailboxes,
        books=books,
        results=ResultStore(database),
        dead_letters=DeadLetters(database),
        desired=Desired(database),
        tasks=Tasks(database),
        reader=Reader(database),
        sources={"main": SourceConfig("main", "http://127.0.0.1:1", NoFakeMail())},
        learning=learning,
        classifier=deciders,
        hub=Hub(mailboxes),
        metrics=lambda: b"emailproc_up 1\n",
        mailbox_names=(look_mailbox("main"), FETCH, CLASSIFY, DEAD),
        default_workers=3,
    )
    app = Application(services)
    return System(app, services, WsgiClient(app), main)


@pytest.fixture
def index(database: Database) -> Callable[[], None]:
    """A function that brings the full-text index up to date."""
    search = Search(database)

    def run() -> None:
        while search.index(256):
            pass

    return run
