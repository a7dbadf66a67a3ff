"""A process's stores, opened together: everything it counts goes to its own shard."""

import pytest
from gevent.event import Event

from actors.bodies import HINTS, look_mailbox
from commands.stores import StartupWait, open_stores
from settings import Settings
from storage.statements import execute
from tests.storage.books_fixtures import burial, enter


@pytest.fixture
def stores(tmp_path, valkey_url, redis_client):
    settings = Settings(database_url=f"sqlite:///{tmp_path}/emails.db")
    opened = open_stores(settings, valkey_url, "node/worker-1", StartupWait(Event()))
    yield opened
    opened.mailboxes.close()
    opened.database.close()


def test_what_a_process_counts_is_in_its_own_shard(stores):
    (ref,) = enter(stores.books, ["a"])
    stores.dead_letters.bury([burial(ref, "a")])
    shards = {shard for (shard,) in stores.database.read(execute, "SELECT shard FROM counter")}
    assert shards == {"node/worker-1"}


def test_what_waits_of_a_sources_hints_is_bounded(stores):
    assert stores.mailboxes.rooms[look_mailbox("main")] == HINTS
