"""What goes over the wire, second half: figures, actors, health, dead letters, events, logging in.

As web/schemas.py, whose common types it builds on.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import Count, Cursor, EmailId, Filter, Label, Limit, Moment, Reason, SourceName, Status, Time

# -- figures


class LaneDepths(msgspec.Struct):
    """What waits, by priority."""

    high: Count
    normal: Count
    low: Count


class Stats(msgspec.Struct):
    """The figures of all nodes together. Percentiles are over the last 5 minutes; null before the first email.

    With `source` those of one account: percentiles of its newest 1,000 at most, `error_count` and `retry_count` are null, and what is said of
    workers, nodes and uptime is of all sources.
    """

    total_emails_processed: Count
    emails_by_classification: dict[Label, Count]
    avg_processing_time_ms: float | None
    min_processing_time_ms: float | None
    max_processing_time_ms: float | None
    p50_processing_time_ms: float | None
    p95_processing_time_ms: float | None
    p99_processing_time_ms: float | None
    success_rate: float | None
    error_count: Count | None
    retry_count: Count | None
    dead_letters: Count
    queue_depth: Count
    queue_depth_by_priority: LaneDepths
    oldest_queued_age_seconds: float | None
    emails_per_minute: float
    last_history_id: int | None
    last_history_ids: dict[str, int]
    last_processed_at: Time | None
    busy_workers: Count
    available_workers: Count
    nodes: Count
    uptime_seconds: float
    source: SourceName | msgspec.UnsetType = msgspec.UNSET


class TimeseriesQuery(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """A span of time; without `to` until now, without `from` an hour (a day by hours) before that."""

    start: Moment | None = None
    end: Moment | None = None
    step: Literal["minute", "hour"] = "minute"


class Bucket(msgspec.Struct):
    """What was processed in one step of time."""

    at: Time
    total: Count
    counts: dict[Label, Count]


class Timeseries(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """Counts per class in UTC buckets, gaps as 0."""

    step: Literal["minute", "hour"]
    start: Time
    end: Time
    buckets: list[Bucket]


class AuditAnswer(msgspec.Struct):
    """The books in one snapshot: `listed` is the sum of the next six."""

    listed: Count
    results: Count
    queued: Count
    retrying: Count
    dead: Count
    discarded: Count
    erased: Count
    unaccounted: Count
    as_of: Time


# -- the system


class ProcessItem(msgspec.Struct):
    """One process of a node and its supervision tree."""

    process: str
    role: str | None
    pid: int | None
    started_at: Time | None
    workers: int | None
    busy: int | None
    actors: list[dict[str, Any]]


class NodeItem(msgspec.Struct):
    """One `run.py` and its processes."""

    node: str
    processes: list[ProcessItem]


class LaneItem(msgspec.Struct):
    """What waits in one lane of a mailbox, in hand included."""

    messages: Count
    bytes: Count
    in_hand: Count
    oldest_age_seconds: float


class ActorsAnswer(msgspec.Struct):
    """The supervision tree of every node, and what waits in each mailbox."""

    paused: bool
    workers: int | None
    nodes: list[NodeItem]
    mailboxes: dict[str, dict[str, LaneItem]]


class ResizeRequest(msgspec.Struct, forbid_unknown_fields=True):
    """How many classifier actors each process shall run."""

    workers: Annotated[int, Meta(ge=1, le=64, examples=[3])]


class ControlAnswer(msgspec.Struct):
    """The desired state of all nodes."""

    paused: bool
    workers: int | None


class SourceComponent(msgspec.Struct):
    """One FakeMail account."""

    status: Status
    latency_ms: float | None = None
    reason: str | None = None
    since: Time | None = None


class Component(msgspec.Struct):
    """One part of the system; `reason` says what is wrong with it, and `since` when the process that answers first saw it so.

    `sources`: of `fakemail`, where there are several.
    """

    status: Status
    latency_ms: float | None = None
    reason: str | None = None
    since: Time | None = None
    sources: dict[str, SourceComponent] | msgspec.UnsetType = msgspec.UNSET


class HealthAnswer(msgspec.Struct):
    """`healthy` and `degraded` come with 200, `unhealthy` with 503."""

    status: Status
    version: str
    components: dict[str, Component]
    metrics: dict[str, Any]


class StateAnswer(msgspec.Struct):
    """Whether the process lives, or is ready."""

    status: str
    reason: str | None = None


class RouteItem(msgspec.Struct):
    """One line of the route table."""

    method: str
    path: str
    summary: str


class IndexAnswer(msgspec.Struct):
    """What this server is and can do."""

    name: str
    version: str
    status: str
    routes: list[RouteItem]


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
    """One try that failed."""

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
    """A dead letter with its state, each of its attempts, every time the email died, and what is kept of it."""

    state: str
    tries: list[AttemptItem]
    lives: list[LifeItem]
    subject: str | None
    body: str | None
    sender: str | None


class DeadLetterPage(msgspec.Struct):
    """Newest first."""

    items: list[DeadLetterItem]
    next_cursor: str | None


class DeadLetterFilter(msgspec.Struct, forbid_unknown_fields=True):
    """Which dead letters to replay: all that fit every condition given; `dry_run` only counts them."""

    ids: Annotated[list[int], Meta(max_length=10_000)] | None = None
    reason: Reason | None = None
    source: SourceName | None = None
    email_id: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    dry_run: bool = False
    per_second: Annotated[int, Meta(ge=1, le=10_000, description="How fast a replay that becomes a task may go")] = 100


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
    """Dead letters of one cause."""

    reason: Reason
    error: str
    count: Count
    first_dead_at: Time
    last_dead_at: Time
    example: int | None = None


class DeadLetterGroups(msgspec.Struct):
    """Largest first."""

    items: list[DeadLetterGroup]


class ReplayAnswer(msgspec.Struct):
    """How many dead letters fit, and how many were opened again."""

    matched: Count
    replayed: Count
    dry_run: bool


# -- long work


class ResyncRequest(msgspec.Struct, forbid_unknown_fields=True, rename={"start": "from"}):
    """From which history id on the history shall be listed again."""

    start: Annotated[int, Meta(ge=0, le=2**63 - 1)] | Literal["beginning"]


class TaskItem(msgspec.Struct):
    """Long work; `total` is null until it is known, `recovered` (emails that the books had not known) is a resync's."""

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
    """Newest first."""

    items: list[TaskItem]
    next_cursor: str | None


