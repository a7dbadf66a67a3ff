"""`run.py prune`: counts without changes, deletes, frees space."""

import argparse
import json
from pathlib import Path
from typing import Any

import pytest

from commands import prune
from commands.client import CommandError
from engine.errors import InUseError
from engine.locking import locked
from settings import Settings
from storage.books import Books
from storage.database import Database
from storage.results import ResultStore
from storage.statements import execute
from tests.storage.books_fixtures import enter, result


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path, keep_bodies_days=1.0)


@pytest.fixture
def filled(settings: Settings) -> Settings:
    database = Database(settings.database)
    database.migrate()
    refs = enter(Books(database), ["a", "b"])
    ResultStore(database).save([result(ref, key) for ref, key in zip(refs, "ab", strict=True)], shard="t")
    database.write(execute, "UPDATE book SET listed_at = 1000")
    database.close()
    return settings


def call(settings: Settings, capsys: pytest.CaptureFixture[str], **options: bool) -> Any:
    args = argparse.Namespace(**{"dry_run": False, "vacuum": False, "json": True, **options})
    prune.run(args, settings)
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_counts_what_then_goes(filled, capsys):
    assert call(filled, capsys, dry_run=True)["forgotten"]["bodies"] == 2
    assert call(filled, capsys, dry_run=True)["forgotten"]["bodies"] == 2
    assert call(filled, capsys, vacuum=True)["forgotten"]["bodies"] == 2
    assert call(filled, capsys)["forgotten"]["bodies"] == 0


def test_a_vacuum_that_is_refused_deletes_nothing(filled, capsys):
    with locked(filled.lock, 0.0), pytest.raises(InUseError):
        call(filled, capsys, vacuum=True)
    assert call(filled, capsys, dry_run=True)["forgotten"]["bodies"] == 2


def test_people_get_lines(filled, capsys):
    prune.run(argparse.Namespace(dry_run=True, vacuum=False, json=False), filled)
    out = capsys.readouterr().out
    assert "bodies                  2 would be forgotten" in out
    assert "MB" in out


def test_without_a_database_it_is_one_line(settings):
    with pytest.raises(CommandError, match="there is no database at"):
        prune.run(argparse.Namespace(dry_run=True, vacuum=False, json=False), settings)
