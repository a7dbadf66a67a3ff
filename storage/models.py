"""The tables, as Peewee models: the books, the outcome of each email, and the desired state of the system.

books.py, results.py and their neighbours write them, all of storage/ reads them, and migrations.py creates them. Models
are bound to no fixed database: inside `Database.read` and `Database.write` they use that database's connection, and
elsewhere they raise. Times are seconds since the epoch; small codes are indexes into the tuples of records.py. There
are no foreign keys, because checking one would lock the source row.
"""

# ruff: noqa: D106  (Peewee's inner Meta holds options)

import re
import threading
from typing import Any

from peewee import (
    SQL,
    BigAutoField,
    BigIntegerField,
    BooleanField,
    CompositeKey,
    DoubleField,
    IntegerField,
    Model,
    SmallIntegerField,
    TextField,
)


class CurrentDatabase:
    """A proxy for the database whose transaction runs on this thread; Database sets it around each call."""

    def __init__(self) -> None:
        self._here = threading.local()

    def enter(self, database: Any) -> None:
        """Make the models use `database` (a Peewee database, or None) on this thread."""
        self._here.database = database

    def __getattr__(self, name: str) -> Any:
        database = getattr(self._here, "database", None)
        if database is None:
            raise AttributeError(f"{name}: models work inside Database.read and Database.write only")
        return getattr(database, name)


current = CurrentDatabase()


def table_of(model: type[Model]) -> str:
    """Return the table name of a model: DeadLetterRow gives dead_letter."""
    return "_".join(re.findall("[A-Z][a-z]*", model.__name__.removesuffix("Row"))).lower()


class Table(Model):
    """The base of all models."""

    class Meta:
        database = current
        table_function = table_of
        legacy_table_names = False


class SourceRow(Table):
    """A FakeMail account. Its row is the lock under which refs and feed numbers are assigned."""

    name = TextField(unique=True)
    url = TextField()
    epoch = IntegerField(default=0)
    cursor = BigIntegerField(default=0)
    cursor_key = TextField(null=True)
    floor = BigIntegerField(default=0)
    recent = TextField(default="[]")  # JSON: [[cursor, when it was reached], ...], oldest first
    listed = BigIntegerField(default=0)
    feed_seq = BigIntegerField(default=0)


class BookRow(Table):
    """One listed email; never deleted. `id` is the `ref` in all other tables and in envelopes."""

    id = BigAutoField()
    source = IntegerField()
    key = TextField()
    state = SmallIntegerField(default=0)
    generation = IntegerField(default=0)
    lane = SmallIntegerField()
    feed_seq = BigIntegerField()
    attempts = IntegerField(default=0)
    next_attempt_at = DoubleField(null=True)
    first_missing_at = DoubleField(null=True)
    last_error = TextField(null=True)
    look = BigIntegerField()
    listed_at = DoubleField()


# These predicates are literals, like those of the queries that need the indexes: a parameter would not match them.
# book_due starts with the state, although that is always 0 there: otherwise SQLite's planner prefers book_state.
BookRow.add_index(BookRow.index(BookRow.source, BookRow.key, unique=True, name="book_key"))
BookRow.add_index(
    BookRow.index(
        BookRow.source,
        BookRow.lane,
        BookRow.feed_seq,
        name="book_open",
        where=SQL("state = 0 AND next_attempt_at IS NULL"),
    )
)
BookRow.add_index(
    BookRow.index(
        BookRow.state, BookRow.next_attempt_at, name="book_due", where=SQL("state = 0 AND next_attempt_at IS NOT NULL")
    )
)
BookRow.add_index(BookRow.index(BookRow.state, BookRow.id, name="book_state"))


class ContentRow(Table):
    """The content of an email, kept apart from the books so that it can be pruned."""

    ref = BigIntegerField(primary_key=True)
    subject = TextField()
    body = TextField()
    sender = TextField()
    recipient = TextField()
    sent_at = DoubleField(null=True)
    headers = TextField()  # JSON
    truncated = BooleanField()


class ResultRow(Table):
    """The result of an email; `id` rises in the order of storing."""

    id = BigAutoField()
    ref = BigIntegerField(unique=True)
    source = IntegerField()
    label = SmallIntegerField()  # the effective label: the person's, else the rule's, else the model's
    decided_by = SmallIntegerField()
    model_label = SmallIntegerField()
    rule_label = SmallIntegerField(null=True)
    person_label = SmallIntegerField(null=True)
    rule_id = BigIntegerField(null=True)
    person_by = TextField(null=True)
    person_at = DoubleField(null=True)
    confidence = DoubleField()
    below_threshold = BooleanField()
    runner_up = SmallIntegerField(null=True)
    probabilities = TextField()  # JSON: one number for each label, in the order of LABELS
    model_version = TextField()
    model_generation = IntegerField(default=0)
    processed_at = DoubleField()
    processor_id = TextField()
    processing_ms = DoubleField()
    queued_ms = DoubleField(null=True)
    total_ms = DoubleField(null=True)
    times = TextField()  # JSON


