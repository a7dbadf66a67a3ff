"""`train --from-feedback` makes a shadow from people's corrections, on both databases; `label` corrects an email."""

import argparse
import json
import time
from dataclasses import replace

import pytest

from classification import weights
from classification.feedback import Trained
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


def test_people_are_told_in_words_and_how_to_go_on(database, settings, capsys):
    correct(database, "a", "b")
    train(settings, json=False)
    lines = capsys.readouterr().out.splitlines()
    version = ModelStore(database).roles().shadow
    assert lines[0] == f"model {version}"
    assert lines[1:3] == [
        "  learned from  2 corrections of 1 day: intro 2",
        "  right on them 0% before, 100% after",
    ]
    assert lines[3].startswith("  other mail    no label's share moves by more than ")
    assert lines[-1] == f"  curl -s -X POST http://127.0.0.1:8005/models/{version}/promote"


def test_what_was_held_out_and_what_the_guard_left_are_told(settings):
    figures = {"corrections": 1, "by_label": {"intro": 1}, "days": 2, "sample": 1, "right_before": 0.5, "right_after": 1.0,
               "right_held_out": 0.75, "share_moved": 0.1, "strength": 0.25}  # fmt: skip
    lines = training._text(Trained(b"", "v1", figures), replace(settings, api_token="t"), dry_run=False).splitlines()
    assert lines[1:4] == [
        "  learned from  1 correction of 2 days: intro 1",
        "  right on them 50% before, 100% after, 75% by models that had not seen them",
        "  other mail    no label's share moves by more than 10.0%, on a sample of 1 email; for that 25% of the change was kept",
    ]
    assert '-H "Authorization: Bearer $API_TOKEN" ' in lines[-1]


def test_a_dry_run_keeps_nothing(database, settings, capsys):
    correct(database, "a")
    train(settings, dry_run=True, json=False)
    out = capsys.readouterr().out
    assert "right on them" in out
    assert "promote" not in out
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
