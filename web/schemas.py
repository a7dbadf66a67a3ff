"""What goes over the wire, typed: every request and answer as a msgspec Struct, once for checking and once for the docs.

web/validation.py converts into the requests, web/openapi.py makes schemas of all of them, and the tests hold every answer
against its schema. Times are RFC 3339 in UTC with milliseconds and `Z`, durations milliseconds unless the name says seconds.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Label = Literal["meeting", "promotion", "intro", "unknown"]
Decider = Literal["model", "rule", "person"]
EmailState = Literal["queued", "retrying", "processed", "dead", "discarded", "erased"]
ABSENT_STATES = ("queued", "retrying", "dead", "discarded", "unknown")
Reason = Literal[
    "gone",
    "fetch_failed",
    "invalid_email",
    "too_large",
    "classifier_error",
    "classifier_timeout",
    "crashed_process",
]
Status = Literal["healthy", "degraded", "unhealthy"]
Time = Annotated[str, Meta(examples=["2026-01-31T12:00:00.000Z"], extra_json_schema={"format": "date-time"})]
Confidence = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0)]
HistoryId = Annotated[int, Meta(ge=0, le=2**63 - 1, examples=[42])]
EmailId = Annotated[str, Meta(description="As FakeMail gave it", examples=["email-0001"])]
Wait = Annotated[
    float, Meta(ge=0, le=30, description="Hold the answer up to this many seconds until there is a result")
]
Limit = Annotated[int, Meta(ge=1, le=100, description="Items on a page")]
Cursor = Annotated[str, Meta(min_length=1, max_length=200, description="`next_cursor` of the page before")]
SourceName = Annotated[str, Meta(min_length=1, max_length=100, description="A FakeMail account by its name")]
Filter = Annotated[str, Meta(max_length=1024)]
Search = Annotated[
    str,
    Meta(
        max_length=10_000,
        description='Words, "phrases", -not, from:, subject:, class:, confidence:<0.6, before:, after:; anything else is text',
        examples=["invoice -draft from:example.com"],
    ),
]
Moment = Annotated[str, Meta(max_length=64, description="An ISO date or time", examples=["2026-01-31"])]


class FieldError(msgspec.Struct):
    """One field that does not fit."""

    field: str
    message: str


class ProblemAnswer(msgspec.Struct, rename={"kind": "type"}):
    """RFC 9457 problem details. More members say what the status alone does not."""

    kind: str
    title: str
    status: int
    detail: str
    instance: str
    request_id: str
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    dependency: str | msgspec.UnsetType = msgspec.UNSET
    state: str | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    attempts: int | msgspec.UnsetType = msgspec.UNSET
    next_attempt_at: Time | msgspec.UnsetType = msgspec.UNSET
    sources: list[str] | msgspec.UnsetType = msgspec.UNSET
    oldest: str | msgspec.UnsetType = msgspec.UNSET
    newest: str | msgspec.UnsetType = msgspec.UNSET


# -- the webhook


class WebhookRequest(msgspec.Struct):
    """FakeMail's notification; other fields are ignored."""

    history_id: HistoryId


class WebhookAccepted(msgspec.Struct):
    """It is durable: this history will be looked at."""

    status: Literal["accepted"]
    history_id: HistoryId


class SetupRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Where FakeMail shall send its notifications from now on."""

    webhook_url: Annotated[
        str,
        Meta(min_length=8, max_length=2048, pattern=r"^https?://[^\s/?#]", examples=["http://127.0.0.1:8005/webhook"]),
    ]


class SetupAnswer(msgspec.Struct):
    """FakeMail was asked to watch and to notify."""

    status: Literal["ok"]
    source: str
    webhook_url: str
    history_id: HistoryId


class NotificationItem(msgspec.Struct):
    """A webhook that was accepted, and what it led to."""

    source: str
    received_at: Time
    history_id: HistoryId
    webhook_id: str | None
    outcome: str
    emails: Count
    email_ids: list[str]


class NotificationPage(msgspec.Struct):
    """Newest first; kept for 7 days."""

    items: list[NotificationItem]
    next_cursor: str | None


class NotificationQuery(msgspec.Struct):
    """A page of notifications."""

    source: SourceName | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


# -- results and emails


class Evidence(msgspec.Struct):
    """One reason: which class it speaks for, how loudly (log-odds), and where in the text it stands."""

    kind: str
    name: str
    label: str
    weight: float
    field: str
    start: int | None = None
    end: int | None = None


class Explanation(msgspec.Struct):
    """Why an email has its label: the strongest evidence first, and the smallest change that would flip it."""

    evidence: list[Evidence]
    margin: float
    distance_to_threshold: float
    flip: dict[str, Any] | None = None


class ResultItem(msgspec.Struct):
    """A result; `confidence` is the probability that this label is right."""

    email_id: EmailId
    source: str
    classification: Label
    confidence: Confidence
    decided_by: Decider
    model_version: str
    below_threshold: bool
    runner_up: str | None
    processed_at: Time
    processor_id: str
    processing_time_ms: float
    queued_ms: float | None
    total_ms: float | None
    truncated: bool


class ListedResult(ResultItem, kw_only=True):
    """A result in a list."""

    subject: str
    sender: str


class ResultAnswer(ResultItem, kw_only=True):
    """A result, with the email's text or the reasons where they were asked for."""

    subject: str | msgspec.UnsetType = msgspec.UNSET
    body: str | msgspec.UnsetType = msgspec.UNSET
    probabilities: dict[Label, Confidence] | msgspec.UnsetType = msgspec.UNSET
    explanation: Explanation | msgspec.UnsetType | None = msgspec.UNSET


