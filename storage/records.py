"""The records that go into and come out of the books: plain typed values that know nothing of a database.

The actors write them, and the web reads them; storage/books.py and storage/results.py turn them into rows and back.
Times are seconds since the epoch (UTC), durations milliseconds, confidences 0..1. `key` is an email's id in its escaped
form (storage/keys.py).
"""

from collections.abc import Mapping
from enum import IntEnum

import msgspec


class BookState(IntEnum):
    """The state of a row in the books, as SQL stores it. An open row with a due time is retrying, else queued."""

    OPEN = 0
    RESULT = 1
    DEAD = 2
    DISCARDED = 3
    ERASED = 4


class LetterState(IntEnum):
    """The state of a dead letter, as SQL stores it. Only DEAD ones still stand."""

    DEAD = 0
    REPLAYED = 1
    DISCARDED = 2


STATES = tuple(state.name.lower() for state in BookState)
LETTER_STATES = tuple(state.name.lower() for state in LetterState)
"""The names of the states, indexed by their numbers."""

DECIDERS = ("model", "rule", "person")

LABELS = ("meeting", "promotion", "intro", "unknown")
LABEL_NUMBER = {label: number for number, label in enumerate(LABELS)}
"""The numbers that SQL stores for the labels."""


class SourceState(msgspec.Struct, frozen=True):
    """One FakeMail account as recorded in the books. The cursor never passes an email that is not in the books."""

    id: int
    name: str
    url: str
    epoch: int  # raised by each reset of the account
    cursor: int
    cursor_key: str | None  # the email that set the cursor
    floor: int  # a poll lists from here
    listed: int  # ids ever entered, counted independently of the rows that the audit adds up


class Look(msgspec.Struct):
    """One listing of the history and its reason. `id` is 0 until the first slice with new mail is in the books."""

    kind: str  # start | takeover | notification | poll (actors/metrics.py) | resync
    began: float
    notified_at: float | None = None
    history_id: int | None = None
    id: int = 0
    listed: int = 0
    new: int = 0
    keys: list[str] = []  # of the first new emails, for the log


class CursorMove(msgspec.Struct, frozen=True):
    """A move of the cursor, made with the last slice of a listing and guarded by the cursor's expected value."""

    epoch: int
    expected: int
    to: int
    key: str | None = None


class OpenRow(msgspec.Struct, frozen=True):
    """An open row on its way into a mailbox. `is_new`: it is in its first life, and no try has failed yet."""

    ref: int
    key: str
    generation: int
    attempts: int
    feed_seq: int
    listed_at: float
    notified_at: float | None
    first_missing_at: float | None
    is_new: bool


class Content(msgspec.Struct, frozen=True, gc=False):
    """The content of an email; `truncated` if the body was cut to MAX_BODY_BYTES."""

    subject: str = ""
    body: str = ""
    sender: str = ""
    recipient: str = ""
    timestamp: float | None = None
    headers: dict[str, str | list[str]] = {}
    truncated: bool = False


class NewResult(msgspec.Struct, frozen=True, gc=False):
    """A classified email on its way into the books. It reads like the StoredResult that it becomes, but has no id."""

    source: str
    key: str
    ref: int
    generation: int
    attempts: int
    content: Content
    model_label: str
    confidence: float
    probabilities: dict[str, float]
    model_version: str
    processor_id: str
    processing_ms: float
    processed_at: float
    below_threshold: bool = False
    runner_up: str = ""
    rule_id: int | None = None
    rule_label: str | None = None
    times: dict[str, float] = {}  # notified, listed, fed, fetched, taken, classified
    feed_seq: int = 0  # the number under which it was fed; 0: any
    queued_ms: float | None = None  # see `waited`
    total_ms: float | None = None

    @property
    def label(self) -> str:
        """The effective label: the rule's, else the model's."""
        return self.rule_label or self.model_label

    @property
    def decided_by(self) -> str:
        """Who decided the effective label: "rule" or "model"."""
        return "model" if self.rule_label is None else "rule"

    @property
    def subject(self) -> str:
        """The email's subject."""
        return self.content.subject

    @property
    def sender(self) -> str:
        """The email's sender."""
        return self.content.sender

    @property
    def truncated(self) -> bool:
        """Whether the content was cut."""
        return self.content.truncated


