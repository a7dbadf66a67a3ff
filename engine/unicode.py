"""Text from elsewhere, made fit: as UTF-8, JSON and databases can hold it, where half a surrogate pair becomes U+FFFD, and in a normal form."""

import re
import unicodedata
from typing import Any, Literal

LONGEST_RUN = 64
_LONG_RUN = re.compile(rf"[^\x00-\x7f]{{{LONGEST_RUN + 1}}}")
_PIECES = re.compile(rf"[\x00-\x7f]*[^\x00-\x7f]{{0,{LONGEST_RUN}}}")


def whole(text: str) -> str:
    """Replace lone surrogates; two that make a pair become their character."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def storable(text: str) -> str:
    """Replace what no database holds: NUL and lone surrogates."""
    return whole(text.replace("\0", "\ufffd") if "\0" in text else text)


def whole_json(value: Any) -> Any:
    """The same in every name and text of what JSON is made of."""
    if isinstance(value, str):
        return whole(value)
    if isinstance(value, dict):
        return {whole(name): whole_json(item) for name, item in value.items()}
    return [whole_json(item) for item in value] if isinstance(value, list) else value


def normalized(form: Literal["NFKC", "NFKD"], text: str) -> str:
    """The normal form, in a time that grows with the length: to put a row of marks in order takes `unicodedata` the square of its length.

    More than LONGEST_RUN characters beyond ASCII in a row are taken in pieces; where they are cut, a mark may stay apart from its letter
    or out of order.
    """
    if not _LONG_RUN.search(text):
        return unicodedata.normalize(form, text)
    return "".join(unicodedata.normalize(form, piece) for piece in _PIECES.findall(text))
