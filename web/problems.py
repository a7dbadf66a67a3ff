"""Errors as clients see them: application/problem+json (RFC 9457) with the request's id.

Handlers raise `Problem`; web/dispatch.py turns it, and every other exception, into an answer through `from_error`. This
module alone decides what a client may read: no traceback and no text of an unexpected exception ever leaves.
"""

from typing import Any

import msgspec

from engine.errors import DependencyTrouble, StaleError
from fakemail.client import RequestRefused
from fakemail.unset import UnsetError
from web.server_problems import Header, Refusal, retry_after

JSON_MEDIA = "application/json"
RETRY_AFTER_S = 1.0


NULL = msgspec.Raw(b"null")
"""A member with this value is sent as null; one that is None is left out."""


class Problem(Refusal):
    """An error answer of the application; of `members`, those that are NULL are sent as null."""

    def __init__(self, status: int, detail: str, *, headers: tuple[Header, ...] = (), **members: Any) -> None:
        super().__init__(status, detail, headers, members)


def misfit(field: str, message: str, status: int = 422) -> Problem:
    """Return the problem of one unfit field: 400 in a query, 422 in a body. An empty `field` means the whole body."""
    whole = f"{field}: {message}" if field else f"the body {message}"
    return Problem(status, whole, errors=[{"field": field, "message": message}])


def from_error(error: BaseException) -> Refusal:
    """Return the answer to an exception that a handler let through."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, RequestRefused):  # it answered and refused: retrying is useless
        return Problem(502, str(error), dependency=error.dependency)
    if isinstance(error, UnsetError):
        return Problem(409, str(error), dependency=error.dependency)
    if isinstance(error, DependencyTrouble):
        wait = RETRY_AFTER_S if error.retry_after is None else error.retry_after
        detail = f"{error.dependency} cannot be reached or is too slow; try again"
        return Problem(503, detail, headers=(retry_after(wait),), dependency=error.dependency)
    if isinstance(error, StaleError):
        return Problem(409, "somebody else has changed this in the meantime; read it again")
    return Problem(500, "the server failed to answer this request; its log says why")
