"""Makes outside text safe: valid for UTF-8, JSON and databases (a lone surrogate becomes U+FFFD), and normalized."""

import re
import unicodedata
from typing import Any, Literal

LONGEST_RUN = 64
_LONG_RUN = re.compile(rf"[^\x00-\x7f]{{{LONGEST_RUN + 1}}}")
_PIECES = re.compile(rf"[\x00-\x7f]*[^\x00-\x7f]{{0,{LONGEST_RUN}}}")


def whole(text: str) -> str:
    """Replace lone surrogates; a pair of them becomes its character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def storable(text: str) -> str:
    """Replace what databases cannot hold: NUL and lone surrogates."""
    return whole(text.replace("\0", "\ufffd") if "\0" in text else text)


def whole_json(value: Any) -> Any:
    """Apply `whole` to every name and string of a JSON value."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(name): whole_json(item) for name, item in value.items()}
    return [whole_json(item) for item in value] if isinstance(value, list) else value


def normalized(form: Literal["NFKC", "NFKD"], text: str) -> str:
    """Return the normal form in linear time; `unicodedata` needs quadratic time to reorder a run of combining marks.

    A run of more than LONGEST_RUN non-ASCII characters is processed in pieces; where it is cut, a mark may stay apart
    from its letter or out of order.
    """
    if not _LONG_RUN.search(text):
        return unicodedata.normalize(form, text)
    return "".join(unicodedata.normalize(form, piece) for piece in _PIECES.findall(text))
