"""What goes over the wire about events and outgoing webhooks, which tell them. As web/schemas.py, whose common types it builds on."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import Cursor, Limit, SourceName, Time, Wait

EventKind = Literal["new", "process", "retry", "dead", "label"]
Place = Annotated[
    str,
    Meta(
        max_length=64,
        description="A `seq`: what comes after it. `beginning`: all that the log has",
        examples=["beginning"],
    ),
]
Url = Annotated[str, Meta(min_length=1, max_length=2048, examples=["https://example.com/hook"])]
Secret = Annotated[str, Meta(max_length=200, pattern=r"^whsec_[A-Za-z0-9+/]{32,}={0,2}$")]


class EventQuery(msgspec.Struct):
    """A page of the event log; without `after` from its beginning. With `source` it may hold few events or none, and go on all the same."""

    after: Annotated[str, Meta(max_length=200, description="`seq` of the last event seen, or `beginning`")] | None = (
        None
    )
    limit: Annotated[int, Meta(ge=1, le=1000, description="Events at most, approximately")] = 100
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
    """Oldest first. `next_after` is where to go on, also when there was nothing."""

    items: list[EventMessage]
    next_after: str | None


class SubscriptionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Who shall be told, of what, and from where on. Without `after`: from now on.

    `backlog`: emails of the first sync too; without it, only where `after` asks for the past.
    """

    url: Url
    events: Annotated[list[EventKind], Meta(max_length=5, description="None: all kinds")] = []
    after: Place | None = None
    backlog: bool | None = None
    secret: Secret | None = None
    description: Annotated[str, Meta(max_length=200)] = ""


class EnableRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Where to go on; without `after`: where it stood."""

    after: Place | None = None


class RotateRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A new secret, made here unless one is given; and for how long the old one signs too."""

    secret: Secret | None = None
    grace_s: Annotated[int, Meta(ge=0, le=30 * 86_400, description="Seconds")] = 86_400


class SubscriptionItem(msgspec.Struct):
    """One subscriber. `after` is the seq up to which it has all; `failures` are in a row."""

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
    """The only answer with the secret in it."""

    secret: str


class SubscriptionList(msgspec.Struct):
    """Oldest first."""

    items: list[SubscriptionItem]


class DeliveryQuery(msgspec.Struct):
    """A page of the tries."""

    failed: Annotated[bool, Meta(description="Only those that failed")] = False
    limit: Limit = 20
    cursor: Cursor | None = None


class DeliveryItem(msgspec.Struct):
    """One try. `error` is null when it was taken, `status` when nobody answered."""

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
    """How the test message fared."""

    __test__ = False

    webhook_id: str
    delivered: bool
    status: int | None
    error: str | None
    duration_ms: float
