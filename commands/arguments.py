"""Argument helpers shared by the commands: types, commands with actions, and `--json` before or after the action.

Used by the commands' `add_arguments`. Values are parsed by the same parsers as the settings.
"""

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from settings import addresses, parsing

T = TypeVar("T")

JSON_HELP = "machine-readable: one JSON document"
JSON_LINES_HELP = "machine-readable: one JSON object per line"


def add_json(parser: argparse.ArgumentParser, help: str = JSON_HELP, **more: Any) -> None:  # noqa: A002  (as argparse calls it)
    """Add `--json`, with the same help text everywhere."""
    parser.add_argument("--json", action="store_true", help=help, **more)


def add_id(parser: argparse.ArgumentParser) -> None:
    """Add the argument `id`: which one of those that the action `list` shows."""
    parser.add_argument("id", type=whole(1), metavar="ID", help="the id, as `list` shows it")


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return an argument type: a whole number within these bounds."""
    return _read(parsing.whole(low, high))


def number(low: float, high: float) -> Callable[[str], float]:
    """Return an argument type: a number within these bounds."""
    return _read(parsing.number(low, high))


def url(*schemes: str) -> Callable[[str], str]:
    """Return an argument type: a URL of one of these schemes.

    Error messages omit it, since it may contain a password.
    """
    return _read(addresses.url(*schemes), shown=False)


def database_url(text: str) -> str:
    """Argument type: a database URL, parsed like DATABASE_URL."""
    return _read(addresses.database_url, shown=False)(text)


def _read(parse: Callable[[str], T], *, shown: bool = True) -> Callable[[str], T]:
    """Wrap a settings parser so that its errors become argparse's."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}, not {text!r}" if shown else str(error)) from None

    return read


class Actions:
    """The actions of a command. Options shared by all of them may come before or after the action's name."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        add_json(parser)
        self._actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(self, name: str, help: str) -> argparse.ArgumentParser:  # noqa: A002  (as argparse calls it)
        """Add an action and return its parser."""
        parser = self._actions.add_parser(name, help=help, description=help)
        add_json(parser, default=argparse.SUPPRESS)  # a default here would override a --json before the action
        return parser
