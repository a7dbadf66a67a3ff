"""Email ids as keys: any string that FakeMail may call an email, in a form that both databases and Redis can hold.

Used by the books when ids come in and by the web when it shows them or is asked for one. Only NUL, lone surrogates and the
backslash itself are changed, so nearly every id is its own key; ids that are too long go by their hash.
"""

import hashlib
import re

MAX_KEY_BYTES = 512
"""A longer key (as UTF-8) is not stored: such an email is a dead letter under its hash."""

_UNSAFE = re.compile("[\\\\\x00\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(\\|u[0-9a-f]{4})")
_HASHED = re.compile(r"\\#[0-9a-f]{64}")


def escape_id(email_id: str) -> str:
    r"""Give an id its storable form: `\` → `\\`, NUL and lone surrogates → `\uXXXX`; reversible by `unescape_id`."""
    return _UNSAFE.sub(lambda match: "\\\\" if match[0] == "\\" else f"\\u{ord(match[0]):04x}", email_id)


def unescape_id(key: str) -> str:
    """Give back the id that a key stands for; a hashed key stands for itself, since its id is not kept."""
    if _HASHED.fullmatch(key):
        return key
    return _ESCAPED.sub(lambda match: "\\" if match[1] == "\\" else chr(int(match[1][1:], 16)), key)


def hashed_key(email_id: str) -> str:
    r"""Give the key of an id that is too long: `\#` and its SHA-256; no escaped id can look like it."""
    return "\\#" + hashlib.sha256(email_id.encode("utf-8", "surrogatepass")).hexdigest()


def is_hashed(key: str) -> bool:
    """Say whether a key is the hash of an id that was too long."""
    return key.startswith("\\#")


def email_key(email_id: str) -> str:
    """Give the key that the books use for an id of any length."""
    key = escape_id(email_id)
    return key if len(key.encode()) <= MAX_KEY_BYTES else hashed_key(email_id)


def shown_key(shown: str) -> str:
    """Give the key of an id as people see it in our answers, where a hashed key is its own name."""
    return shown if _HASHED.fullmatch(shown) else email_key(shown)
