"""Data types of the API for dead letters and their replay, long work, and erasing.

They build on web/schemas.py.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import Count, Cursor, EmailId, Filter, HistoryId, Limit, Moment, Number, Reason, SourceName, Time

# -- dead letters


class DeadLetterItem(msgspec.Struct):
    """An email that failed for good."""

    id: int
    email_id: EmailId
    source: str
    reason: Reason
    error: str
    attempts: Count
    first_seen: Time
    dead_at: Time


class AttemptItem(msgspec.Struct):
    """One attempt that failed."""

    attempt: int
    at: Time
    reason: str
    error: str
    processor_id: str | None = None


class LifeItem(msgspec.Struct):
    """One time that the email failed for good."""

    id: int
    state: str
    reason: Reason
    error: str
    attempts: Count
    dead_at: Time


class DeadLetterAnswer(DeadLetterItem, kw_only=True):
    """A dead letter with its state and attempts, each time the email failed for good, and what is kept of the email."""

    state: str
    tries: list[AttemptItem]
    lives: list[LifeItem]
    subject: str | None
    body: str | None
    sender: str | None


class DeadLetterPage(msgspec.Struct):
    """Dead letters, newest first."""

    items: list[DeadLetterItem]
    next_cursor: str | None


class DeadLetterFilter(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters: those that fit all conditions given."""

    ids: Annotated[list[Number], Meta(max_length=10_000)] | None = None
    reason: Reason | None = None
    source: SourceName | None = None
    email_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None


class ReplayRequest(DeadLetterFilter, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters to replay; conditions are in `filter` or beside it. `dry_run` only counts them."""

    filter: DeadLetterFilter = msgspec.field(default_factory=DeadLetterFilter)
    dry_run: bool = False
    per_second: Annotated[
        int, Meta(ge=1, le=10_000, description="Emails per second, for a replay that runs as a task")
    ] = 100


class DeadLetterQuery(msgspec.Struct):
    """A page of dead letters."""

    reason: Reason | None = None
    source: SourceName | None = None
    email_id: Filter | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class DeadLetterGroup(msgspec.Struct):
    """The dead letters of one cause."""

    reason: Reason
    error: str
    count: Count
    first_dead_at: Time
    last_dead_at: Time
    example: int | None = None


class GroupsQuery(msgspec.Struct):
    """One source; without it, all."""

    source: SourceName | None = None


class DeadLetterGroups(msgspec.Struct):
    """Groups, largest first."""

    items: list[DeadLetterGroup]


class ReplayAnswer(msgspec.Struct):
    """How many dead letters matched, and how many were replayed."""

    matched: Count
    replayed: Count
    dry_run: bool


# -- long work


class ResyncRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from"}):
    """The history id from which the history is listed again."""

    start: HistoryId | Literal["beginning"]


class TaskItem(msgspec.Struct):
    """Long work. `total` is null until it is known; `recovered` (emails new to the books) is set for a resync only."""

    id: int
    kind: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    params: dict[str, Any]
    done: Count
    total: Count | None
    recovered: Count | None
    counts: dict[str, int]
    error: str | None
    created_at: Time
    started_at: Time | None
    ended_at: Time | None
    updated_at: Time


class TaskPage(msgspec.Struct):
    """Tasks, newest first."""

    items: list[TaskItem]
    next_cursor: str | None


class TaskQuery(msgspec.Struct):
    """A page of tasks."""

    limit: Limit = 20
    cursor: Cursor | None = None


# -- erasing


class EraseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Whose emails to erase: an address. It matches a sender that is this address, or `Name <address>`, in any case."""

    sender: Annotated[str, Meta(min_length=3, max_length=512, examples=["anna@example.com"])]
    dry_run: bool = False


class EraseAnswer(msgspec.Struct):
    """What was erased. `complete` false: repeat the request. `waiting`: open emails, of senders not known yet."""

    matched: Count
    erased: Count
    dry_run: bool
    complete: bool
    waiting: Count
