"""`run.py backup` and `restore`: the message and exit code of each error."""

from contextlib import closing
from pathlib import Path

import pytest

import run
from engine.locking import locked
from storage.books import Books
from tests.storage.books_fixtures import enter, open_database


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A DATA_DIR whose database has one email."""
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("DATA_DIR", str(data))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    with closing(open_database(f"sqlite:///{data}/emails.db")) as database:
        enter(Books(database), ["a"])
    return data


def called(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Return the exit code and all output."""
    code = run.main([str(each) for each in arguments])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_a_backup_is_restored(folder, tmp_path, capsys):
    code, said = called(capsys, "backup", tmp_path / "copy")
    assert (code, said.startswith(f"{tmp_path / 'copy'}: ")) == (0, True)
    code, said = called(capsys, "restore", tmp_path / "copy")
    assert (code, said) == (0, "restored; open emails are queued again at the next start\n")


def test_a_file_that_is_not_a_backup_is_a_failure_and_no_wrong_setting(folder, tmp_path, capsys):
    other = tmp_path / "letter"
    other.write_text("Dear Ana\n")
    code, said = called(capsys, "backup", other)
    assert (code, said) == (1, f"run.py: {other} exists and is not a backup: name another file\n")
    code, said = called(capsys, "restore", other)
    assert (code, f"{other} is not a backup of this system" in said) == (1, True)
    assert other.read_text() == "Dear Ana\n"


def test_the_folder_that_is_missing_is_named(folder, tmp_path, capsys):
    code, said = called(capsys, "backup", tmp_path / "none" / "copy")
    assert (code, said) == (1, f"run.py: {tmp_path / 'none'} does not exist\n")
    (tmp_path / "file").write_text("")
    code, said = called(capsys, "backup", tmp_path / "file" / "copy")
    assert (code, said) == (1, f"run.py: {tmp_path / 'file' / 'copy'}: Not a directory\n")


def test_a_running_system_is_not_restored(folder, tmp_path, capsys):
    called(capsys, "backup", tmp_path / "copy")
    with locked(folder / "lock", 0):
        code, said = called(capsys, "restore", tmp_path / "copy")
    assert (code, "is in use" in said) == (75, True)
