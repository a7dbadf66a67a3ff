"""What the commands' arguments share: a command with actions, and `--json` before or after the action.

Used by the `add_arguments` of the commands. Values are read by the parsers of the settings.
"""

import argparse
from collections.abc import Callable
from typing import Any, TypeVar

from settings import addresses, parsing

T = TypeVar("T")

JSON_HELP = "for machines: one JSON document"
JSON_LINES_HELP = "for machines: one JSON object a line"


def add_json(parser: argparse.ArgumentParser, help: str = JSON_HELP, **more: Any) -> None:  # noqa: A002  (as argparse calls it)
    """`--json`, told in the same words everywhere."""
    parser.add_argument("--json", action="store_true", help=help, **more)


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """The type of an argument that is a whole number within these bounds."""
    return _read(parsing.whole(low, high))


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an argument that is a number within these bounds."""
    return _read(parsing.number(low, high))


def url(*schemes: str) -> Callable[[str], str]:
    """The type of an argument that is a URL of one of these schemes; what is refused may hold a password, and is not shown."""
    return _read(addresses.url(*schemes), shown=False)


def database_url(text: str) -> str:
    """An argument that is the URL of a database, read as DATABASE_URL is."""
    return _read(addresses.database_url, shown=False)(text)


def _read(parse: Callable[[str], T], *, shown: bool = True) -> Callable[[str], T]:
    """As the settings are read, in argparse's way of saying what is wrong."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{error}, not {text!r}" if shown else str(error)) from None

    return read


class Actions:
    """The actions of a command. What holds for all of them may stand before or after the action's name."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        add_json(parser)
        self._actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def add(self, name: str, help: str) -> argparse.ArgumentParser:  # noqa: A002  (as argparse calls it)
        """The parser of one action."""
        parser = self._actions.add_parser(name, help=help, description=help)
        add_json(parser, default=argparse.SUPPRESS)  # a default of its own would undo a --json before the action
        return parser
