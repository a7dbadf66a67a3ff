"""Model files as rows, which one is live, and what the shadow has said; on both databases."""

import pytest

from storage.books import Books
from storage.model_files import DIFFERENCES_KEPT, ModelStore, Roles
from storage.results import ResultStore
from tests.storage.books_fixtures import enter, result


@pytest.fixture
def models(db):
    return ModelStore(db)


def test_a_file_comes_back_to_the_byte_and_is_kept_once(models):
    assert models.add("v1", b"\x00\xffPK", origin="packaged", figures={"emails": 3})
    assert not models.add("v1", b"other", origin="feedback")
    assert models.file("v1") == b"\x00\xffPK"
    assert models.file("v2") is None
    (info,) = models.all()
    assert (info.version, info.origin, info.figures, info.size_bytes) == ("v1", "packaged", {"emails": 3}, 4)


def test_the_shadow_is_promoted_and_rolled_back(models):
    assert models.roles() == Roles()
    assert models.set_shadow("v2") == Roles(None, None, "v2")
    assert models.promote("v2", packaged="v1") == Roles(live="v2", previous="v1", shadow=None)
    assert models.promote("v2", packaged="v1") == Roles(live="v2", previous="v1", shadow=None)
    assert models.promote("v1", packaged="v1") == Roles(live="v1", previous="v2", shadow=None)
    assert models.roles() == Roles(live="v1", previous="v2", shadow=None)


def test_agreement_adds_up_over_writers(models):
    models.note_shadow("v1", "v2", {("meeting", "meeting"): 5, ("meeting", "intro"): 1}, [], "a")
    models.note_shadow("v1", "v2", {("meeting", "meeting"): 2}, [], "a")
    models.note_shadow("v1", "v2", {("meeting", "meeting"): 1}, [], "b")
    models.note_shadow("v1", "v3", {("meeting", "meeting"): 9}, [], "b")
    assert models.agreement("v1", "v2") == {("meeting", "meeting"): 8, ("meeting", "intro"): 1}


def test_the_newest_differences_are_kept_with_their_emails(models, db):
    books, results = Books(db), ResultStore(db)
    refs = enter(books, ["a", "b"])
    results.save([result(ref, key) for ref, key in zip(refs, "ab", strict=True)], shard="test")
    models.note_shadow("v1", "v2", {}, [(refs[0], "meeting", "intro", 0.5), (refs[1], "meeting", "unknown", 0.6)], "a")
    models.note_shadow("v1", "v2", {}, [(refs[1], "meeting", "intro", 0.7)], "a")
    found = models.differences("v2")
    assert [(each.key, each.live_label, each.shadow_label, each.label) for each in found] == [
        ("b", "meeting", "unknown", "meeting"),
        ("a", "meeting", "intro", "meeting"),
    ]
    assert (found[0].subject, models.differences("v3")) == ("subject of b", [])


def test_old_differences_make_room(models, db):
    from storage.statements import execute

    rows = [(ref, "meeting", "intro", 0.5) for ref in range(1, DIFFERENCES_KEPT + 6)]
    models.note_shadow("v1", "v2", {}, rows, "a")
    assert db.read(execute, "SELECT COUNT(*), MIN(ref) FROM shadow_difference") == [(DIFFERENCES_KEPT, 6)]
