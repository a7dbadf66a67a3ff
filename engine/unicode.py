"""Text from elsewhere as UTF-8, JSON and databases can hold it: half a surrogate pair, which they have no bytes for, becomes U+FFFD."""

from typing import Any


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
