"""An empty database of each kind and its stores; the PostgreSQL one lasts for the session, emptied after each test."""

import psycopg
import pytest

from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.results import ResultStore
from storage.statements import execute
from tests.storage.books_fixtures import open_database


@pytest.fixture(scope="session")
def migrated_postgres(postgres):
    """One migrated database: creating one takes PostgreSQL longer than most tests."""
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE books")
    database = open_database(postgres.url.replace("/postgres?", "/books?"))
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def db(request, tmp_path):
    """An empty database with its tables."""
    if request.param == "postgres":
        database: Database = request.getfixturevalue("migrated_postgres")
        yield database
        database.write(empty)
    else:
        database = open_database(f"sqlite:///{tmp_path}/emails.db")
        yield database
        database.close()


@pytest.fixture
def books(db):
    return Books(db)


@pytest.fixture
def store(db):
    return ResultStore(db)


@pytest.fixture
def letters(db):
    return DeadLetters(db)


def empty() -> None:
    """Delete all rows but the schema's version."""
    for (table,) in execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'meta'"):
        execute(f'DELETE FROM "{table}"')
    execute("DELETE FROM meta WHERE name <> 'schema_version'")
