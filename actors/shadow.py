"""A second model beside the live one: it labels a sample of the live mail, and its answers are only counted.

The classifiers offer what they have just labelled; a separate greenlet runs the shadow model in small slices, another
writes the counts every few seconds. If the shadow cannot keep up, emails are dropped from the sample: nothing ever
waits for it.
"""

import logging
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, NamedTuple

import gevent
from gevent.event import Event

from actors.slices import slices, text_size
from classification.model import Classification, Classifier, Email
from engine.errors import DependencyTrouble
from engine.loops import keep_doing
from storage.model_files import ModelStore

log = logging.getLogger(__name__)

WAITING = 256
SLICE = 16
FLUSH_S = 2.0


class Labelled(NamedTuple):
    """An email that the live model has labelled."""

    ref: int
    email: Email
    said: Classification


class Shadow:
    """The shadow model of one process, if any; `use` sets it."""

    def __init__(self, models: ModelStore, shard: str) -> None:
        self._models, self._shard = models, shard
        self._classifier: Classifier | None = None
        self._waiting: deque[Labelled] = deque(maxlen=WAITING)
        self._counts: dict[tuple[str, str], Counter[tuple[str, str]]] = {}  # (live, shadow) → labels → how often
        self._differences: dict[tuple[str, str], list[tuple[int, str, str, float]]] = {}
        self._news = Event()
        self._greenlets: list[gevent.Greenlet[..., Any]] = []

    @property
    def version(self) -> str | None:
        """The shadow model's version, None without one."""
        return self._classifier.version if self._classifier else None

    @property
    def classifier(self) -> Classifier | None:
        """The shadow model, None without one."""
        return self._classifier

    def use(self, classifier: Classifier | None) -> None:
        """Compare with this model from now on, or with none."""
        self._classifier = classifier
        if classifier is None:
            self._waiting.clear()

    def start(self) -> None:
        """Start comparing and writing."""
        self._greenlets = [
            gevent.spawn(self._compare),
            gevent.spawn(keep_doing, self.write, FLUSH_S, "the shadow's counts"),
        ]

    def stop(self) -> None:
        """Stop comparing and writing."""
        gevent.killall(self._greenlets, timeout=1.0)

    def offer(self, refs: Sequence[int], emails: Sequence[Email], said: Sequence[Classification]) -> None:
        """Queue emails that were just labelled for comparison; if too many wait, the oldest are dropped."""
        if self._classifier is not None:
            self._waiting.extend(Labelled(*each) for each in zip(refs, emails, said, strict=True))
            self._news.set()

    def _compare(self) -> None:
        while True:
            self._news.wait()
            self._news.clear()
            while self._waiting and (classifier := self._classifier) is not None:
                taken = [self._waiting.popleft() for _ in range(min(SLICE, len(self._waiting)))]
                for part in slices(taken, lambda each: text_size(each.email)):
                    self._ask(classifier, part)
                    gevent.sleep(0.001)

    def _ask(self, classifier: Classifier, taken: Sequence[Labelled]) -> None:
        try:
            self._note(taken, classifier.classify([each.email for each in taken]))
        except Exception:
            log.exception("the shadow model cannot read an email")

    def _note(self, taken: Sequence[Labelled], answers: Sequence[Classification]) -> None:
        for (ref, _, said), answer in zip(taken, answers, strict=True):
            pair = (said.model_version, answer.model_version)
            self._counts.setdefault(pair, Counter())[said.label, answer.label] += 1
            if said.label != answer.label:
                row = (ref, said.label, answer.label, answer.confidence)
                self._differences.setdefault(pair, []).append(row)

    def write(self) -> None:
        """Write the counts since the last write. On DependencyTrouble, keep them for the next one and raise."""
        for pair in list(self._counts):
            counts, differences = self._counts.pop(pair), self._differences.pop(pair, [])
            try:
                self._models.note_shadow(*pair, counts, differences, self._shard)
            except DependencyTrouble:
                self._counts.setdefault(pair, Counter()).update(counts)
                self._differences.setdefault(pair, []).extend(differences)
                raise
