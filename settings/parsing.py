"""Parsers for values in text: each returns the value, or raises a ValueError that says what the text must be.

Used by the settings table and by the commands' arguments (commands/arguments.py). addresses.py parses URLs, hosts and
networks.
"""

import base64
import re
from collections.abc import Callable

WHOLE = re.compile(r"-?[0-9]{1,18}")
WORD = re.compile(r"[A-Za-z0-9._-]{1,64}")
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}


def whole(low: int, high: int | None = None) -> Callable[[str], int]:
    """Return a parser for a whole number within these bounds."""

    def parse(text: str) -> int:
        value = int(text) if WHOLE.fullmatch(text) else None
        if value is None or value < low or (high is not None and value > high):
            raise ValueError(
                f"must be a whole number {f'of {low} or more' if high is None else f'from {low} to {high}'}"
            )
        return value

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """Return a parser for a number within these bounds."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = low - 1
        if not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return value

    return parse


def boolean(text: str) -> bool:
    """Parse true or false, in any of the usual words."""
    if text.lower() not in TRUE | FALSE:
        raise ValueError("must be true or false")
    return text.lower() in TRUE


def choice(*values: str) -> Callable[[str], str]:
    """Return a parser for one of these words, in any case."""

    def parse(text: str) -> str:
        found = next((value for value in values if value.lower() == text.lower()), None)
        if found is None:
            raise ValueError(f"must be one of {', '.join(values)}")
        return found

    return parse


def words(text: str) -> tuple[str, ...]:
    """Parse words that are separated by blanks or commas."""
    return tuple(text.replace(",", " ").split())


def signing_secrets(text: str) -> tuple[str, ...]:
    """Parse Standard Webhooks secrets, separated by blanks: `whsec_` and base64, or plain text.

    fakemail/signature.py reads them in the same way.
    """
    for number, secret in enumerate(text.split(), start=1):
        key = secret.removeprefix("whsec_")
        if key != secret:
            try:
                usable = bool(base64.b64decode(key + "=" * (-len(key) % 4), validate=True))
            except ValueError:
                usable = False
            if not usable:
                raise ValueError(
                    f"must hold base64 after whsec_ in secret number {number} (`run.py secret new` makes one)"
                )
    return tuple(text.split())


def word(text: str) -> str:
    """Parse a name that can be used in other names, in paths, and in files with blanks as separators."""
    if not WORD.fullmatch(text):
        raise ValueError("must be 1 to 64 characters: letters, digits, ., _ and -")
    return text


def line(text: str) -> str:
    """Parse a text for an HTTP header: a line break would begin another header, and no header can carry an umlaut."""
    if not text.isascii() or not text.isprintable():
        raise ValueError("must be one line of printable ASCII")
    return text


def token(text: str) -> str:
    """Parse a token for an HTTP header: no client could send one that contains a blank or an umlaut."""
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("must be printable ASCII without spaces")
    return text
