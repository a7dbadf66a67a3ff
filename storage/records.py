"""The records that go into and come out of the books: plain typed values, no database in sight.

Written by the actors, read by the web; storage/books.py and storage/results.py turn them into rows and back. Times are seconds
since the epoch (UTC), durations milliseconds, confidences 0..1. `key` is an email's id in its escaped form (storage/keys.py).
"""

from collections.abc import Mapping
from enum import IntEnum

import msgspec


class BookState(IntEnum):
    """Of a row in the books, as SQL stores it. Open rows are told apart as queued or retrying (due time)."""

    OPEN = 0
    RESULT = 1
    DEAD = 2
    DISCARDED = 3
    ERASED = 4


class LetterState(IntEnum):
    """What became of a dead letter, as SQL stores it; the first still stands."""

    DEAD = 0
    REPLAYED = 1
    DISCARDED = 2


STATES = tuple(state.name.lower() for state in BookState)
LETTER_STATES = tuple(state.name.lower() for state in LetterState)
"""The names of both, by their numbers."""

DECIDERS = ("model", "rule", "person")

LABELS = ("meeting", "promotion", "intro", "unknown")
LABEL_NUMBER = {label: number for number, label in enumerate(LABELS)}
"""What SQL stores of a label."""


class SourceState(msgspec.Struct, frozen=True):
    """One FakeMail account as the books know it. The cursor never passes an email that is not in the books."""

    id: int
    name: str
    url: str
    epoch: int  # raised by each reset of the account
    cursor: int
    cursor_key: str | None  # the email that set the cursor
    floor: int  # a poll lists from here
    listed: int  # ids ever entered: the independent side of the audit


class Look(msgspec.Struct):
    """One listing of the history, and why it was made. `id` is 0 until the first slice with new mail is in the books."""

    kind: str  # start | takeover | notification | poll (actors/metrics.py) | resync
    began: float
    notified_at: float | None = None
    history_id: int | None = None
    id: int = 0
    listed: int = 0
    new: int = 0
    keys: list[str] = []  # of the first that were new, for the log


class CursorMove(msgspec.Struct, frozen=True):
    """Where the cursor goes with the last slice; guarded by where it was."""

    epoch: int
    expected: int
    to: int
    key: str | None = None


class OpenRow(msgspec.Struct, frozen=True):
    """An open row on its way into a mailbox; `is_new`: no try of it has failed yet, in its first life."""

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
    """What an email says, cut to MAX_BODY_BYTES (`truncated`)."""

    subject: str = ""
    body: str = ""
    sender: str = ""
    recipient: str = ""
    timestamp: float | None = None
    headers: dict[str, str | list[str]] = {}
    truncated: bool = False


class NewResult(msgspec.Struct, frozen=True, gc=False):
    """A classified email on its way into the books. It reads like the StoredResult that it becomes, but has no id yet."""

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
    feed_seq: int = 0  # under which it was fed; 0: any
    queued_ms: float | None = None  # see `waited`
    total_ms: float | None = None

    @property
    def label(self) -> str:
        """The effective one: a rule's, else the model's."""
        return self.rule_label or self.model_label

    @property
    def decided_by(self) -> str:
        """Who gave it."""
        return "model" if self.rule_label is None else "rule"

    @property
    def subject(self) -> str:
        """What the email says it is about."""
        return self.content.subject

    @property
    def sender(self) -> str:
        """Who the email says it is from."""
        return self.content.sender

    @property
    def truncated(self) -> bool:
        """Whether the content was cut."""
        return self.content.truncated


def waited(times: Mapping[str, float], processed_at: float, processing_ms: float) -> tuple[float | None, float | None]:
    """Milliseconds of waiting, and from notification or listing to the result: a NewResult's `queued_ms` and `total_ms`."""
    began = times.get("notified", times.get("listed"))
    if began is None:
        return None, None
    total = max((processed_at - began) * 1000, processing_ms)
    return total - processing_ms, total


class StoredResult(msgspec.Struct, frozen=True, gc=False):
    """A result as everybody sees it; `label` is the effective one (person, else rule, else model)."""

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
    rule_id: int | None = None  # whose classification the rules gave, whoever decided in the end


class Skipped(msgspec.Struct, frozen=True):
    """What START_FROM=now left alone: all up to `history_id`; `keys` are of the newest of those emails, oldest first."""

    history_id: int
    keys: list[str]


class Attempt(msgspec.Struct, frozen=True):
    """A try that failed and will be repeated at `next_at`."""

    source: str
    key: str
    ref: int
    generation: int
    attempts: int  # spent before this one: the guard
    reason: str
    error: str
    at: float
    next_at: float
    processor_id: str
    spend: bool = True  # False: nobody's fault (an email not visible yet)
    missing: bool = False  # True: FakeMail answered 404, first_missing_at is set where it was not
    feed_seq: int = 0  # under which it was fed; 0: any


class Burial(msgspec.Struct, frozen=True):
    """An email that failed for good."""

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
    feed_seq: int = 0  # under which it was fed; 0: any


class DeadLetter(msgspec.Struct, frozen=True):
    """What failed for good, and why; unique by (ref, generation)."""

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
    state: str = "dead"  # or what a person did since: replayed, discarded


class DeadLetterGroup(msgspec.Struct, frozen=True):
    """Standing dead letters of one cause."""

    reason: str
    error: str  # the newest one's
    count: int
    oldest: float
    newest: float
    example: int  # the newest one's id


class KnownEmail(msgspec.Struct, frozen=True):
    """One email as the books know it."""

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
    """A webhook that was accepted, and what it led to."""

    received_at: float
    history_id: int
    webhook_id: str | None = None
    outcome: str = "listed"  # listed | failed: …
    look: int | None = None


class Audit(msgspec.Struct, frozen=True):
    """The books in one snapshot: listed must equal the sum of the other six."""

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
    """What /stats takes from SQL; numbers that need at least one email are None before the first."""

    total_emails_processed: int
    emails_by_classification: dict[str, int]
    avg_processing_time_ms: float | None
    min_processing_time_ms: float | None
    max_processing_time_ms: float | None
    p50_processing_time_ms: float | None
    p95_processing_time_ms: float | None
    p99_processing_time_ms: float | None
    success_rate: float | None  # percent
    error_count: int | None  # tries that failed; None: not known of a single source
    retry_count: int | None  # tries that were put off to be repeated; as above
    dead_letters: int  # those that stand
    queued: int
    retrying: int
    emails_per_minute: float
    last_processed_at: float | None
    last_history_id: dict[str, int]  # source → cursor


class SourceStats(Stats, frozen=True, kw_only=True):
    """The same of one source, with what the mailboxes, which carry several sources, cannot tell of it."""

    open_by_lane: dict[str, int]  # queued and retrying
    oldest_listed_at: float | None  # of what is open
