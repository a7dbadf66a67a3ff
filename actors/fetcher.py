"""Fetches emails by id and hands them to the classifiers, cut to size.

An outage of FakeMail pauses it; a 404 is retried for a while.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from actors.bodies import CLASSIFY, FETCH, ClassifyBody, FetchBody, decode, encode
from actors.slices import BREATH_S, slices, text_size
from engine import clock
from engine.errors import DependencyTrouble, MessageTrouble, Permanent, Throttled
from engine.failpoints import reach
from engine.mailbox import LANES, Delivery, Envelope
from engine.mailbox_actor import Context, MailboxActor, Outcome
from fakemail.answers import RemoteEmail
from fakemail.breaker import CircuitOpen
from storage.keys import unescape_id

BATCH, DEADLINE = 256, 180.0
"""Emails per batch, and its deadline in seconds: enough for 16 calls at a time of at most ten seconds each."""

MISSING_PAUSE, LONGEST_MISSING_PAUSE = 1.0, 600.0
"""Seconds before a missing email (404) is asked for again, growing up to the longest pause."""


PATIENCE = 30.0
"""Seconds for which an email may fail, while others succeed, before it spends attempts: FakeMail may only be
flapping."""

FAILING_PAUSE, LONGEST_FAILING_PAUSE = 1.0, 5.0
"""Seconds before a failing email is asked for again (no attempt spent yet), growing up to the longest pause."""

MANY, LONGEST_PAUSE = 100, 60.0
"""When more emails than MANY fail, each waits longer in proportion to their number, up to LONGEST_PAUSE.
Otherwise an account whose email store is broken would have all its emails requested and postponed without end."""

NO_EMAIL = "email-processor-asks-whether-you-answer"
FEW = 3
"""When no email comes, FakeMail is asked for one that does not exist. If it answers that there is none, its email store
works, and only these emails fail. If more than FEW fail, the store may be broken all the same, so no email is charged
with an attempt."""

FAILING_LIMIT, FORGET_S = 10_000, 300.0
"""The most failing emails to remember, and seconds to do so: retries come within a minute or two."""


Lanes = Callable[[Sequence[RemoteEmail]], Sequence[str | None]]
"""Maps emails to the priorities that the user's rules give them, None where they give none."""


