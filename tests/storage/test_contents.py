"""Email contents are written in one place, so that all of them reach the full-text index; on both databases."""

import re
from pathlib import Path

import apsw

from storage import contents
from storage.books import Books
from storage.contents import write_contents
from storage.database import Database
from storage.records import Content
from storage.search import Search
from storage.statements import execute
from tests.storage.books_fixtures import enter

WRITES = re.compile(r"insert\(\s*Content\w*,|(INSERT INTO|UPDATE) \"?content\b", re.IGNORECASE)


def waiting(db: Database) -> list[int]:
    return [ref for (ref,) in db.read(execute, "SELECT ref FROM unindexed ORDER BY ref")]


def test_what_is_written_waits_for_the_index_and_waits_anew_when_it_changes(db):
    refs = enter(Books(db), [f"k{number}" for number in range(70)])  # more than fit in one statement
    db.write(write_contents, [(ref, Content(subject="one")) for ref in refs])
    assert waiting(db) == refs
    while Search(db).index():
        pass
    assert waiting(db) == []
    db.write(write_contents, [(refs[3], Content(subject="two"))])
    assert waiting(db) == [refs[3]]
    db.write(write_contents, [])
    assert waiting(db) == [refs[3]]


def test_an_older_program_on_the_same_file_still_has_its_trigger(tmp_path):
    """It writes only contents, and leaves the queue to the database."""
    db = Database(f"sqlite:///{tmp_path / 'emails.db'}")
    db.migrate()
    older = apsw.Connection(str(tmp_path / "emails.db"))
    older.execute(
        "INSERT INTO content (ref, subject, body, sender, recipient, headers, truncated) VALUES (7, '', '', '', '', '{}', 0)"
    )
    assert waiting(db) == [7]
    older.execute("DELETE FROM unindexed")
    older.execute("UPDATE content SET subject = 'new' WHERE ref = 7")
    assert waiting(db) == [7]
    older.close()
    db.close()


def test_nobody_else_writes_contents():
    storage = Path(contents.__file__).parent
    writers = {file.name for file in storage.glob("*.py") if WRITES.search(file.read_text())}
    assert writers == {"contents.py"}
