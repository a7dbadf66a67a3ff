"""The metrics about email, beside the engine's own table (engine/metrics.py), and the events that feed them."""

from collections.abc import Collection, Mapping

from prometheus_client import Counter, Gauge

from actors.bodies import CLASSIFY, FETCH, fetch_mailbox
from engine.metrics import Metrics, Row, value_of

LOOK = "look"
"""One listing of a source's history. Fields: source, kind, listed, new, seconds."""

RECONCILED = "reconciled"
"""The mailboxes were compared with the books. Fields: suspects, unaccounted."""

CANARY_AGE = "canary_age"
"""Fields: seconds since a canary last came home, and its round_trip; each is None while there is none."""

MEASURED = "measured_"
"""Prefix of the events with current measurements (actors/gauges.py); the fields are the figures."""

PROCESS_STARTED = "process_started"
"""Field: restarts, how often the launcher has restarted this process."""

PRUNED = "pruned"
"""The janitor deleted what was kept long enough. Fields: kind, count."""

DELIVERED = "subscription_delivered"
"""One try to deliver a message to a subscriber. Field: outcome."""

DISABLED = "subscription_disabled"
"""A subscriber was disabled. Field: reason."""

RATE_LIMITED = "rate_limited"
"""A call was answered 429. Field: kind (webhook, api or login)."""

STATES = "subscription_states"
"""Fields: how many subscribers are active, failing and disabled, and lag_seconds of the one furthest behind."""

REASONS: Mapping[str, tuple[str, ...]] = {
    FETCH: ("gone", "fetch_failed", "invalid_email", "too_large", "crashed_process"),
    CLASSIFY: ("classifier_error", "classifier_timeout", "crashed_process"),
}
"""Mailbox → the reasons for which its messages can be buried. Those of `fetch` apply to each source's fetch mailbox."""

LOOKS = ("start", "takeover", "notification", "poll")
"""Why a history is looked at, as in the metrics and the books. takeover: a leader's first look, also after a start."""


def _measured(name: str, text: str, what: str, fields: Mapping[str, str]) -> tuple[Row, ...]:
    """Return the rows of one gauge: field of the event → value of the label `state`; a single "" means no label."""
    return tuple(
        Row(name, Gauge, text, MEASURED + what, value=value_of(field), fixed={"state": state} if state else {})
        for field, state in fields.items()
    )


METRICS = (
    *_measured(
        "emailproc_emails",
        "Emails that need attention, by state",
        "books",
        {"queued": "queued", "retrying": "retrying", "dead_letters": "dead"},
    ),
    *_measured(
        "emailproc_oldest_queued_age_seconds", "How long the oldest message has waited", "queue", {"oldest_age": ""}
    ),
    *_measured(
        "emailproc_leaders_missing",
        "Duties that one node should lead and that nobody leads",
        "leases",
        {"leaders_missing": ""},
    ),
    *_measured("emailproc_redis_memory_bytes", "Memory that Redis uses", "redis", {"redis_used": ""}),
    *_measured(
        "emailproc_redis_memory_limit_bytes", "Memory that Redis may use; 0: no limit", "redis", {"redis_limit": ""}
    ),
    *_measured("emailproc_disk_free_bytes", "Free space where our data are", "disk", {"disk_free": ""}),
    *_measured(
        "emailproc_fakemail_breaker_open",
        "1 while calls to FakeMail are held back since they fail",
        "fakemail",
        {"breaker_open": ""},
    ),
    *_measured("emailproc_database_bytes", "Size of the database on disk", "database", {"database_bytes": ""}),
    Row(
        "emailproc_process_restarts",
        Gauge,
        "How often the launcher has restarted this process",
        PROCESS_STARTED,
        value=value_of("restarts"),
    ),
    Row(
        "emailproc_canary_age_seconds",
        Gauge,
        "Time since a synthetic message last passed through all mailboxes; one is sent every ten seconds, so far more than that means that nothing is consumed",
        CANARY_AGE,
        value=value_of("seconds"),
    ),
    Row(
        "emailproc_canary_round_trip_seconds",
        Gauge,
        "How long the last synthetic message took through all mailboxes",
        CANARY_AGE,
        value=value_of("round_trip"),
    ),
    Row(
        "emailproc_unaccounted_emails",
        Gauge,
        "Open emails that were in no mailbox at the last check; must be 0",
        RECONCILED,
        value=value_of("unaccounted"),
    ),
    Row(
        "emailproc_listed_emails_total",
        Counter,
        "New emails, by why the history was listed (poll: no notification came for them; takeover: a new leader's first listing)",
        LOOK,
        labels=("source", "kind"),
        value=value_of("new"),
    ),
    Row(
        "emailproc_subscription_deliveries_total",
        Counter,
        "Attempts to deliver a message to a subscriber, by outcome",
        DELIVERED,
        labels=("outcome",),
    ),
    *(
        Row(
            "emailproc_subscriptions",
            Gauge,
            "Subscribers, by state",
            STATES,
            value=value_of(state),
            fixed={"state": state},
        )
        for state in ("active", "failing", "disabled")
    ),
    Row(
        "emailproc_subscription_lag_seconds",
        Gauge,
        "How far behind the event log the slowest subscriber is",
        STATES,
        value=value_of("lag_seconds"),
    ),
    Row(
        "emailproc_subscriptions_disabled_total",
        Counter,
        "Subscribers disabled, by reason",
        DISABLED,
        labels=("reason",),
    ),
    Row(
        "emailproc_rate_limited_total",
        Counter,
        "Calls answered 429 because their address sent too many, by kind",
        RATE_LIMITED,
        labels=("kind",),
    ),
    Row(
        "emailproc_pruned_total",
        Counter,
        "Rows deleted by the KEEP_* settings, by kind",
        PRUNED,
        labels=("kind",),
        value=value_of("count"),
    ),
)


def begin_counters(metrics: Metrics, actors: Collection[str], sources: Collection[str]) -> None:
    """Start at 0 the counters whose increase the alerts watch.

    `actors` are the kinds in this process, `sources` those it follows.
    """
    buried = [(fetch_mailbox(source), reason) for source in sources for reason in REASONS[FETCH]]
    if "classifier" in actors:
        buried += [(CLASSIFY, reason) for reason in REASONS[CLASSIFY]]
        metrics.begin("emailproc_messages_total", [(CLASSIFY, "done")])
    metrics.begin("emailproc_burials_total", buried)
    metrics.begin("emailproc_actor_restarts_total", [(kind,) for kind in actors])
    metrics.begin("emailproc_listed_emails_total", [(source, kind) for source in sources for kind in LOOKS])
