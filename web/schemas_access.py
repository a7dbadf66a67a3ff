"""Data types of the API for access and the action log. They build on web/schemas.py."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import Cursor, Limit, Moment, Time


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A token to exchange for a session cookie."""

    token: Annotated[str, Meta(min_length=1, max_length=1024)]


class LoginAnswer(msgspec.Struct):
    """A session has begun; this answer set its cookie."""

    status: Literal["ok"]
    role: Literal["full", "read"]
    expires_at: Time


class LogoutQuery(msgspec.Struct):
    """Whether to end everybody's sessions, or only this one."""

    everywhere: bool = False


class ActionQuery(msgspec.Struct):
    """A page of the action log."""

    who: Annotated[str, Meta(max_length=64, description="Who acted, as in the items")] | None = None
    action: Annotated[str, Meta(max_length=200, description="Method and route, such as POST /actors/pause")] | None = (
        None
    )
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class ActionItem(msgspec.Struct):
    """One action. `who` is `token`, `session:ID` or `local` (if no token is set)."""

    id: int
    at: Time
    who: str
    role: Literal["full", "read", ""]
    address: str
    action: str
    target: str
    detail: dict[str, Any]
    status: int
    request_id: str


class ActionPage(msgspec.Struct):
    """Actions, newest first."""

    items: list[ActionItem]
    next_cursor: str | None
