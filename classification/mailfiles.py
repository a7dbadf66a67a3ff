"""Reads raw messages lazily from an mbox, a Maildir, a folder of .eml files or mboxes, or a single message.

Used by `python run.py import`. Malformed files are read as far as possible or skipped; only the current message is held
in memory.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

MAX_MESSAGE = 64 * 1024 * 1024
Skip = Callable[[Path, OSError], None]
_LONGEST_LINE = 1024 * 1024
_MESSAGE_NAMES = {".eml", ".msg", ".email", ".txt"}
_BOM = b"\xef\xbb\xbf"
_HEADER = re.compile(rb"(?:From |>From |[!-9;-~]{1,100}[ \t]*:)")
_ESCAPED = re.compile(rb">+From ")


def iter_messages(path: Path, skip: Skip | None = None) -> Iterator[bytes]:
    """Yield the raw messages under `path`, in order of name. Raises OSError if the path itself cannot be read.

    Entries below it that cannot be read are skipped and reported to `skip`; without a `skip` they raise OSError too.
    """
    if not path.is_dir():
        yield from _read_file(path)
        return
    if (path / "cur").is_dir() or (path / "new").is_dir():
        yield from _maildir(path, skip)
        return
    for entry in sorted(path.iterdir()):
        if not entry.name.startswith("."):
            yield from _passing_over(entry, _read_entry(entry, skip), skip)


def _passing_over(entry: Path, messages: Iterator[bytes], skip: Skip | None) -> Iterator[bytes]:
    """Yield the messages of an entry, as far as it can be read."""
    try:
        yield from messages
    except OSError as error:
        if skip is None:
            raise
        skip(entry, error)


def _read_entry(entry: Path, skip: Skip | None) -> Iterator[bytes]:
    """Read an entry of a folder: another folder, or a file that looks like mail."""
    if _is_folder(entry):
        yield from iter_messages(entry, skip)
    elif entry.is_file() and _looks_like_mail(entry):
        yield from _read_file(entry)


def _maildir(path: Path, skip: Skip | None) -> Iterator[bytes]:
    for folder in (path / "cur", path / "new"):
        yield from _passing_over(folder, _maildir_part(folder, skip), skip)
    for entry in sorted(path.iterdir()):
        # Maildir++ keeps its sub-folders beside cur and new, with a leading dot.
        if entry.name not in {"cur", "new", "tmp"}:
            yield from _passing_over(entry, _read_folder(entry, skip), skip)


def _maildir_part(folder: Path, skip: Skip | None) -> Iterator[bytes]:
    for entry in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not entry.name.startswith("."):
            yield from _passing_over(entry, _read_message(entry), skip)


def _read_message(entry: Path) -> Iterator[bytes]:
    """Yield a Maildir's file as one message, whatever it begins with."""
    if entry.is_file():
        with entry.open("rb") as source:
            yield source.read(MAX_MESSAGE)


def _read_folder(entry: Path, skip: Skip | None) -> Iterator[bytes]:
    if _is_folder(entry):
        yield from iter_messages(entry, skip)


def _is_folder(entry: Path) -> bool:
    """Return whether an entry is a folder; links are not followed, since they may form a cycle."""
    return entry.is_dir() and not entry.is_symlink()


def has_headers(raw: bytes) -> bool:
    """Return whether the bytes begin with a header, as a message does."""
    return _HEADER.match(raw.removeprefix(_BOM)) is not None


def _looks_like_mail(path: Path) -> bool:
    if path.suffix.lower() in _MESSAGE_NAMES:
        return True
    with path.open("rb") as source:
        return has_headers(source.readline(_LONGEST_LINE))


def _read_file(path: Path) -> Iterator[bytes]:
    with path.open("rb") as source:
        is_mbox = source.read(5) == b"From " and path.suffix.lower() != ".eml"
    if is_mbox:
        yield from _mbox(path)
        return
    with path.open("rb") as source:
        yield source.read(MAX_MESSAGE)


def _mbox(path: Path) -> Iterator[bytes]:
    """Split at "From " lines that follow an empty line (or nothing) and precede a header."""
    lines: list[bytes] = []
    size = 0
    separator: bytes | None = None
    after_blank = True
    with path.open("rb") as source:
        while line := source.readline(_LONGEST_LINE):
            if separator is not None:
                if _HEADER.match(line) and lines:
                    yield b"".join(lines)
                    lines, size = [], 0
                elif lines:
                    lines.append(separator)
                separator = None
            if after_blank and line.startswith(b"From "):
                separator = line
                after_blank = False
                continue
            after_blank = line in {b"\n", b"\r\n"}
            size += len(line)
            if size <= MAX_MESSAGE:
                lines.append(line[1:] if _ESCAPED.match(line) else line)
    if lines:
        yield b"".join(lines)