ResultRow.add_index(ResultRow.index(ResultRow.label, ResultRow.id, name="result_label"))


class DeadLetterRow(Table):
    """A permanent failure, kept as history; `state` says whether it still stands."""

    id = BigAutoField()
    ref = BigIntegerField()
    generation = IntegerField()
    source = IntegerField()
    state = SmallIntegerField(default=0)  # index into LETTER_STATES
    reason = TextField()
    error = TextField()
    attempts = IntegerField()
    first_seen = DoubleField()
    dead_at = DoubleField()
    processor_id = TextField()
    times = TextField()  # JSON


DeadLetterRow.add_index(
    DeadLetterRow.index(DeadLetterRow.ref, DeadLetterRow.generation, unique=True, name="dead_letter_ref")
)
DeadLetterRow.add_index(DeadLetterRow.index(DeadLetterRow.state, DeadLetterRow.id, name="dead_letter_state"))


class AttemptRow(Table):
    """A failed try that counted as an attempt of its email."""

    id = BigAutoField()
    ref = BigIntegerField()
    generation = IntegerField()
    attempt = IntegerField()
    reason = TextField()
    error = TextField()
    at = DoubleField()
    next_at = DoubleField()
    processor_id = TextField()


AttemptRow.add_index(
    AttemptRow.index(AttemptRow.ref, AttemptRow.generation, AttemptRow.attempt, unique=True, name="attempt_ref")
)


class LookRow(Table):
    """A listing of the history that found new mail."""

    id = BigAutoField()
    source = IntegerField()
    kind = TextField()
    began = DoubleField()
    notified_at = DoubleField(null=True)
    history_id = BigIntegerField(null=True)
    listed = IntegerField()
    new_ids = IntegerField()
    first_ref = BigIntegerField(null=True)  # its emails have refs from first_ref to last_ref
    last_ref = BigIntegerField(null=True)


class NotificationRow(Table):
    """A notification that was accepted; kept for KEEP_NOTIFICATIONS_DAYS."""

    id = BigAutoField()
    source = IntegerField()
    received_at = DoubleField(index=True)
    history_id = BigIntegerField()
    webhook_id = TextField(null=True)
    outcome = TextField()
    look = BigIntegerField(null=True)


class CounterRow(Table):
    """A total, sharded by writer: a process updates only its own rows; folding.py merges those of gone processes."""

    name = TextField()
    label = TextField()
    shard = TextField()
    value = DoubleField()

    class Meta:
        primary_key = CompositeKey("name", "label", "shard")


class BucketRow(Table):
    """A count for one minute or hour (`step` seconds from `start`), sharded by writer."""

    step = IntegerField()
    start = BigIntegerField()
    name = TextField()
    label = TextField()
    shard = TextField()
    value = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("step", "name", "start", "label", "shard")


class DesiredRow(Table):
    """The desired state of the whole system (paused, pool size, promoted model): JSON values by name."""

    name = TextField(primary_key=True)
    value = TextField()
    version = BigIntegerField()


class TaskRow(Table):
    """A long-running task that was requested, with its progress (storage/tasks.py)."""

    id = BigAutoField()
    kind = TextField()
    params = TextField()  # JSON
    state = TextField()
    runner = TextField(null=True)
    position = TextField(null=True)  # JSON
    done = BigIntegerField()
    total = BigIntegerField(null=True)
    counts = TextField()  # JSON
    error = TextField(null=True)
    starts = IntegerField()
    created_at = DoubleField()
    started_at = DoubleField(null=True)
    ended_at = DoubleField(null=True)
    updated_at = DoubleField()


class MetaRow(Table):
    """Facts about the database itself: schema version, books_id, watermarks."""

    name = TextField(primary_key=True)
    value = TextField()


MODELS = (
    MetaRow,
    SourceRow,
    BookRow,
    ContentRow,
    ResultRow,
    DeadLetterRow,
    AttemptRow,
    LookRow,
    NotificationRow,
    CounterRow,
    BucketRow,
    DesiredRow,
    TaskRow,
)