class ResultPage(msgspec.Struct):
    """Newest first by order of storing. `index_lag`: emails that a search by `q` cannot find yet."""

    items: list[ListedResult]
    next_cursor: str | None
    index_lag: Count | None = None


class EmailItem(msgspec.Struct):
    """One email as the books know it, with its result where there is one."""

    email_id: EmailId
    source: str
    state: EmailState
    listed_at: Time
    attempts: Count
    next_attempt_at: Time | None
    last_error: str | None
    subject: str | None
    sender: str | None
    result: ResultItem | None


class EmailAnswer(EmailItem, kw_only=True):
    """One email with its text, as far as it is kept."""

    body: str | None
    recipient: str | None
    timestamp: Time | None
    headers: dict[str, str | list[str]]
    truncated: bool


class EmailPage(msgspec.Struct):
    """Newest first by order of listing. `index_lag`: emails that a search by `q` cannot find yet."""

    items: list[EmailItem]
    next_cursor: str | None
    index_lag: Count | None = None


class Stage(msgspec.Struct):
    """One step on an email's way."""

    name: str
    at: Time
    duration_ms: float | None = None
    detail: str | None = None


class Timeline(msgspec.Struct):
    """Every stage of one email with its time, oldest first."""

    email_id: EmailId
    source: str
    state: EmailState
    stages: list[Stage]


class SourceQuery(msgspec.Struct):
    """Which source; without it `main`, else the only one that knows the id."""

    source: SourceName | None = None


class ResultQuery(msgspec.Struct):
    """How one result is asked for."""

    source: SourceName | None = None
    wait: Wait = 0
    include_content: bool = False
    explain: bool = False


class PageQuery(msgspec.Struct):
    """The filters of /results and /emails; all that are given must hold."""

    classification: Label | None = None
    min_confidence: Confidence | None = None
    max_confidence: Confidence | None = None
    sender: Filter | None = None
    source: SourceName | None = None
    state: EmailState | None = None
    decided_by: Decider | None = None
    since: Moment | None = None
    until: Moment | None = None
    q: Search | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class LabelRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A person's correction."""

    classification: Label


# -- classifying


class ClassifyRequest(msgspec.Struct, forbid_unknown_fields=True):
    """An email to be classified; nothing is stored."""

    subject: Annotated[str, Meta(examples=["Meeting tomorrow at 10"])]
    body: Annotated[str, Meta(examples=["Can we meet in room 4 to go through the plan?"])]
    sender: str = ""
    recipient: str = ""
    headers: dict[str, str | list[str]] = {}


class ClassifyAnswer(msgspec.Struct):
    """What the classifier would say, all probabilities and why."""

    classification: Label
    confidence: Confidence
    probabilities: dict[Label, Confidence]
    model_version: str
    below_threshold: bool
    runner_up: str
    flags: list[str]
    explanation: Explanation


# -- figures


class LaneDepths(msgspec.Struct):
    """What waits, by priority."""

    high: Count
    normal: Count
    low: Count


class Stats(msgspec.Struct):
    """The figures of all nodes together. Percentiles are over the last 5 minutes; null before the first email."""

    total_emails_processed: Count
    emails_by_classification: dict[Label, Count]
    avg_processing_time_ms: float | None
    min_processing_time_ms: float | None
    max_processing_time_ms: float | None
    p50_processing_time_ms: float | None
    p95_processing_time_ms: float | None
    p99_processing_time_ms: float | None
    success_rate: float | None
    error_count: Count
    retry_count: Count
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


class Component(msgspec.Struct):
    """One part of the system; `reason` says what is wrong with it."""

    status: Status
    latency_ms: float | None = None
    reason: str | None = None


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


class DeadLetterAnswer(DeadLetterItem, kw_only=True):
    """A dead letter with its state, each of its attempts and what is kept of the email."""

    state: str
    tries: list[AttemptItem]
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
