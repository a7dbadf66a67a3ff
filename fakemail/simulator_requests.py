"""Reads, checks and writes the simulator's bodies; an error names the wrong field.

Used by simulator_http.py. Texts may contain lone surrogates and NULs, as those of real emails do; unknown fields are
dropped.
"""

import json
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from engine.wording import explain
from fakemail.answers import Garbled, read_slowly
from fakemail.listing import NoList, read_items

T = TypeVar("T")
MAX_ID_BYTES = 1024


class BadRequest(Exception):
    """The client's fault: 400 for a body that is not JSON, 422 for a wrong `field`."""

    def __init__(self, status: int, detail: str, field: str | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.field = field


class NewEmail(msgspec.Struct):
    """An email to send. With an `id`, sending it again changes nothing."""

    subject: str
    body: str
    id: str | None = None
    sender: str | None = None
    recipient: str | None = None
    headers: dict[str, str | list[str]] | None = None
    priority: Literal["high", "normal", "low"] | None = None


class SubscribeRequest(msgspec.Struct):
    """The URL to notify."""

    webhook_url: Annotated[str, msgspec.Meta(max_length=2000)]


class OpinionRequest(msgspec.Struct):
    """The text that FakeMail is to classify."""

    subject: str
    body: str


def read(kind: type[T], body: bytes) -> T:
    """Read a body as a `kind`; raises BadRequest."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise _wrong_field(error, kind, "") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass  # not JSON, or JSON with lone surrogates
    try:
        return _convert(kind, read_slowly(body), "")
    except Garbled as error:
        raise BadRequest(400, "The body is not valid JSON.") from error


def read_new_email(body: bytes) -> NewEmail:
    """Read an email to send; raises BadRequest."""
    return _check(read(NewEmail, body), "")


def read_batch(body: bytes) -> list[NewEmail]:
    """Read the emails of `{"emails": [...]}`; raises BadRequest."""
    emails: list[NewEmail] = []
    try:
        for item in read_items(body, ("emails",), bare=False):
            where = f"emails[{len(emails)}]."
            emails.append(_check(_convert(NewEmail, item, where), where))
    except NoList as error:
        raise BadRequest(422, "emails: it must be a list of emails.", "emails") from error
    except Garbled as error:
        raise BadRequest(400, "The body is not valid JSON.") from error
    return emails


def write(value: Any) -> bytes:
    """Return a value as JSON; lone surrogates, which msgspec rejects, are escaped."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def _convert(kind: type[T], value: Any, where: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise _wrong_field(error, kind, where) from error


def _check(email: NewEmail, where: str) -> NewEmail:
    if email.id is not None and not 0 < len(email.id.encode("utf-8", "surrogatepass")) <= MAX_ID_BYTES:
        field = f"{where}id"
        raise BadRequest(422, f"{field}: it must have 1 to {MAX_ID_BYTES} bytes of UTF-8.", field)
    return email


def _wrong_field(error: msgspec.ValidationError, kind: type[Any], where: str) -> BadRequest:
    path, reason = explain(error, kind)
    field = f"{where}{path}".rstrip(".")
    return BadRequest(422, f"{field}: {reason}." if field else f"The body {reason}.", field or None)
