"""Decodes bytes of any charset, stated or not, and encoded header words to text. Never raises, never slow.

mime.py calls it for every part and header.
"""

import codecs
import email.errors
import email.header
import re

# Codecs that are not charsets of mail; some of them (punycode, idna) take quadratic time on hostile bytes.
_REFUSED = re.compile(r"punycode|idna|escape|undefined|mbcs|oem|palmos", re.IGNORECASE)
_ENCODED_WORD = re.compile(r"=\?[^?]{1,40}\?[bqBQ]\?")


def decode_bytes(data: bytes, charset: str) -> str:
    """Decode with the stated charset if it is usable and fits, else as UTF-8.

    If neither fits, use the stated charset or else Windows-1252, with invalid bytes replaced.
    """
    for name in (_usable(charset), "utf-8"):
        if name:
            try:
                return data.decode(name)
            except (UnicodeError, ValueError):
                continue
    stated = _usable(charset)
    return data.decode(stated if stated not in {"", "ascii"} else "cp1252", "replace")


def _usable(charset: str) -> str:
    name = charset.strip().strip("\"'")[:40]
    if not name or _REFUSED.search(name) or "\0" in name:
        return ""
    try:
        found = codecs.lookup(name)
    except (LookupError, ValueError):
        return ""
    # "rot13", "hex", "zip" and the like are codecs too, but do not decode bytes to text.
    return found.name if getattr(found, "_is_text_encoding", True) else ""


def decode_header_value(value: str) -> str:
    """Return a header's value as text on one line, with encoded words and raw 8-bit bytes decoded."""
    value = " ".join(value.split())
    if not value.isascii():
        value = decode_bytes(value.encode("utf-8", "surrogateescape"), "")
    if not _ENCODED_WORD.search(value):
        return value
    try:
        chunks = email.header.decode_header(value)
    except (email.errors.HeaderParseError, ValueError, LookupError):
        return value
    return "".join(chunk if isinstance(chunk, str) else decode_bytes(chunk, charset or "") for chunk, charset in chunks)
