"""The metrics that know of email, beside the engine's own table (engine/metrics.py), and the events that feed them."""

from prometheus_client import Counter, Gauge

from engine.events import LOOK
from engine.metrics import Row, value_of

RECONCILED = "reconciled"
"""suspects, unaccounted: the mailboxes were held against the books"""

METRICS = (
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
)