class FailureTracker:
    """Records since when each email's fetch has failed.

    Kept in memory only: a restart makes it more patient, never less.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        # email → times of its first and last failure; the latest failure at the end
        self._since: dict[str, tuple[float, float]] = {}
        self._answered_at = float("-inf")

    @property
    def count(self) -> int:
        """The number of failing emails."""
        return len(self._since)

    def answered(self, keys: Sequence[str]) -> None:
        """Record that FakeMail answered for these emails, whatever the answer was."""
        if keys:
            self._answered_at = time.monotonic()
        for key in keys:
            self._since.pop(key, None)

    def pause(self, key: str) -> float | None:
        """Record a failure and return the pause before the retry, or None if the retry must spend an attempt.

        It must once the email has failed for longer than the patience while FakeMail answered for others.
        """
        now = time.monotonic()
        since, _ = self._since.pop(key, (now, now))
        self._since[key] = since, now
        self._forget(now)
        if now - since >= self.patience and self._answered_at >= now - self.patience - LONGEST_FAILING_PAUSE:
            return None
        slower = max(1.0, self.count / MANY)
        return min(max(FAILING_PAUSE, (now - since) / 2) * slower, LONGEST_FAILING_PAUSE * slower, LONGEST_PAUSE)

    def _forget(self, now: float) -> None:
        """Forget emails that are no longer asked for, because they were buried or erased."""
        while len(self._since) > FAILING_LIMIT or next(iter(self._since.values()))[1] < now - FORGET_S:
            del self._since[next(iter(self._since))]


class Fetches(Protocol):
    """The part of the FakeMail client that is used here."""

    def probe(self) -> None:
        """Check that FakeMail answers at all, even while the breaker is open. Raises DependencyTrouble."""

    def get_emails(self, email_ids: Sequence[str]) -> Sequence[RemoteEmail | Exception | None]:
        """Return for each id, in order, its email, None if there is none, or the error."""


class Fetcher(MailboxActor):
    """Runs once per source and fetching process.

    A batch becomes one call per email, 16 at a time, over kept connections.
    """

    error_reason = timeout_reason = "fetch_failed"

    def __init__(
        self,
        context: Context,
        *,
        clients: Mapping[str, Fetches],
        gone_after: float,
        patience: float = PATIENCE,
        lanes: Lanes = lambda emails: [None] * len(emails),
        name: str = "fetcher",
        mailbox: str = FETCH,
    ) -> None:
        super().__init__(
            context, name=name, mailbox=mailbox, kind="fetcher", count=BATCH, into=(CLASSIFY,), deadline=DEADLINE
        )
        self.clients, self.gone_after, self.lanes = clients, gone_after, lanes
        self.failures = FailureTracker(patience)

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Ask each source for its emails: forward what came, retry what is missing, bury what can never come."""
        reach("fetch.before")
        outcome = Outcome()
        for source, deliveries in _by_source(batch).items():
            client = self.clients.get(source)
            if client is None:
                raise DependencyTrouble(f"source {source} is not configured on this node", dependency="fakemail")
            answers = client.get_emails([unescape_id(delivery.envelope.key) for delivery in deliveries])
            fetched_at = self.context.clock()
            reach("fetch.fetched")
            outage = self._outage(client, answers)
            answered = zip(deliveries, answers, strict=True)
            self.failures.answered(
                [each.envelope.key for each, answer in answered if not isinstance(answer, DependencyTrouble)]
            )
            emails = [answer for answer in answers if isinstance(answer, RemoteEmail)]
            lanes = self._lanes_of(emails)
            for delivery, answer in zip(deliveries, answers, strict=True):
                if isinstance(answer, RemoteEmail):
                    envelope = _classify_envelope(delivery.envelope, answer, fetched_at, next(lanes))
                    outcome.forward(delivery, CLASSIFY, envelope)
                else:
                    self._trouble(outcome, delivery, answer, fetched_at, outage)
                self.breathe_after(BREATH_S)
        return outcome

    def _lanes_of(self, emails: Sequence[RemoteEmail]) -> Iterator[str | None]:
        """Yield the priority of each email, in order; large emails are judged in slices."""
        for part in slices(emails, text_size):
            yield from self.lanes(part)

    def _trouble(
        self,
        outcome: Outcome,
        delivery: Delivery,
        answer: Exception | None,
        at: float,
        outage: DependencyTrouble | None,
    ) -> None:
        match answer:
            case Throttled() | CircuitOpen():
                outcome.again(delivery, answer)
            case DependencyTrouble() if outage is None:
                self._failing(outcome, delivery, answer)
            case DependencyTrouble():
                outcome.again(delivery, answer)
            case None | Permanent() if outage is not None:
                outcome.again(delivery, outage)
            case None:
                self._missing(outcome, delivery, at)
            case Permanent():
                outcome.bury(delivery, answer.reason, str(answer))
            case MessageTrouble():
                outcome.retry(delivery, answer.reason, str(answer))
            case _:
                outcome.retry(delivery, "fetch_failed", repr(answer))

    def _failing(self, outcome: Outcome, delivery: Delivery, trouble: DependencyTrouble) -> None:
        """Retry an email that fails while FakeMail answers for others; after a while this spends attempts."""
        pause = self.failures.pause(delivery.envelope.key)
        if pause is not None and trouble.retry_after is not None:
            pause = max(pause, trouble.retry_after)
        outcome.retry(delivery, "fetch_failed", str(trouble), delay=pause, spend=pause is None)

    def _outage(self, client: Fetches, answers: Sequence[RemoteEmail | Exception | None]) -> DependencyTrouble | None:
        """Return the trouble if FakeMail as a whole is out of order; None if each failure is that email's own.

        An email among the answers proves that FakeMail works. A refusal does not: a proxy in front of a FakeMail that
        is down may answer 404 or 400 to everything.
        """
        if any(isinstance(answer, RemoteEmail) for answer in answers):
            return None
        asked = [answer for answer in answers if not isinstance(answer, CircuitOpen)]
        if not asked:
            return next(answer for answer in answers if isinstance(answer, DependencyTrouble))
        try:
            client.probe()
        except DependencyTrouble as trouble:
            return trouble
        troubles = [answer for answer in asked if isinstance(answer, DependencyTrouble)]
        if len(troubles) < len(asked):
            return None
        (control,) = client.get_emails([NO_EMAIL])
        if isinstance(control, DependencyTrouble):
            return control if len(troubles) > FEW else None
        if max(len(troubles), self.failures.count) <= FEW:
            self.failures.answered([NO_EMAIL])
        return None

    def _missing(self, outcome: Outcome, delivery: Delivery, at: float) -> None:
        """Retry or bury an email that is not found.

        A 404 spends no attempt: an id may be announced before its email is available.
        """
        since = decode(delivery.envelope.body, FetchBody).first_missing_at
        if since is not None and at - since >= self.gone_after <= clock.steady_s():
            outcome.bury(delivery, "gone", f"not found at FakeMail for {at - since:.0f} s")
            return
        waited = 0.0 if since is None else at - since
        left = self.gone_after - min(waited, clock.steady_s())
        pause = min(max(MISSING_PAUSE, waited / 2), LONGEST_MISSING_PAUSE, max(left, 0.1))
        outcome.retry(delivery, "gone", "not found at FakeMail yet", delay=pause, spend=False, missing=True)


def _by_source(batch: Sequence[Delivery]) -> dict[str, list[Delivery]]:
    groups = defaultdict(list)
    for delivery in batch:
        groups[delivery.envelope.source].append(delivery)
    return groups


def _classify_envelope(envelope: Envelope, email: RemoteEmail, at: float, lane: str | None) -> Envelope:
    body = ClassifyBody(
        subject=email.subject,
        body=email.body,
        sender=email.sender or "",
        recipient=email.recipient or "",
        timestamp=email.timestamp,
        headers=email.headers,
        truncated=email.truncated,
    )
    return Envelope(
        envelope.source,
        envelope.key,
        ref=envelope.ref,
        generation=envelope.generation,
        feed_seq=envelope.feed_seq,
        attempts=envelope.attempts,
        lane=lane or email.priority or (envelope.lane if envelope.lane in LANES else "normal"),
        times={**envelope.times, "fetched": at},
        body=encode(body),
    )
