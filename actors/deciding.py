"""Decides about emails in this process: the user's rules, the live model, and the shadow model beside it.

There is one `Deciders` per process, shared by its actors and its web server. It follows the desired state
(engine/control.py): when the version of the rules or models changes, it reads them from SQL, builds them off the hub,
and swaps them in between two slices of a batch. Each result records the versions that made it.
"""

import logging
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gevent
from gevent.event import Event

from actors.shadow import Shadow
from classification.model import Classification, Classifier, Email, Explanation
from classification.rules import Condition, Readable, Rule, RuleSet, Ruling
from classification.weights import PACKAGED as PACKAGED_FILE
from classification.weights import ModelFileError
from engine.control import Control
from engine.errors import DependencyTrouble
from engine.loops import keep_doing
from engine.turns import off_the_hub
from storage.corrections import Corrections
from storage.model_files import PACKAGED, ModelInfo, ModelStore, Roles
from storage.records import Content
from storage.rules import RuleStore, StoredRule

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""How long a caller waits for the first read of rules and models before it gets DependencyTrouble."""


CORRECTIONS = 2_000
"""How many of the newest corrections a model is scored on."""

SLICE = 128

REREAD_S = 60.0
"""Seconds between two reads of rules and models, even without a change signal."""


@dataclass(frozen=True, slots=True)
class Score:
    """How many of the emails that people corrected a model gets right."""

    corrections: int
    right: int


class Deciders:
    """`packaged` is the model that the program ships, live until another is promoted; `wrap` wraps every model."""

    def __init__(
        self,
        packaged: Classifier,
        *,
        rules: RuleStore,
        models: ModelStore,
        shard: str,
        wrap: Callable[[Classifier], Classifier] = lambda classifier: classifier,
    ) -> None:
        self.packaged, self._rules, self._models, self._wrap = packaged, rules, models, wrap
        self.classifier = wrap(packaged)
        self.ruleset = RuleSet()
        self.rules_version = 0
        self.shadow = Shadow(models, shard)
        self.ready = Event()
        self._unusable: set[str] = set()  # broken, or of another release; logged once
        # By model version: the stamp of the corrections, and the score on them.
        self._scores: dict[str, tuple[tuple[int, float], Score]] = {}
        self._asked = Event()
        self._greenlet: gevent.Greenlet[..., Any] | None = None

    def start(self, control: Control) -> None:
        """Start following the desired state."""
        self._greenlet = gevent.spawn(
            keep_doing, self._read_as_asked, REREAD_S, "rules and models", wait=self._asked.wait
        )
        self.shadow.start()
        control.on_change(lambda _: self._asked.set())

    def stop(self) -> None:
        """Stop following."""
        if self._greenlet is not None:
            self._greenlet.kill(timeout=1.0)
        self.shadow.stop()

    # -- decisions -------------------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """The live model's version."""
        return self.classifier.version

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Label emails with the live model. Raises DependencyTrouble until it is known which model that is."""
        self._wait()
        return self.classifier.classify(emails)

    def explain(self, email: Email, version: str = "") -> Explanation:
        """Explain one email by the model of that version, or by the live one if that is not in memory."""
        return (self._in_memory(version) or self.classifier).explain(email)

    def judge(self, emails: Sequence[Readable]) -> Sequence[Ruling | None]:
        """Return the rules' rulings, None where no rule matches.

        Runs off the hub if a pattern may be slow on hostile text.
        """
        self._wait()
        rules = self.ruleset
        if not rules:
            return [None] * len(emails)
        if not rules.may_take_long:
            return rules.judge_all(emails)
        found: list[Ruling | None] = off_the_hub(rules.judge_all, emails)
        return found

    def lanes(self, emails: Sequence[Readable]) -> Sequence[str | None]:
        """Return the priority that the rules give each email, or None."""
        self._wait()
        if not self.ruleset.sets_priority:
            return [None] * len(emails)
        return [ruling.priority if ruling else None for ruling in self.judge(emails)]

    def score(self, classifier: Classifier, corrections: Corrections) -> Score:
        """Score a model on the corrections, off the hub; cached until the corrections change."""
        stamp = corrections.stamp()
        known = self._scores.get(classifier.version)
        if known is not None and known[0] == stamp:
            return known[1]
        given = corrections.newest(CORRECTIONS)
        right = 0
        for start in range(0, len(given), SLICE):
            part = given[start : start + SLICE]
            said = off_the_hub(classifier.classify, [to_email(each.content) for each in part])
            right += sum(answer.label == each.label for answer, each in zip(said, part, strict=True))
        score = Score(len(given), right)
        self._scores[classifier.version] = (stamp, score)
        return score

    def _wait(self) -> None:
        if not self.ready.is_set() and not self.ready.wait(PATIENCE_S):
            raise DependencyTrouble("rules and models are not read yet", dependency="database")

    # -- following -------------------------------------------------------------------------------------------------------

    def _read_as_asked(self) -> None:
        self._asked.clear()
        self.read()

    def read(self) -> None:
        """Apply the desired state now. Raises DependencyTrouble."""
        version, rules = self._rules.all()
        if version != self.rules_version:
            self.ruleset = off_the_hub(RuleSet, [to_rule(each) for each in rules if each.enabled])
            self.rules_version = version
            log.info("rules of version %d: %d", version, len(self.ruleset.rules))
        self._take_roles(self._models.roles())
        self.ready.set()

    def _take_roles(self, roles: Roles) -> None:
        live = self.packaged.version if roles.live is None or roles.live in self._unusable else roles.live
        if live != self.classifier.version:
            self.classifier = self._wrap(self.load(live) or self.packaged)
            log.info("model %s is live", self.classifier.version)
        if roles.shadow in (None, self.classifier.version):
            self.shadow.use(None)
        elif roles.shadow not in (self.shadow.version, *self._unusable):
            self.shadow.use(self.load(roles.shadow))

    def keep_packaged(self) -> bool:
        """Store the packaged model's file in SQL; return whether it is new there.

        So nodes of another release can follow when it is promoted.
        """
        return self._models.add(self.packaged.version, PACKAGED_FILE.read_bytes(), origin=PACKAGED)

    def live(self, roles: Roles) -> str:
        """Return the live model's version: the promoted one if this program can use it, else the packaged one."""
        info = self._models.get(roles.live) if roles.live else None
        return info.version if info and self.can_use(info) else self.packaged.version

    def can_use(self, model: ModelInfo) -> bool:
        """Return whether this program reads email as the model expects: it ships that model or its parent."""
        return self.packaged.version in (model.version, model.parent)

    def load(self, version: str) -> Classifier | None:
        """Return a ready model, loaded from SQL if it is not in memory; log why and return None if that fails."""
        known = self._in_memory(version)
        if known is not None:
            return known
        info, file = self._models.get(version), self._models.file(version)
        if info is None or file is None:
            log.error("model %s is not in the database", version)
            return None
        if not self.can_use(info):
            self._unusable.add(version)
            log.error("model %s was trained from a model of another release: train again", version)
            return None
        try:
            found: Classifier = off_the_hub(classifier_of, file, self.packaged.min_confidence)
        except ModelFileError as error:
            self._unusable.add(version)
            log.error("model %s cannot be used: %s", version, error)  # noqa: TRY400  (the error says all)
            return None
        return found

    def _in_memory(self, version: str) -> Classifier | None:
        known = (self.packaged, self.classifier, self.shadow.classifier)
        return next((each for each in known if each is not None and each.version == version), None)


def classifier_of(file: bytes, min_confidence: float) -> Classifier:
    """Build a classifier from the bytes of a model file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.npz"
        path.write_bytes(file)
        return Classifier.load(path, min_confidence)


def to_email(content: Content) -> Email:
    """Convert stored content to what a model takes."""
    return Email(content.subject, content.body, content.sender, content.recipient, content.headers)


def to_rule(stored: StoredRule) -> Rule:
    """Convert a stored rule to what the matcher takes."""
    conditions = tuple(Condition(each.field, each.kind, each.pattern) for each in stored.conditions)  # type: ignore[arg-type]  # checked when it was stored
    return Rule(stored.id, conditions, stored.classification, stored.priority)
