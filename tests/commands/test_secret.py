"""Creating and rotating webhook secrets from the command line."""

import argparse
import json
import signal
from collections.abc import Iterator

import pytest

from commands import secret
from commands.client import CommandError
from engine.locking import locked
from fakemail.signature import key_of
from settings import Settings


def run(*argv: str, **settings: object) -> None:
    parser = argparse.ArgumentParser()
    secret.add_arguments(parser)
    secret.run(parser.parse_args(argv), Settings(**settings))  # type: ignore[arg-type]


def test_a_new_secret_is_32_random_bytes_in_the_standards_form(capsys):
    run("new")
    run("new")
    first, second = capsys.readouterr().out.split()
    assert first != second
    assert [len(key_of(each)) for each in (first, second)] == [32, 32]


def test_a_rotation_in_a_file_keeps_the_present_one_second_and_finishing_drops_it(tmp_path, capsys):
    file = tmp_path / "secret"
    run("rotate", "--file", str(file))
    [first] = file.read_text().split()
    assert file.stat().st_mode & 0o777 == 0o600
    run("rotate", "--file", str(file))
    second, old = file.read_text().split()
    assert (old, second == first) == (first, False)
    run("rotate", "--finish", "--file", str(file))
    assert file.read_text().split() == [second]
    assert first not in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_a_second_rotation_is_refused_until_the_first_is_finished(tmp_path, more):
    file = tmp_path / "secret"
    file.write_text("new inuse\n")
    with pytest.raises(CommandError, match="run `secret rotate --finish` first"):
        run("rotate", "--file", str(file), *more)
    assert file.read_text() == "new inuse\n"


def test_the_file_of_the_environment_is_changed_and_keeps_its_mode(tmp_path, monkeypatch):
    file = tmp_path / "secret"
    file.write_text("old\n")
    file.chmod(0o640)
    monkeypatch.setenv("WEBHOOK_SECRET_FILE", str(file))
    run("rotate")
    assert file.read_text().split()[1] == "old"
    assert file.stat().st_mode & 0o777 == 0o640


def test_without_a_file_the_value_is_printed(capsys, monkeypatch):
    monkeypatch.delenv("WEBHOOK_SECRET_FILE", raising=False)
    run("rotate", webhook_secret=("present",))
    assert " present'" in capsys.readouterr().out
    with pytest.raises(CommandError, match="under way"):
        run("rotate", webhook_secret=("new", "present"))
    with pytest.raises(CommandError, match="no secret yet"):
        run("rotate", "--finish")


def test_a_file_that_cannot_be_written_is_a_line_and_stays_as_it_was(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(CommandError, match="cannot be read"):
        run("rotate", "--file", str(tmp_path / "folder"))
    with pytest.raises(CommandError, match="cannot be written"):
        run("rotate", "--file", str(tmp_path / "none" / "secret"))


@pytest.fixture
def told() -> Iterator[list[bool]]:
    """One entry for each SIGHUP received."""
    found: list[bool] = []
    before = signal.signal(signal.SIGHUP, lambda *_: found.append(True))
    yield found
    signal.signal(signal.SIGHUP, before)


def test_the_running_system_is_told(tmp_path, told):
    with locked(tmp_path / "lock", 0):
        run("rotate", "--reload", "--file", str(tmp_path / "secret"), data_dir=tmp_path)
    assert told


@pytest.mark.parametrize("more", [(), ("--json",)])
def test_nothing_is_written_where_nobody_can_be_told(tmp_path, told, more):
    file = tmp_path / "secret"
    file.write_text("inuse\n")
    with pytest.raises(CommandError, match="nothing runs"):
        run("rotate", "--reload", "--file", str(file), *more, data_dir=tmp_path / "data")
    with locked(tmp_path / "lock", 0):
        (tmp_path / "lock").write_text(f"{2**30}\n")  # no process has this number
        with pytest.raises(CommandError, match="cannot be signalled"):
            run("rotate", "--reload", "--file", str(file), *more, data_dir=tmp_path)
    assert (file.read_text(), told) == ("inuse\n", [])


def test_for_machines_a_secret_is_told_only_where_no_file_keeps_it(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("WEBHOOK_SECRET_FILE", raising=False)
    file = tmp_path / "secret"

    def told(*argv: str, **settings: object) -> dict[str, object]:
        run(*argv, "--json", **settings)
        return dict(json.loads(capsys.readouterr().out))

    assert key_of(str(told("new")["secret"]))
    assert told("rotate", "--file", str(file)) == {"secrets": 1, "file": str(file)}
    assert told("rotate", "--file", str(file)) == {"secrets": 2, "file": str(file)}
    assert str(told("rotate", webhook_secret=("present",))["value"]).endswith(" present")
