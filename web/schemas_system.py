"""Data types of the API for the system itself: figures, actors, health. They build on web/schemas.py."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import Count, Label, Moment, SourceName, Status, Time

# -- figures


class LaneDepths(msgspec.Struct):
    """What waits, by priority."""

    high: Count
    normal: Count
    low: Count


class Stats(msgspec.Struct):
    """The figures of all nodes together. Percentiles are over the last 5 minutes; null before the first email.

    With `source`, those of one account: percentiles are over its newest 1,000 emails at most, `error_count` and
    `retry_count` are null, and `paused` and the figures of workers, nodes and uptime are those of all sources.
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
    paused: bool
    uptime_seconds: float
    source: SourceName | msgspec.UnsetType = msgspec.UNSET


class TimeseriesQuery(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """A span of time; `to` is by default now, `from` an hour before `to`, or a day if `step` is `hour`.

    `source` is refused if there are several, since the counts are kept for all of them together.
    """

    start: Moment | None = None
    end: Moment | None = None
    step: Literal["minute", "hour"] = "minute"
    source: SourceName | None = None


class Bucket(msgspec.Struct):
    """What was processed in one step of time."""

    at: Time
    total: Count
    counts: dict[Label, Count]


class Timeseries(msgspec.Struct, rename={"start": "from", "end": "to"}):
    """Counts per class in UTC buckets; a bucket without emails has zeros."""

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
    """One node: a `run.py` and its processes."""

    node: str
    processes: list[ProcessItem]


class LaneItem(msgspec.Struct):
    """What waits in one lane of a mailbox, including what is being processed (`in_hand`)."""

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
    """How many classifier actors each process is to run."""

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
    """One part of the system. `since`: when the process that answers first saw it unwell.

    `reason`: what is wrong with it, only for callers with read access. `sources`: the accounts of `fakemail`, if there
    are several.
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
    """Whether the process is alive, or ready; `reason`, why it is not, is only for callers with read access."""

    status: str
    reason: str | None = None


class RouteItem(msgspec.Struct):
    """One row of the route table."""

    method: str
    path: str
    summary: str


class IndexAnswer(msgspec.Struct):
    """What this server is and can do."""

    name: str
    version: str
    status: str
    routes: list[RouteItem]
