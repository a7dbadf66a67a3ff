"""`train --from-feedback` makes a shadow of what people corrected, on both databases; `label` corrects on a running server."""

import argparse
import json
import time

import pytest

from classification import weights
from commands import training
from commands.client import CommandError
from settings import Settings
from storage.books import Books
from storage.database import Database
from storage.model_files import FEEDBACK, ModelStore, Roles
from storage.records import Content
from storage.results import ResultStore
from tests.storage.books_fixtures import enter, result

LUNCH = Content("Lunch", "Shall we meet on Monday at 10 for lunch?", "anna@example.org")


@pytest.fixture
def settings(database_url):
    return Settings(database_url=database_url)


@pytest.fixture
def database(database_url):
    opened = Database(database_url)
    opened.migrate()
    yield opened
    opened.close()


def train(settings, **options):
    args = {"from_feedback": True, "dry_run": False, "json": True, **options}
    training.train(argparse.Namespace(**args), settings)


def correct(database, *keys):
    results = ResultStore(database)
    refs = enter(Books(database), keys)
    results.save([result(ref, key, content=LUNCH) for ref, key in zip(refs, keys, strict=True)], shard="test")
    for key in keys:
        results.label(key, "main", "intro", "person")


def test_the_new_model_is_kept_with_its_figures_and_runs_as_the_shadow(database, settings, capsys):
    correct(database, "a", "b", "c")
    train(settings)
    printed = json.loads(capsys.readouterr().out)
    assert (printed["corrections"], printed["right_before"], printed["right_after"]) == (3, 0.0, 1.0)
    models = ModelStore(database)
    assert models.roles() == Roles(shadow=printed["version"])
    (info,) = models.all()
    assert (info.version, info.origin, info.parent) == (printed["version"], FEEDBACK, weights.load(weights.PACKAGED)[1])
    assert info.figures["by_label"] == {"intro": 3}
    assert info.created_at <= time.time()


def test_a_dry_run_keeps_nothing(database, settings, capsys):
    correct(database, "a")
    train(settings, dry_run=True, json=False)
    assert "right after" in capsys.readouterr().out
    assert ModelStore(database).all() == []


def test_without_corrections_or_the_flag_it_says_so(database, settings):
    with pytest.raises(CommandError, match="nobody has corrected"):
        train(settings)
    with pytest.raises(CommandError, match="--from-feedback"):
        train(settings, from_feedback=False)


def test_without_a_database_it_says_where_it_looked(tmp_path):
    with pytest.raises(CommandError, match="there is no database"):
        train(Settings(database_url=f"sqlite:///{tmp_path}/none.db"))


def test_label_corrects_and_takes_back(small_server, capsys):
    small_server.answers["POST", "/emails/a/b/label"] = (200, {"classification": "intro", "decided_by": "person"})
    small_server.answers["DELETE", "/emails/a/b/label"] = (200, {"classification": "meeting", "decided_by": "model"})
    settings = Settings(base_url=small_server.url)
    for classification, undo in (("intro", False), (None, True)):
        args = argparse.Namespace(email_id="a/b", classification=classification, undo=undo, source=None)
        training.label(args, settings)
    assert capsys.readouterr().out.splitlines() == [
        "a/b: intro (decided by person)",
        "a/b: meeting (decided by model)",
    ]
