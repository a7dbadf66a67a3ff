"""Classifies emails: a batch is labelled, stored in one transaction, then acknowledged along with its events.

The user's rules are consulted beside the model. Both answers are stored, and a rule's label takes precedence. Once
stored, the emails of the first slice of each batch are offered to the shadow model.
"""

import logging
import time
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Protocol

from actors.bodies import CLASSIFY, ClassifyBody, decode
from actors.deciding import to_email
from actors.events import process_event, readable_id
from actors.slices import BREATH_S, slices
from classification.model import Classification, Email
from classification.rules import Readable, Ruling
from engine.failpoints import reach
from engine.logs import Folded
from engine.mailbox import Delivery
from engine.mailbox_actor import Context, MailboxActor, Outcome
from storage.records import Content, NewResult, StoredResult, waited
from storage.results import ResultStore

log = logging.getLogger(__name__)

BATCH = 448
"""A whole number of row blocks for the database, and no more than one settling script takes."""

Rules = Callable[[Sequence[Readable]], Sequence[Ruling | None]]
Offer = Callable[[Sequence[int], Sequence[Email], Sequence[Classification]], None]
Sample = tuple[list[Email], list[Classification]]


class Labeller(Protocol):
    """A model: classification.model.Classifier, or actors.deciding.Deciders, which uses whichever model is live."""

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Label emails, in their order."""


def no_rules(emails: Sequence[Readable]) -> Sequence[Ruling | None]:
    """Return None for each email: the stand-in where there are no rules."""
    return [None] * len(emails)


class ClassifierActor(MailboxActor):
    """A worker: one classifier actor of the pool.

    `name` ends the `processor_id` of its results; `offer` receives a sample of the labelled emails, for the shadow.
    """

    error_reason, timeout_reason = "classifier_error", "classifier_timeout"

    def __init__(
        self,
        context: Context,
        *,
        classifier: Labeller,
        results: ResultStore,
        name: str,
        rules: Rules = no_rules,
        offer: Offer = lambda *_: None,
    ) -> None:
        super().__init__(context, name=name, kind="classifier", mailbox=CLASSIFY, count=BATCH)
        self.classifier, self.results, self.rules, self.offer = classifier, results, rules, offer
        self.processor_id = f"{context.process}/{name}"
        self.processed = Folded(log)

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Classify a batch, save the results in one transaction, and acknowledge with `process` events."""
        reach("classify.before")
        taken = self.context.clock()
        rows: list[NewResult] = []
        told: list[bytes] = []
        sample: Sample = ([], [])
        with self.thinking():
            for part in slices(batch, attrgetter("size")):
                emails, labels, found = self._classify(part, taken)
                sample = sample if rows else (emails, labels)
                rows += found
                told += map(process_event, found)
                self.breathe_after(BREATH_S)
        reach("classify.classified")
        saved = self.results.save(rows, shard=self.context.process)
        reach("results.committed")
        self._offer(sample, rows, saved)
        outcome = Outcome()
        for delivery, row, event, result in zip(batch, rows, told, saved, strict=True):
            # `event` describes `row`; it is true only if that row was stored now, and not another one before.
            events = [event if result is row else process_event(result)] if result else []
            outcome.done(delivery, *events)
        self.processed.infos("Processed", [result for result in saved if result], _named)
        return outcome

    def _classify(
        self, deliveries: Sequence[Delivery], taken: float
    ) -> tuple[list[Email], list[Classification], list[NewResult]]:
        began = time.perf_counter()
        contents = [decode(delivery.envelope.body, ClassifyBody) for delivery in deliveries]
        emails = list(map(to_email, contents))
        found, rulings = self.classifier.classify(emails), self.rules(emails)
        each_ms, now = (time.perf_counter() - began) * 1000 / len(deliveries), self.context.clock()
        stamps = {"taken": taken, "classified": now}
        judged = zip(deliveries, contents, found, rulings, strict=True)
        return emails, found, [self._row(*each, each_ms, now, stamps) for each in judged]

    def _offer(
        self, sample: Sample, rows: Sequence[NewResult], saved: Sequence[NewResult | StoredResult | None]
    ) -> None:
        """Offer the first slice to the shadow: all of a small batch, little of a full one, so that bursts stay cheap.

        Emails whose results were stored before are left out.
        """
        stored = [
            (row.ref, email, label)
            for row, kept, email, label in zip(rows, saved, *sample, strict=False)
            if kept is row
        ]
        if stored:
            self.offer(*zip(*stored, strict=True))

    def _row(
        self,
        delivery: Delivery,
        content: Content,
        found: Classification,
        ruling: Ruling | None,
        each_ms: float,
        now: float,
        stamps: dict[str, float],
    ) -> NewResult:
        envelope = delivery.envelope
        times = {**envelope.times, **stamps}
        queued_ms, total_ms = waited(times, now, each_ms)
        return NewResult(  # positional, as in actors/events.py
            envelope.source,
            envelope.key,
            envelope.ref,
            envelope.generation,
            envelope.attempts,
            content,
            found.label,
            found.confidence,
            found.probabilities,
            found.model_version,
            self.processor_id,
            each_ms,
            now,
            found.below_threshold,
            found.runner_up,
            ruling.rule_id if ruling else None,
            ruling.classification if ruling else None,
            times,
            envelope.feed_seq,
            queued_ms,
            total_ms,
        )


def _named(result: NewResult | StoredResult) -> dict[str, str]:
    return {"source": result.source, "email_id": readable_id(result.key)}