class TaskQuery(msgspec.Struct):
    """A page of tasks."""

    limit: Limit = 20
    cursor: Cursor | None = None


# -- events


class EventQuery(msgspec.Struct):
    """A page of the event log; without `after` from its beginning."""

    after: Annotated[str, Meta(max_length=200, description="`seq` of the last event seen")] | None = None
    limit: Annotated[int, Meta(ge=1, le=1000, description="Events at most, approximately")] = 100
    wait: Annotated[float, Meta(ge=0, le=30, description="Wait so many seconds for the first one")] = 0


class EventMessage(msgspec.Struct, rename={"kind": "type"}):
    """One message, as the WebSocket sends it."""

    kind: Literal["email_event"]
    event: Literal["new", "process", "retry", "dead", "label"]
    data: dict[str, Any]
    timestamp: Time
    seq: str


class EventPage(msgspec.Struct):
    """Oldest first. `next_after` is where to go on, also when there was nothing."""

    items: list[EventMessage]
    next_after: str | None


# -- getting in


class LoginRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A token, for a session cookie."""

    token: Annotated[str, Meta(min_length=1, max_length=1024)]


class LoginAnswer(msgspec.Struct):
    """A session began; the cookie came with this answer."""

    status: Literal["ok"]
    role: Literal["full", "read"]
    expires_at: Time


class EraseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Whose emails shall go: an address, as it stands alone or within `Name <address>`, in any case."""

    sender: Annotated[str, Meta(min_length=3, max_length=512, examples=["anna@example.com"])]
    dry_run: bool = False


class EraseAnswer(msgspec.Struct):
    """What went. `complete` false: ask again. `waiting`: open emails, whose senders nobody knows yet."""

    matched: Count
    erased: Count
    dry_run: bool
    complete: bool
    waiting: Count
