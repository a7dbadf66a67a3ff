"""Data types of the API for events, and for the outgoing webhooks that deliver them. They build on web/schemas.py."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import Cursor, Limit, SourceName, Time, Wait

EventKind = Literal["new", "process", "retry", "dead", "label"]
Place = Annotated[
    str,
    Meta(
        max_length=64,
        description="Start after this `seq`; `beginning` starts with the oldest event that the log has",
        examples=["beginning"],
    ),
]
Url = Annotated[str, Meta(min_length=1, max_length=2048, examples=["https://example.com/hook"])]
Secret = Annotated[str, Meta(max_length=200, pattern=r"^whsec_[A-Za-z0-9+/]{32,}={0,2}$")]


class EventQuery(msgspec.Struct):
    """A page of the log, by default from its beginning. With `source` it may be empty although more events follow."""

    after: Annotated[str, Meta(max_length=200, description="`seq` of the last event seen, or `beginning`")] | None = (
        None
    )
    limit: Annotated[int, Meta(ge=1, le=1000, description="About how many events to return at most")] = 100
    wait: Wait = 0
    source: SourceName | None = None


class EventMessage(msgspec.Struct, rename={"kind": "type"}):
    """One message, as the WebSocket sends it."""

    kind: Literal["email_event"]
    event: EventKind
    data: dict[str, Any]
    timestamp: Time
    seq: str


class EventPage(msgspec.Struct):
    """Oldest first. `next_after` is where to continue, even if the page is empty."""

    items: list[EventMessage]
    next_after: str | None


class SubscriptionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which URL gets which events, and from where on; without `after`, from now on.

    `backlog`: also emails of the first sync; by default, only if `after` asks for the past.
    """

    url: Url
    events: Annotated[list[EventKind], Meta(max_length=5, description="An empty list means all kinds")] = []
    after: Place | None = None
    backlog: bool | None = None
    secret: Secret | None = None
    description: Annotated[str, Meta(max_length=200)] = ""


class EnableRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Where to continue; without `after`, where it stopped."""

    after: Place | None = None


class RotateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A new secret, generated unless one is given, and how long the old one signs too."""

    secret: Secret | None = None
    grace_s: Annotated[int, Meta(ge=0, le=30 * 86_400, description="Seconds")] = 86_400


class SubscriptionItem(msgspec.Struct):
    """One subscription. All up to the seq `after` has been delivered; `failures` are those in a row."""

    id: int
    url: str
    description: str
    events: list[EventKind]
    backlog: bool
    state: Literal["active", "failing", "disabled"]
    reason: str | None
    after: str
    delivered: int
    last_delivered_at: Time | None
    failures: int
    failing_since: Time | None
    next_attempt_at: Time | None
    created_at: Time
    old_secret_until: Time | None


class NewSubscription(SubscriptionItem):
    """A subscription with a new secret; no other answer has the secret in it."""

    secret: str


class SubscriptionList(msgspec.Struct):
    """Subscriptions, oldest first."""

    items: list[SubscriptionItem]


class DeliveryQuery(msgspec.Struct):
    """A page of delivery attempts."""

    failed: Annotated[bool, Meta(description="Only those that failed")] = False
    limit: Limit = 20
    cursor: Cursor | None = None


class DeliveryItem(msgspec.Struct):
    """One delivery attempt. `error` is null if it was accepted, `status` if nobody answered."""

    id: int
    webhook_id: str
    event: str
    seq: str | None
    attempt: int
    at: Time
    duration_ms: float
    status: int | None
    error: str | None


class DeliveryPage(msgspec.Struct):
    """Newest first; the last 500 of each subscription are kept."""

    items: list[DeliveryItem]
    next_cursor: str | None


class TestAnswer(msgspec.Struct):
    """How the delivery of the test message went."""

    __test__ = False

    webhook_id: str
    delivered: bool
    status: int | None
    error: str | None
    duration_ms: float
