"""How the commands write for people: colours on a terminal only, text of strangers made harmless, bars on standard error."""

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


def width() -> int | None:
    """The columns of the terminal that the output goes to; None where it goes elsewhere, and nothing is to be cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(text: str, before: int = 0) -> str:
    """A line as the terminal has room for it beside what stands `before`; a few words of it in any case."""
    room = width()
    return text if room is None else _shortened(text, max(LEAST, room - before))


def behind(text: str, before: int) -> tuple[str, int]:
    """What stands whole at the end of a line, as an id must; and the columns that it takes: none on a line of its own, where there is no room."""
    room, wanted = width(), len(text) + 2
    if room is None or room - before - wanted >= ROOMY:
        return f"  {text}", wanted
    return f"\n{'':{INDENT}}{text}", 0


def _shortened(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: size - 1]}…"


def _short(cell: str) -> str:
    """One long id must not push all other columns off the screen."""
    return _shortened(cell, WIDEST)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """These fields of the rows in aligned columns; under headings and cut to the width on a terminal."""
    cells = [[printable("" if (value := row.get(name)) is None else str(value)) for name in columns] for row in rows]
    if width() is not None:
        cells = [[*(_short(cell) for cell in line[:-1]), line[-1]] for line in cells]
        cells.insert(0, [name.upper().replace("_", " ") for name in columns])
    widths = [max(len(line[number]) for line in cells) for number in range(len(columns))]
    padded = ("  ".join(f"{cell:<{size}}" for cell, size in zip(line, widths, strict=True)) for line in cells)
    return "\n".join(cut(line.rstrip()) for line in padded)


def counted(number: int, thing: str) -> str:
    """`1 email`, `2,000 emails`."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def say(text: str) -> None:
    """Beside the output: on standard error."""
    print(text, file=sys.stderr, flush=True)
