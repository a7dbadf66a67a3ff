"""Classifies emails and saves the results: the pool's actor. Work first, then one transaction, then acknowledge and tell."""

import time
from collections.abc import Sequence

from actors.bodies import CLASSIFY, ClassifyBody, decode
from actors.events import process_event
from classification.model import Classification, Classifier, Email
from engine.failpoints import reach
from engine.mailbox import Delivery
from engine.mailbox_actor import Context, MailboxActor, Outcome
from storage.records import Content, NewResult
from storage.results import ResultStore

BATCH = 256
SLICE = 32
"""Emails between two yields to the hub: a few milliseconds of work."""


class ClassifierActor(MailboxActor):
    """A worker. `name` is the last part of its results' `processor_id`."""

    error_reason, timeout_reason = "classifier_error", "classifier_timeout"

    def __init__(self, context: Context, *, classifier: Classifier, results: ResultStore, name: str) -> None:
        super().__init__(context, name=name, kind="classifier", mailbox=CLASSIFY, count=BATCH)
        self.classifier, self.results = classifier, results
        self.processor_id = f"{context.process}/{name}"

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """A batch of emails → one transaction of results → their `process` events."""
        reach("classify.before")
        taken = time.time()
        rows = []
        for start in range(0, len(batch), SLICE):
            rows += self._classify(batch[start : start + SLICE], taken)
            self.breathe()
        reach("classify.classified")
        saved = self.results.save(rows, shard=self.context.process)
        reach("results.committed")
        outcome = Outcome()
        for delivery, result in zip(batch, saved, strict=True):
            outcome.done(delivery, *([process_event(result)] if result else []))
        return outcome

    def _classify(self, deliveries: Sequence[Delivery], taken: float) -> list[NewResult]:
        began = time.perf_counter()
        contents = [decode(delivery.envelope.body, ClassifyBody) for delivery in deliveries]
        emails = [
            Email(content.subject, content.body, content.sender, content.recipient, content.headers)
            for content in contents
        ]
        found = self.classifier.classify(emails)
        each_ms, now = (time.perf_counter() - began) * 1000 / len(deliveries), time.time()
        stamps = {"taken": taken, "classified": now}
        return [self._row(*item, each_ms, now, stamps) for item in zip(deliveries, contents, found, strict=True)]

    def _row(
        self,
        delivery: Delivery,
        content: Content,
        found: Classification,
        each_ms: float,
        now: float,
        stamps: dict[str, float],
    ) -> NewResult:
        envelope = delivery.envelope
        return NewResult(
            source=envelope.source,
            key=envelope.key,
            ref=envelope.ref,
            generation=envelope.generation,
            attempts=envelope.attempts,
            content=content,
            label=found.label,
            confidence=found.confidence,
            probabilities=found.probabilities,
            model_version=found.model_version,
            processor_id=self.processor_id,
            processing_ms=each_ms,
            processed_at=now,
            below_threshold=found.below_threshold,
            runner_up=found.runner_up,
            times=envelope.times | stamps,
        )
