"""The tables of outgoing webhooks: the subscriptions with their positions, and the tries. Created by migrations.py."""

from peewee import BigAutoField, BigIntegerField, BooleanField, DoubleField, IntegerField, SmallIntegerField, TextField

from storage.models import Table
from storage.statements import execute, is_postgres


class SubscriptionRow(Table):
    """One subscription. `position` is the seq of the last message dealt with, or ""; it guards its own updates."""

    id = BigAutoField()
    url = TextField()
    secret = TextField()  # in plain text: needed for signing
    description = TextField()
    events = TextField()  # JSON: the kinds to deliver; an empty list: all
    backlog = BooleanField()
    position = TextField()
    state = TextField()  # active | disabled
    reason = TextField(null=True)  # why it is disabled
    failures = IntegerField()  # consecutive ones, of the message after `position`
    failing_since = DoubleField(null=True)
    next_attempt_at = DoubleField(null=True)
    delivered = BigIntegerField()
    delivered_at = DoubleField(null=True)
    created_at = DoubleField()
    old_secret = TextField(null=True)  # also signs, until old_secret_until
    old_secret_until = DoubleField(null=True)


class DeliveryRow(Table):
    """One try to deliver a message; only the newest of each subscription are kept."""

    id = BigAutoField()
    subscription = BigIntegerField()
    webhook_id = TextField()
    event = TextField()
    seq = TextField(null=True)
    attempt = IntegerField()
    at = DoubleField()
    duration_ms = DoubleField()
    status = SmallIntegerField(null=True)  # of the answer; null: no answer came
    error = TextField(null=True)


DeliveryRow.add_index(DeliveryRow.index(DeliveryRow.subscription, DeliveryRow.id, name="delivery_subscription"))


def create() -> None:
    """Create both tables if they do not exist."""
    SubscriptionRow.create_table()
    DeliveryRow.create_table()


def add_old_secret() -> None:
    """Add the columns of a secret that is being replaced, if they do not exist."""
    there = () if is_postgres() else [row[1] for row in execute("PRAGMA table_info(subscription)")]
    maybe = "IF NOT EXISTS " if is_postgres() else ""
    for column, kind in (("old_secret", "TEXT"), ("old_secret_until", "DOUBLE PRECISION")):
        if column not in there:
            execute(f"ALTER TABLE subscription ADD COLUMN {maybe}{column} {kind}")
