"""Reads the files that settings name: container secrets, and FAKEMAIL_SOURCES."""

from pathlib import Path

MOST_OF_A_FILE = 64 * 1024


def read_file(path: str | Path) -> str:
    """Return a file's content without surrounding blanks; raises ValueError with the reason if that is impossible.

    Only regular files are read: a pipe or a terminal would block the start until somebody writes to it.
    """
    try:
        if not Path(path).is_file() and Path(path).exists():
            raise ValueError("is not a regular file")
        with Path(path).open("rb") as file:
            content = file.read(MOST_OF_A_FILE + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror or type(error).__name__})") from None
    if len(content) > MOST_OF_A_FILE:
        raise ValueError(f"has more than {MOST_OF_A_FILE // 1024} KiB")
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        raise ValueError("cannot be read (it is not UTF-8)") from None
