"""The email processor's commands: `python3 run.py` starts the system, `python3 run.py --help` lists the rest.

Every command is one entry of COMMANDS. `serve` and `worker` run a small launcher (commands/serve.py);
commands/process.py assembles the processes that it starts, and its start-up reads as a table of contents.
"""

from commands import venv

if __name__ == "__main__":
    venv.enter()

import argparse
import importlib
import os
import re
import sys
from collections.abc import Sequence
from typing import NamedTuple

from commands import ending
from commands.client import UsageError
from commands.version import VERSION
from settings import Settings

NO_TEXT = re.compile("[\ud800-\udfff]")
"""Bytes of an argument that are not UTF-8, as Python represents them."""
EXCLUDING = re.compile("-(?!h$)[^-]")
"""The beginning of what a query excludes; `-h` asks for help."""


class Command(NamedTuple):
    """A command: its text for --help, and the module of its functions, imported only when it is used."""

    help: str
    module: str
    run: str
    arguments: str | None = None


COMMANDS = {
    "serve": Command(
        "run the whole system: web, dashboard, workers, embedded stores where none are set", "commands.serve", "serve"
    ),
    "worker": Command("run a worker-only node, on the same Redis and PostgreSQL", "commands.serve", "worker"),
    "simulator": Command("run the FakeMail simulator alone", "commands.simulator", "run", "add_arguments"),
    "import": Command(
        "send real mail (mbox, Maildir, .eml) through the running system", "commands.importing", "run", "add_arguments"
    ),
    "classify": Command(
        "label raw messages from files, offline", "commands.offline", "classify", "add_classify_arguments"
    ),
    "evaluate": Command(
        "measure the classifier on labelled mail, offline",
        "commands.offline",
        "evaluate_file",
        "add_evaluate_arguments",
    ),
    "label": Command(
        "correct an email's label, or undo the correction", "commands.training", "label", "add_label_arguments"
    ),
    "train": Command(
        "train a new model from people's corrections, to run as a shadow",
        "commands.training",
        "train",
        "add_train_arguments",
    ),
    "dead-letters": Command(
        "list, show, replay or delete what failed for good", "commands.dead_letters", "run", "add_arguments"
    ),
    "rules": Command("list, try, add, change or delete your own rules", "commands.rules", "run", "add_arguments"),
    "status": Command("show health, figures and books", "commands.status", "run", "add_arguments"),
    "tail": Command("follow events live", "commands.tail", "run", "add_arguments"),
    "search": Command("find stored emails", "commands.reading", "search", "add_search_arguments"),
    "export": Command("write results as NDJSON or CSV", "commands.reading", "export", "add_export_arguments"),
    "doctor": Command(
        "check settings, stores, FakeMail and the server, and say what to do",
        "commands.doctor",
        "run",
        "add_arguments",
    ),
    "prune": Command("delete data older than KEEP_*, and free the space", "commands.prune", "run", "add_arguments"),
    "backup": Command(
        "copy the database to a file, while the system runs or not", "commands.backup", "backup", "add_arguments"
    ),
    "restore": Command(
        "replace the database with a backup, while the system is stopped",
        "commands.backup",
        "restore",
        "add_arguments",
    ),
    "migrate-store": Command(
        "move a SQLite history into PostgreSQL, while the system is stopped", "commands.moving", "run", "add_arguments"
    ),
    "drill": Command(
        "pull every plug by a seeded plan, and show that nothing is lost or counted twice",
        "commands.drill.command",
        "run",
        "add_arguments",
    ),
    "failpoints": Command(
        "list the points at which a test may kill a process", "commands.failpoints", "run", "add_arguments"
    ),
    "secret": Command(
        "make a webhook secret, or change it while the system runs", "commands.secret", "run", "add_arguments"
    ),
    "config": Command(
        "show the settings in force and where they came from", "commands.offline", "show_config", "add_config_arguments"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (commands/ending.py)."""
    os.umask(0o077)  # files hold mail or secrets: only their owner may read them
    ending.open_streams()
    argv = sys.argv[1:] if argv is None else argv
    args = _parser(argv).parse_args([_shielded(each) for each in argv] if argv[:1] == ["search"] else argv)
    command = COMMANDS[args.command or "serve"]

    def work() -> int | None:
        settings = Settings.from_env()
        try:
            code: int | None = getattr(importlib.import_module(command.module), command.run)(args, settings)
        except UnicodeEncodeError:
            if not any(NO_TEXT.search(each) for each in argv):
                raise
            raise UsageError("an argument is not valid UTF-8") from None
        return code

    return ending.run("run.py", work)


def _shielded(term: str) -> str:
    """Keep argparse from reading a term of `search` such as `-draft` as an option: the query ignores the blank."""
    return f" {term}" if EXCLUDING.match(term) else term


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py",
        description="An email processor for FakeMail.",
        epilog="Without a command: serve. Settings come from the environment: see `run.py config` and the README.",
    )
    parser.add_argument("--version", action="version", version=VERSION)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.help, description=command.help)
        if command.arguments and name in argv[:1]:
            getattr(importlib.import_module(command.module), command.arguments)(sub)
    return parser


if __name__ == "__main__":
    sys.exit(main())
