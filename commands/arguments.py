"""What the commands' arguments share: a command with actions, and `--json` before or after the action.

Used by the `add_arguments` of the commands; relies on argparse alone.
"""

import argparse
from typing import Any

JSON_HELP = "for machines: one JSON document"


def add_json(parser: argparse.ArgumentParser, help: str = JSON_HELP, **more: Any) -> None:  # noqa: A002  (as argparse calls it)
    """`--json`, told in the same words everywhere."""
    parser.add_argument("--json", action="store_true", help=help, **more)


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
