"""How the commands write for people: colours on a terminal only, text of strangers made harmless, bars on standard error."""

import os
import sys
from typing import Any

COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "grey": 90}
CLASSES = {"meeting": "cyan", "promotion": "yellow", "intro": "green", "unknown": "grey"}


def printable(text: str) -> str:
    """Text of strangers, safe on a terminal: control characters and line breaks are shown as spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def paint(text: str, colour: str, stream: Any = None) -> str:
    """In colour where that is a terminal, and nobody said NO_COLOR or has a dumb one."""
    stream = stream or sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def label(classification: str | None) -> str:
    """A class in a column of its own."""
    return paint(f"{classification or '-':<10}", CLASSES.get(classification or "", "grey"))


def say(text: str) -> None:
    """Beside the output: on standard error."""
    print(text, file=sys.stderr, flush=True)
