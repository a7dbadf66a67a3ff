"""The metrics that know of email, beside the engine's own table (engine/metrics.py), and the events that feed them."""

from prometheus_client import Counter, Gauge

from engine.events import LOOK
from engine.metrics import Row, value_of

RECONCILED = "reconciled"
"""suspects, unaccounted: the mailboxes were held against the books"""

CANARY_AGE = "canary_age"
"""seconds since a canary last came home, round_trip of that one"""

PRUNED = "pruned"
"""kind, count: what the janitor forgot since it was kept long enough"""

DELIVERED = "subscription_delivered"
"""outcome of one try to deliver a message to a subscriber"""

DISABLED = "subscription_disabled"
"""reason for which a subscriber was given up"""

STATES = "subscription_states"
"""active, failing, disabled: how many subscribers; lag_seconds of the one that is furthest behind"""

METRICS = (
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
        "New emails found in the history, by why it was looked at (a poll: their notification did not come)",
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
        "emailproc_pruned_total",
        Counter,
        "What was forgotten by the settings KEEP_*, by kind",
        PRUNED,
        labels=("kind",),
        value=value_of("count"),
    ),
)
