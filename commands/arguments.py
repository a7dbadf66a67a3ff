"""What the commands' arguments share: a command with actions, and `--json` before or after the action.

Used by the `add_arguments` of the commands; relies on argparse alone.
"""

import argparse
import math
from collections.abc import Callable
from typing import Any

MAX_DIGITS = 19
JSON_HELP = "for machines: one JSON document"


def add_json(parser: argparse.ArgumentParser, help: str = JSON_HELP, **more: Any) -> None:  # noqa: A002  (as argparse calls it)
    """`--json`, told in the same words everywhere."""
    parser.add_argument("--json", action="store_true", help=help, **more)


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """The type of an argument that is a whole number within these bounds."""

    def parse(text: str) -> int:
        value = int(text) if text.removeprefix("-").isdecimal() and len(text) < MAX_DIGITS else None
        if value is None or value < low or (high is not None and value > high):
            raise argparse.ArgumentTypeError(f"must be a whole number {_bounds(low, high)}, not {text!r}")
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an argument that is a number within these bounds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"must be a number {_bounds(low, high)}, not {text!r}")
        return value

    return parse


def url(*schemes: str) -> Callable[[str], str]:
    """The type of an argument that is a URL of one of these schemes; what is refused may hold a password, and is not shown."""

    def parse(text: str) -> str:
        if not text.startswith(tuple(f"{scheme}://" for scheme in schemes)):
            raise argparse.ArgumentTypeError(f"must begin with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        return text

    return parse


def _bounds(low: float, high: float | None) -> str:
    return f"of {low:g} or more" if high is None else f"from {low:g} to {high:g}"


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
