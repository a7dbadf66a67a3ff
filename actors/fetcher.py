"""Fetches emails by id and hands them, whole and cut, to the classifiers. Trouble with FakeMail pauses it; a 404 is waited out."""

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
from fakemail.breaker import NotAsked
from storage.keys import unescape_id

BATCH, DEADLINE = 256, 180.0
"""Emails a batch, and its seconds: sixteen at a time it passes even while FakeMail takes ten for each, the most that a call may."""

MISSING_PAUSE, LONGEST_MISSING_PAUSE = 1.0, 600.0
"""An email that is not there yet is asked for again after this many seconds, then at growing intervals."""


PATIENCE = 30.0
"""An email whose own fetch fails for so many seconds, while others succeed, begins to spend its attempts: FakeMail may only be flapping."""

SICK_PAUSE, LONGEST_SICK_PAUSE = 1.0, 5.0
"""Until then it is asked for again after this many seconds, then at growing intervals."""

CROWD, LONGEST_CROWD_PAUSE = 100, 60.0
"""Of more failing emails than this each waits longer, as many times as there are more, and this long at most: else all of an account
whose store of emails is out of order would be asked for, and written down as put off, without end."""

STRANGER = "email-processor-asks-whether-you-answer"
FEW = 3
"""Where no email comes, FakeMail is asked for one that there is not: if it says so, it gives emails, and fails for these alone. Where more of
them fail than this it may all the same be the place where they are kept that is out of order, and nobody is charged."""

SICK_LIMIT, FORGET_S = 10_000, 300.0
"""So many failing emails are known at most, each for so many seconds after its last failure: its retries come within a minute or two."""


Lanes = Callable[[Sequence[RemoteEmail]], Sequence[str | None]]
"""The priorities that the user's rules give emails, None where they give none."""


class SickList:
    """Since when each email's own fetch has failed. In memory only: a restart makes it more patient, never less."""

    def __init__(self, patience: float) -> None:
        self.patience = patience
        # email → when its fetch failed first and last; the latest at the end
        self._since: dict[str, tuple[float, float]] = {}
        self._answered_at = float("-inf")

    @property
    def count(self) -> int:
        """How many fail."""
        return len(self._since)

    def answered(self, keys: Sequence[str]) -> None:
        """FakeMail answered for these emails, whatever it said."""
        if keys:
            self._answered_at = time.monotonic()
        for key in keys:
            self._since.pop(key, None)

    def pause(self, key: str) -> float | None:
        """Note a failure, and say when to ask again; None, to charge it, when it has gone on beyond the patience while others were answered for."""
        now = time.monotonic()
        since, _ = self._since.pop(key, (now, now))
        self._since[key] = since, now
        self._forget(now)
        if now - since >= self.patience and self._answered_at >= now - self.patience - LONGEST_SICK_PAUSE:
            return None
        crowd = max(1.0, self.count / CROWD)
        return min(max(SICK_PAUSE, (now - since) / 2) * crowd, LONGEST_SICK_PAUSE * crowd, LONGEST_CROWD_PAUSE)

    def _forget(self, now: float) -> None:
        """What is asked for no more, since it was buried or erased, fails no more either."""
        while len(self._since) > SICK_LIMIT or next(iter(self._since.values()))[1] < now - FORGET_S:
            del self._since[next(iter(self._since))]


class Fetches(Protocol):
    """What is needed of FakeMail here."""

    def probe(self) -> None:
        """Whether it answers at all, asked past an open breaker. Raises DependencyTrouble."""

    def get_emails(self, email_ids: Sequence[str]) -> Sequence[RemoteEmail | Exception | None]:
        """Each email, None where there is none, or what went wrong, in order."""


class Fetcher(MailboxActor):
    """One for each source and process that fetches; a batch becomes one call per email, 16 at a time, over kept connections."""

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
        self.sick = SickList(patience)

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Ask each source for its emails; what came goes on, what is missing waits, what can never come is buried."""
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
            self.sick.answered(
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
        """In their order; large emails are looked at in slices."""
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
            case Throttled() | NotAsked():
                outcome.again(delivery, answer)
            case DependencyTrouble() if outage is None:
                self._sick(outcome, delivery, answer)
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

    def _sick(self, outcome: Outcome, delivery: Delivery, trouble: DependencyTrouble) -> None:
        """FakeMail answers others but not for this email: it is put off, so as not to hold them up, and charged at last."""
        pause = self.sick.pause(delivery.envelope.key)
        if pause is not None and trouble.retry_after is not None:
            pause = max(pause, trouble.retry_after)
        outcome.retry(delivery, "fetch_failed", str(trouble), delay=pause, spend=pause is None)

    def _outage(self, client: Fetches, answers: Sequence[RemoteEmail | Exception | None]) -> DependencyTrouble | None:
        """None: FakeMail is well, if not for every email, and trouble with one is that one's own, and must not hold up the others.

        An email is a sign of that. A refusal is none: what stands before a FakeMail that is away may answer 404 or 400 to everything.
        """
        if any(isinstance(answer, RemoteEmail) for answer in answers):
            return None
        asked = [answer for answer in answers if not isinstance(answer, NotAsked)]
        if not asked:
            return next(answer for answer in answers if isinstance(answer, DependencyTrouble))
        try:
            client.probe()
        except DependencyTrouble as trouble:
            return trouble
        troubles = [answer for answer in asked if isinstance(answer, DependencyTrouble)]
        if len(troubles) < len(asked):
            return None
        (stranger,) = client.get_emails([STRANGER])
        if isinstance(stranger, DependencyTrouble):
            return stranger if len(troubles) > FEW else None
        if max(len(troubles), self.sick.count) <= FEW:
            self.sick.answered([STRANGER])
        return None

    def _missing(self, outcome: Outcome, delivery: Delivery, at: float) -> None:
        """A 404 spends no attempt: the id may have been announced before the email can be had."""
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
