"""What goes over the wire about getting in and about who did what. As web/schemas.py, whose common types it builds on."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import Cursor, Limit, Moment, Time


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A token, for a session cookie."""

    token: Annotated[str, Meta(min_length=1, max_length=1024)]


class LoginAnswer(msgspec.Struct):
    """A session began; the cookie came with this answer."""

    status: Literal["ok"]
    role: Literal["full", "read"]
    expires_at: Time


class LogoutQuery(msgspec.Struct):
    """Whether all sessions end, of everybody, or only this one."""

    everywhere: bool = False


class ActionQuery(msgspec.Struct):
    """A page of the action log."""

    who: Annotated[str, Meta(max_length=64, description="As in the items")] | None = None
    action: Annotated[str, Meta(max_length=200, description="Method and route, such as POST /actors/pause")] | None = (
        None
    )
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class ActionItem(msgspec.Struct):
    """One act. `who` is `token`, `session:ID` or `local` (no token is set)."""

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
    """Newest first."""

    items: list[ActionItem]
    next_cursor: str | None