def waited(times: Mapping[str, float], processed_at: float, processing_ms: float) -> tuple[float | None, float | None]:
    """Return a NewResult's `queued_ms` (the time waited) and `total_ms` (the time from notification or listing on)."""
    began = times.get("notified", times.get("listed"))
    if began is None:
        return None, None
    total = max((processed_at - began) * 1000, processing_ms)
    return total - processing_ms, total


class StoredResult(msgspec.Struct, frozen=True, gc=False):
    """A result as it is shown; `label` is the effective one (the person's, else the rule's, else the model's)."""

    id: int  # order of storing
    ref: int
    source: str
    key: str
    label: str
    confidence: float
    decided_by: str
    model_label: str
    probabilities: dict[str, float]
    model_version: str
    below_threshold: bool
    runner_up: str
    processed_at: float
    processor_id: str
    processing_ms: float
    queued_ms: float | None
    total_ms: float | None
    subject: str
    sender: str
    truncated: bool
    times: dict[str, float] = {}
    rule_id: int | None = None  # the rule that gave a label, even if a person overrode it


class Skipped(msgspec.Struct, frozen=True):
    """What START_FROM=now skipped: all up to `history_id`. `keys` are those of the newest such emails, oldest first."""

    history_id: int
    keys: list[str]
    epoch: int = 0


class Attempt(msgspec.Struct, frozen=True):
    """A failed try that will be repeated at `next_at`."""

    source: str
    key: str
    ref: int
    generation: int
    attempts: int  # tries spent before this one; the guard
    reason: str
    error: str
    at: float
    next_at: float
    processor_id: str
    spend: bool = True  # False: costs no attempt (the email is not visible yet)
    missing: bool = False  # True: FakeMail answered 404; sets first_missing_at if it is not set
    feed_seq: int = 0  # the number under which it was fed; 0: any


class Burial(msgspec.Struct, frozen=True):
    """An email that failed permanently, on its way to becoming a dead letter."""

    source: str
    key: str
    ref: int
    generation: int
    attempts: int
    reason: str
    error: str
    at: float
    processor_id: str
    content: Content | None = None
    times: dict[str, float] = {}
    feed_seq: int = 0  # the number under which it was fed; 0: any


class DeadLetter(msgspec.Struct, frozen=True):
    """A permanent failure and its reason; unique by (ref, generation)."""

    id: int
    ref: int
    source: str
    key: str
    generation: int
    reason: str
    error: str
    attempts: int
    first_seen: float
    dead_at: float
    state: str = "dead"  # or, after a person acted on it: replayed, discarded


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """The standing dead letters of one cause."""

    reason: str
    error: str  # of the newest one
    count: int
    oldest: float
    newest: float
    example: int  # the id of the newest one


class KnownEmail(msgspec.Struct, frozen=True):
    """One email as recorded in the books."""

    ref: int
    source: str
    key: str
    state: str
    generation: int
    lane: str
    attempts: int
    listed_at: float
    notified_at: float | None
    next_attempt_at: float | None
    last_error: str | None


class Notification(msgspec.Struct, frozen=True):
    """A notification that was accepted, and what it led to."""

    received_at: float
    history_id: int
    webhook_id: str | None = None
    outcome: str = "listed"
    look: int | None = None


class Audit(msgspec.Struct, frozen=True):
    """The books in one snapshot: `listed` must equal the sum of `results` to `erased`."""

    listed: int
    results: int
    queued: int
    retrying: int
    dead: int
    discarded: int
    erased: int
    unaccounted: int
    as_of: float


class Stats(msgspec.Struct, frozen=True):
    """The part of /stats that comes from SQL. Figures that need at least one email are None before the first."""

    total_emails_processed: int
    emails_by_classification: dict[str, int]
    avg_processing_time_ms: float | None
    min_processing_time_ms: float | None
    max_processing_time_ms: float | None
    p50_processing_time_ms: float | None
    p95_processing_time_ms: float | None
    p99_processing_time_ms: float | None
    success_rate: float | None  # percent
    error_count: int | None  # failed tries; None: not known for a single source
    retry_count: int | None  # failed tries that were scheduled for a retry; None: as above
    dead_letters: int  # standing ones
    queued: int
    retrying: int
    emails_per_minute: float
    last_processed_at: float | None
    last_history_id: dict[str, int]  # source → cursor


class SourceStats(Stats, frozen=True, kw_only=True):
    """The same for one source, with figures that the mailboxes cannot give, since several sources share them."""

    open_by_lane: dict[str, int]  # queued and retrying
    oldest_listed_at: float | None  # of the open emails
