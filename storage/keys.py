"""Email ids as keys: turns any string that FakeMail may use as an id into a form that the databases and Redis can hold.

Used by the books when ids come in, and by the web to show ids and to look them up. Only NUL, lone surrogates and the
backslash itself are changed, so nearly every id is its own key; ids that are too long are replaced by their hash.
"""

import hashlib
import re

MAX_KEY_BYTES = 512
"""A key that is longer (as UTF-8) is not stored: the email becomes a dead letter under the hash of its id."""

_UNSAFE = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")
_HASHED = re.compile(r"\\#[0-9a-f]{64}")


def escape_id(email_id: str) -> str:
    r"""Return an id's storable form: `\` → `\\`, NUL and lone surrogates → `\uXXXX`; `unescape_id` reverses it."""
    return _UNSAFE.sub(lambda match: "\\\\" if match[0] == "\\" else f"\\u{ord(match[0]):04x}", email_id)


def unescape_id(key: str) -> str:
    """Return the id of a key; a hashed key is returned unchanged, because its id is not kept."""
    if _HASHED.fullmatch(key):
        return key
    return _ESCAPED.sub(lambda match: "\\" if match[1] == "\\" else chr(int(match[1][1:], 16)), key)


def hashed_key(email_id: str) -> str:
    r"""Return the key of an id that is too long: `\#` and its SHA-256, which no escaped id can equal."""
    return "\\#" + hashlib.sha256(email_id.encode("utf-8", "surrogatepass")).hexdigest()


def is_hashed(key: str) -> bool:
    """Return whether a key is the hash of an id that was too long."""
    return key.startswith("\\#")


def email_key(email_id: str) -> str:
    """Return the key that the books use for an id of any length."""
    key = escape_id(email_id)
    return key if len(key.encode()) <= MAX_KEY_BYTES else hashed_key(email_id)


def shown_key(shown: str) -> str:
    """Return the key of an id as API answers show it, where a hashed key stands for itself."""
    return shown if _HASHED.fullmatch(shown) else email_key(shown)
