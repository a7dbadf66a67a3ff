"""The metrics that know of email, beside the engine's own table (engine/metrics.py), and the events that feed them."""

from collections.abc import Collection, Mapping

from prometheus_client import Counter, Gauge

from actors.bodies import CLASSIFY, FETCH, fetch_mailbox
from engine.metrics import Metrics, Row, value_of

LOOK = "look"
"""source, kind, listed, new, seconds: one listing of a source's history"""

RECONCILED = "reconciled"
"""suspects, unaccounted: the mailboxes were held against the books"""

CANARY_AGE = "canary_age"
"""seconds since a canary last came home, round_trip of that one; each None while there is none"""

MEASURED = "measured_"
"""Followed by what was measured (actors/gauges.py): its fields are figures as they are now"""

PROCESS_STARTED = "process_started"
"""restarts: how often the launcher has started this process again"""

PRUNED = "pruned"
"""kind, count: what the janitor forgot since it was kept long enough"""

DELIVERED = "subscription_delivered"
"""outcome of one try to deliver a message to a subscriber"""

DISABLED = "subscription_disabled"
"""reason for which a subscriber was given up"""

RATE_LIMITED = "rate_limited"
"""kind of a call that was answered 429: webhook, api or login"""

STATES = "subscription_states"
"""active, failing, disabled: how many subscribers; lag_seconds of the one that is furthest behind"""

REASONS: Mapping[str, tuple[str, ...]] = {
    FETCH: ("gone", "fetch_failed", "invalid_email", "too_large", "crashed_process"),
    CLASSIFY: ("classifier_error", "classifier_timeout", "crashed_process"),
}
"""Mailbox → what its messages can be buried for; those of `fetch` hold for each source's own"""

LOOKS = ("start", "takeover", "notification", "poll")
"""Why a history is looked at, as the metrics and the books call it; takeover: the first look of a leader, after a start too"""


def _measured(name: str, text: str, what: str, fields: Mapping[str, str]) -> tuple[Row, ...]:
    """Rows of one gauge: field of the event → value of the label `state`; a single "" means that there is no label."""
    return tuple(
        Row(name, Gauge, text, MEASURED + what, value=value_of(field), fixed={"state": state} if state else {})
        for field, state in fields.items()
    )


METRICS = (
    *_measured(
        "emailproc_emails",
        "Emails that want attention, by state",
        "books",
        {"queued": "queued", "retrying": "retrying", "dead_letters": "dead"},
    ),
    *_measured(
        "emailproc_oldest_queued_age_seconds", "How long the oldest message has waited", "queue", {"oldest_age": ""}
    ),
    *_measured(
        "emailproc_leaders_missing",
        "Duties that one node should lead, and none does",
        "leases",
        {"leaders_missing": ""},
    ),
    *_measured("emailproc_redis_memory_bytes", "What Redis uses", "redis", {"redis_used": ""}),
    *_measured("emailproc_redis_memory_limit_bytes", "What Redis may use; 0: all", "redis", {"redis_limit": ""}),
    *_measured("emailproc_disk_free_bytes", "What is free where our data are", "disk", {"disk_free": ""}),
    *_measured(
        "emailproc_fakemail_breaker_open",
        "1 while calls to FakeMail are held back since they fail",
        "fakemail",
        {"breaker_open": ""},
    ),
    *_measured("emailproc_database_bytes", "The database on disk", "database", {"database_bytes": ""}),
    Row(
        "emailproc_process_restarts",
        Gauge,
        "How often the launcher has started this process again",
        PROCESS_STARTED,
        value=value_of("restarts"),
    ),
    Row(
        "emailproc_canary_age_seconds",
        Gauge,
        "Since a synthetic message last came through all mailboxes; sent every ten seconds, so far above that nothing is consumed",
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
        "New emails, by why the history was looked at (poll: their notification did not come; takeover: the first look of a leader)",
        LOOK,
        labels=("source", "kind"),
        value=value_of("new"),
    ),
    Row(
        "emailproc_subscription_deliveries_total",
        Counter,
        "Tries to deliver a message to a subscriber, by outcome",
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
        "How far the subscriber that is furthest behind is behind the event log",
        STATES,
        value=value_of("lag_seconds"),
    ),
    Row(
        "emailproc_subscriptions_disabled_total",
        Counter,
        "Subscribers given up, by reason",
        DISABLED,
        labels=("reason",),
    ),
    Row(
        "emailproc_rate_limited_total",
        Counter,
        "Calls answered 429 since too many came from their address, by kind",
        RATE_LIMITED,
        labels=("kind",),
    ),
    Row(
        "emailproc_pruned_total",
        Counter,
        "What was forgotten by the settings KEEP_*, by kind",
        PRUNED,
        labels=("kind",),
        value=value_of("count"),
    ),
)


def begin_counters(metrics: Metrics, actors: Collection[str], sources: Collection[str]) -> None:
    """Start at 0 what alerts take the rise of, as a process starts: `actors` are its kinds, `sources` those that it follows."""
    buried = [(fetch_mailbox(source), reason) for source in sources for reason in REASONS[FETCH]]
    if "classifier" in actors:
        buried += [(CLASSIFY, reason) for reason in REASONS[CLASSIFY]]
        metrics.begin("emailproc_messages_total", [(CLASSIFY, "done")])
    metrics.begin("emailproc_burials_total", buried)
    metrics.begin("emailproc_actor_restarts_total", [(kind,) for kind in actors])
    metrics.begin("emailproc_listed_emails_total", [(source, kind) for source in sources for kind in LOOKS])
