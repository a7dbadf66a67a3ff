"""The API's data types: every request and answer as a msgspec Struct, for validation and for the documentation.

Here are the common types, webhooks, results and emails; the rest is in web/schemas_*.py. web/validation.py converts
requests into them, web/openapi.py makes schemas of all, and the tests check every answer against its schema. Times are
RFC 3339 in UTC with milliseconds and `Z`; durations are in milliseconds unless the name says seconds.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from fakemail.answers import MAX_HISTORY_ID

Label = Literal["meeting", "promotion", "intro", "unknown"]
Decider = Literal["model", "rule", "person"]
Priority = Literal["high", "normal", "low"]
EmailState = Literal["queued", "retrying", "processed", "dead", "discarded", "erased"]
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
Number = Annotated[int, Meta(ge=1, le=2**53)]
"""Identifies something: a row, a place, a version. Databases hold no more than 64 bits, browsers no more than this."""
HistoryId = Annotated[int, Meta(ge=0, le=MAX_HISTORY_ID, examples=[42])]
EmailId = Annotated[str, Meta(description="The id that FakeMail gave", examples=["email-0001"])]
Wait = Annotated[
    float,
    Meta(
        ge=0,
        description="Wait up to this many seconds for something to report; at most 30, and more counts as 30",
    ),
]
Limit = Annotated[int, Meta(ge=1, le=100, description="Items per page")]
Cursor = Annotated[str, Meta(min_length=1, max_length=200, description="`next_cursor` of the previous page")]
SourceName = Annotated[str, Meta(min_length=1, max_length=100, description="The name of a FakeMail account")]
Filter = Annotated[str, Meta(max_length=1024)]
Search = Annotated[
    str,
    Meta(
        max_length=10_000,
        description='Words, "phrases", from:, subject:, class:, confidence:<0.6, before:, after:, each with - to exclude; '
        "all must match; anything else is text",
        examples=["invoice -draft from:example.com"],
    ),
]
Moment = Annotated[str, Meta(max_length=64, description="An ISO date or time", examples=["2026-01-31"])]


class FieldError(msgspec.Struct):
    """One field that is invalid."""

    field: str
    message: str


class ProblemAnswer(msgspec.Struct, rename={"kind": "type"}):
    """RFC 9457 problem details. Further members say what the status alone does not."""

    kind: str
    title: str
    status: int
    detail: str
    request_id: str
    instance: str | msgspec.UnsetType = msgspec.UNSET
    errors: list[FieldError] | msgspec.UnsetType = msgspec.UNSET
    dependency: str | msgspec.UnsetType = msgspec.UNSET
    state: str | msgspec.UnsetType = msgspec.UNSET
    source: str | msgspec.UnsetType = msgspec.UNSET
    reason: str | msgspec.UnsetType | None = msgspec.UNSET
    error: str | msgspec.UnsetType = msgspec.UNSET
    attempts: int | msgspec.UnsetType = msgspec.UNSET
    next_attempt_at: Time | msgspec.UnsetType | None = msgspec.UNSET
    sources: list[str] | msgspec.UnsetType = msgspec.UNSET
    oldest: str | msgspec.UnsetType = msgspec.UNSET
    newest: str | msgspec.UnsetType = msgspec.UNSET


# -- the webhook


class WebhookRequest(msgspec.Struct):
    """FakeMail's notification; other fields are ignored."""

    history_id: HistoryId


class WebhookAccepted(msgspec.Struct):
    """The notification is stored durably: this history will be looked at."""

    status: Literal["accepted"]
    history_id: HistoryId


class SetupRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Where FakeMail is to send its notifications from now on."""

    webhook_url: Annotated[str, Meta(min_length=1, max_length=2048, examples=["http://127.0.0.1:8005/webhook"])]


class SetupAnswer(msgspec.Struct):
    """FakeMail was asked to watch the account and to notify this URL."""

    status: Literal["ok"]
    source: str
    webhook_url: str
    history_id: HistoryId


class NotificationItem(msgspec.Struct):
    """An accepted webhook, and what it led to; `outcome` is `pending` until the history has been looked at."""

    source: str
    received_at: Time
    history_id: HistoryId
    webhook_id: str | None
    outcome: str
    emails: Count
    email_ids: list[str]


class NotificationPage(msgspec.Struct):
    """Newest first; kept for `KEEP_NOTIFICATIONS_DAYS` days, by default 7."""

    items: list[NotificationItem]
    next_cursor: str | None


class NotificationQuery(msgspec.Struct):
    """A page of notifications."""

    source: SourceName | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


# -- results and emails


class Evidence(msgspec.Struct):
    """One reason: which class it speaks for, how strongly (log-odds), and where in the text it is."""

    kind: str
    name: str
    label: str
    weight: float
    field: str
    start: int | None = None
    end: int | None = None


class Explanation(msgspec.Struct):
    """Why an email has its label: the strongest evidence first, and the smallest change that would flip it.

    `model_version` names the model whose reasons these are: the live one, if the model that decided is no longer in
    use.
    """

    model_version: str
    evidence: list[Evidence]
    margin: float
    distance_to_threshold: float
    flip: dict[str, Any] | None = None


class ResultItem(msgspec.Struct):
    """A result; `confidence` is the probability that this label is right, `rule_id` the rule that decided, if one did."""

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
    rule_id: int | None = None


class ListedResult(ResultItem, kw_only=True):
    """A result in a list."""

    subject: str
    sender: str


class ResultAnswer(ResultItem, kw_only=True):
    """A result, with the email's text or the reasons if they were requested."""

    subject: str | msgspec.UnsetType = msgspec.UNSET
    body: str | msgspec.UnsetType = msgspec.UNSET
    probabilities: dict[Label, Confidence] | msgspec.UnsetType = msgspec.UNSET
    explanation: Explanation | msgspec.UnsetType | None = msgspec.UNSET


class ResultPage(msgspec.Struct):
    """Newest first in the order of storing. `index_lag`: emails that a search by `q` cannot find yet."""

    items: list[ListedResult]
    next_cursor: str | None
    index_lag: Count | None = None


class EmailItem(msgspec.Struct):
    """One email as the books know it, with its result if there is one."""

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
    """Newest first in the order of listing. `index_lag`: emails that a search by `q` cannot find yet."""

    items: list[EmailItem]
    next_cursor: str | None
    index_lag: Count | None = None


class Stage(msgspec.Struct):
    """One stage of an email's processing."""

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
    """Which source; by default `main`, else the only one that knows the id."""

    source: SourceName | None = None


class ResultQuery(msgspec.Struct):
    """The options of a request for one result."""

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
    """An email to classify; nothing is stored."""

    subject: Annotated[str, Meta(examples=["Meeting tomorrow at 10"])]
    body: Annotated[str, Meta(examples=["Can we meet in room 4 to go through the plan?"])]
    sender: str = ""
    recipient: str = ""
    headers: dict[str, str | list[str]] = {}


class RuleOpinion(msgspec.Struct):
    """What the user's rules would decide, ahead of the model; `matched` has all rules that match, in their order."""

    matched: list[int]
    rule_id: int | None
    classification: Label | None
    priority: Priority | None


class ClassifyAnswer(msgspec.Struct):
    """What the classifier would say, with all probabilities and reasons; and what the rules would, if one matches."""

    classification: Label
    confidence: Confidence
    probabilities: dict[Label, Confidence]
    model_version: str
    below_threshold: bool
    runner_up: str
    flags: list[str]
    explanation: Explanation
    rule: RuleOpinion | None = None
