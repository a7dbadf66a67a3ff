"""run.py from outside: its commands, its help, its exit codes."""

import argparse
import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import run
from commands.client import CommandError
from commands.version import VERSION
from engine.errors import DependencyTrouble, InUseError, SettingsError

ROOT = Path(run.__file__).resolve().parent


def call(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    env = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    command = [sys.executable, "run.py", *arguments]
    return subprocess.run(
        command, check=False, cwd=ROOT, env={**env, **environ}, capture_output=True, text=True, timeout=30
    )


def test_help_lists_every_command_with_a_line(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--help"])
    with pytest.raises(SystemExit) as ended:
        run.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert all(f"    {name}" in out for name in run.COMMANDS)


@pytest.mark.parametrize("name", run.COMMANDS)
def test_every_command_exists_and_has_help(name, capsys, monkeypatch):
    command = run.COMMANDS[name]
    module = importlib.import_module(command.module)
    assert callable(getattr(module, command.run))
    monkeypatch.setattr(sys, "argv", ["run.py", name, "--help"])
    with pytest.raises(SystemExit) as ended:
        run.main([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: run.py {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "query"),
    [
        (["lunch", "-draft", "--limit", "3"], "lunch  -draft"),
        (["-from:anna"], " -from:anna"),
        (["-hello", "-json"], " -hello  -json"),
        (["lunch", '-"out of office"'], 'lunch  -"out of office"'),
        (["--", "-a", "b"], " -a b"),
    ],
)
def test_a_search_may_exclude_terms(words, query, monkeypatch):
    searched = []

    def items(_server, _path, wanted, limit):
        searched.append((wanted, limit))
        return []

    monkeypatch.setattr("commands.reading._items", items)
    assert run.main(["search", *words]) == 0
    assert searched == [({"q": query}, 3 if "3" in words else 20)]


def test_a_search_without_terms_is_wrong_usage_and_help_is_help():
    for arguments, code in ((["search"], 2), (["search", "-h"], 0), (["search", "a", "--limit", "-1"], 2)):
        with pytest.raises(SystemExit) as ended:
            run.main(arguments)
        assert ended.value.code == code


def test_the_version_is_told(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", "--version"])
    with pytest.raises(SystemExit) as ended:
        run.main(["--version"])
    assert (ended.value.code, capsys.readouterr().out.strip()) == (0, VERSION)


@pytest.mark.parametrize("arguments", [["nonsense"], ["serve", "now"], ["--port", "1"]])
def test_wrong_usage_ends_with_2(arguments, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["run.py", *arguments])
    with pytest.raises(SystemExit) as ended:
        run.main(arguments)
    assert ended.value.code == 2
    assert "usage: run.py" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("PORT is wrong"), 78),
        (InUseError("PORT is another's"), 75),
        (CommandError("no answer"), 1),
        (DependencyTrouble("Redis is away", dependency="redis"), 1),
    ],
)
def test_trouble_is_one_line_and_an_exit_code(error, code, capsys, monkeypatch):
    def fails(_args: argparse.Namespace, _settings: object) -> None:
        raise error

    monkeypatch.setattr("commands.offline.show_config", fails)
    assert run.main(["config"]) == code
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", f"run.py: {error}\n")


def test_an_interrupted_command_ends_with_130(monkeypatch):
    def interrupted(_args: argparse.Namespace, _settings: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("commands.offline.show_config", interrupted)
    assert run.main(["config"]) == 130


@pytest.mark.parametrize(("answer", "code"), [(None, 0), (0, 0), (1, 1), (True, 1)])
def test_what_a_command_returns_is_the_exit_code(answer, code, monkeypatch):
    monkeypatch.setattr("commands.offline.show_config", lambda _args, _settings: answer)
    assert run.main(["config"]) == code


def test_without_a_command_it_serves(monkeypatch):
    monkeypatch.setattr("commands.serve.serve", lambda _args, _settings: 42)
    assert run.main([]) == 42


def test_a_wrong_setting_stops_the_start_with_one_line():
    done = call("serve", PORT="http")
    assert done.returncode == 78
    assert (done.stdout, done.stderr) == ("", "run.py: PORT must be a whole number from 0 to 65535, not 'http'\n")


def test_a_command_without_a_running_server_ends_with_1_and_one_line():
    done = call("status", BASE_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert (
        done.stderr
        == "run.py: no answer from http://127.0.0.1:9 (refused): is it running? Set BASE_URL to its address\n"
    )


def test_a_closed_pipe_leaves_no_traceback():
    with subprocess.Popen(
        [sys.executable, "run.py", "config"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


@pytest.mark.parametrize("command", [["config"], ["config", "--json"], ["failpoints"]])
def test_no_room_for_the_output_is_one_line(command):
    with Path("/dev/full").open("w") as full:
        ended = subprocess.run(
            [sys.executable, "run.py", *command], check=False, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, timeout=30
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (1, "run.py: the output: No space left on device\n")


def test_a_file_that_cannot_be_used_is_one_line_that_names_it(capsys, monkeypatch):
    def fails(_args: argparse.Namespace, _settings: object) -> None:
        raise NotADirectoryError(20, "Not a directory", "/etc/hosts/x")

    monkeypatch.setattr("commands.offline.show_config", fails)
    assert run.main(["config"]) == 1
    assert capsys.readouterr().err == "run.py: /etc/hosts/x: Not a directory\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "<&- >&-"])
def test_closed_streams_are_no_trouble(closed):
    ended = subprocess.run(
        ["/bin/sh", "-c", f'exec "$0" run.py config {closed}', sys.executable],
        check=False, cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")


def test_an_argument_that_is_no_text_is_wrong_usage(capsys, monkeypatch):
    def fails(_args: argparse.Namespace, _settings: object) -> None:
        "\udcff".encode()

    monkeypatch.setattr("commands.offline.show_config", fails)
    monkeypatch.setattr("run._parser", lambda _: argparse.ArgumentParser())
    monkeypatch.setattr("argparse.ArgumentParser.parse_args", lambda *_: argparse.Namespace(command="config"))
    assert run.main(["config", "\udcff"]) == 2
    assert capsys.readouterr().err == "run.py: an argument is not valid UTF-8\n"


def test_what_a_terminal_cannot_show_is_written_all_the_same():
    ended = subprocess.run(
        [sys.executable, "-c", "from commands import ending; ending.open_streams(); print('\\u263a')"],
        check=False, cwd=ROOT, capture_output=True, timeout=30, env={**os.environ, "PYTHONIOENCODING": "latin-1"},
    )  # fmt: skip
    assert (ended.stdout, ended.stderr) == (b"\\u263a\n", b"")
