"""How commands print for people: colours only on a terminal, untrusted text made safe, notes on standard error."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

COLOURS = {"red": 31, "green": 32, "yellow": 33, "blue": 34, "magenta": 35, "cyan": 36, "grey": 90}
WIDEST = 32
LEAST = 10
ROOMY = 20
INDENT = 10
CLASSES = {"meeting": "cyan", "promotion": "yellow", "intro": "green", "unknown": "grey"}


def printable(text: str) -> str:
    """Make untrusted text safe for a terminal: control characters and line breaks become spaces."""
    return "".join(char if char.isprintable() else " " for char in text)


def paint(text: str, colour: str, stream: Any = None) -> str:
    """Colour the text if the stream is a terminal, unless NO_COLOR is set or the terminal is dumb."""
    stream = stream or sys.stdout
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def label(classification: str | None) -> str:
    """Return a class label, coloured and padded to a column."""
    return paint(f"{classification or '-':<10}", CLASSES.get(classification or "", "grey"))


def width() -> int | None:
    """Return the terminal's columns, or None if the output is no terminal and nothing is to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(text: str, before: int = 0) -> str:
    """Cut a text to the columns that are left after `before`, but never below a few words."""
    room = width()
    return text if room is None else _shortened(text, max(LEAST, room - before))


def behind(text: str, before: int) -> tuple[str, int]:
    """Return text that must stay whole at the end of a line, such as an id, and the columns it takes.

    If the line has no room, the text goes on a line of its own and takes none.
    """
    room, wanted = width(), len(text) + 2
    if room is None or room - before - wanted >= ROOMY:
        return f"  {text}", wanted
    return f"\n{'':{INDENT}}{text}", 0


def _shortened(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _short(cell: str) -> str:
    """Shorten a long cell, so that it does not push the other columns off the screen."""
    return _shortened(cell, WIDEST)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Format fields of the rows as aligned columns; on a terminal with headings, and cut to its width."""
    cells = [[printable("" if (value := row.get(name)) is None else str(value)) for name in columns] for row in rows]
    if width() is not None:
        cells = [[*(_short(cell) for cell in line[:-1]), line[-1]] for line in cells]
        cells.insert(0, [name.upper().replace("_", " ") for name in columns])
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    padded = ("  ".join(f"{cell:<{size}}" for cell, size in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(cut(line.rstrip()) for line in padded)


def counted(number: int, thing: str) -> str:
    """Format a count: `1 email`, `2,000 emails`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def say(text: str) -> None:
    """Print to standard error, apart from the output proper."""
    print(text, file=sys.stderr, flush=True)
