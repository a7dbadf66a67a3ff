"""Splits mail into folds for training and testing, and collects a model's answers on mail that it has not seen.

validation.py computes its figures from this. training.py provides labels and weights, grouping.py which emails belong
together.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed  # type: ignore[import-untyped] # training only
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped] # training only
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped] # training only

from classification import corpus
from classification.learning import training
from classification.learning.grouping import groups
from classification.records import LABELS

FOLDS = 5
SOURCES_LEFT_OUT = 7

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Fold(NamedTuple):
    """Rows of a setup: real mail to train on, real mail to test on, and further readings to train on."""

    train: Ints
    test: Ints
    further: Ints


@dataclass(frozen=True, slots=True)
class Setup:
    """Real mail (the first `real` rows), `written` mail and further readings, with each row's label and weight.

    `made_up` marks the written mail, of which the first `given` came with the corpus; `ids` are those of the real mail.
    """

    items: list[corpus.Labelled]
    ids: list[str]
    real: int
    written: int
    given: int
    labels: Ints
    trust: Floats
    made_up: NDArray[np.bool_]

    def random_folds(self, *, senders: bool = True) -> list[Fold]:
        """Return folds in which no thread is on both sides, nor, with `senders`, any sender."""
        real, further = self.items[: self.real], self.items[self.real + self.written :]
        owners = training.further_groups(real, further, senders=senders)
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=1)
        split = splitter.split(np.zeros(self.real), self.labels[: self.real], groups(real, senders=senders))
        return [Fold(train, test, self._further(training.apart(owners, test))) for train, test in split]

    def source_folds(self) -> list[Fold]:
        """Return a fold for each of the largest sources: tested on it, trained on the others.

        A reading's source is the first part of its name.
        """
        sources = np.array([item.source for item in self.items])
        families = np.array([source.partition("/")[0] for source in sources])
        real, further = sources[: self.real], families[self.real + self.written :]
        names, counts = np.unique(real, return_counts=True)
        largest = names[np.argsort(-counts, kind="stable")][:SOURCES_LEFT_OUT]
        return [
            Fold(
                np.flatnonzero(real != name),
                np.flatnonzero(real == name),
                self._further(np.flatnonzero(further != name.partition("/")[0])),
            )
            for name in largest
        ]

    def thinned(self, folds: Sequence[Fold], share: float) -> list[Fold]:
        """Return the folds with only a share of their real training mail, in whole groups."""
        grouped = groups(self.items[: self.real])
        used = np.random.default_rng(0).random(int(grouped.max()) + 1)[grouped] < share
        return [fold._replace(train=fold.train[used[fold.train]]) for fold in folds]

    def _further(self, numbers: Ints) -> Ints:
        return self.real + self.written + numbers


def prepare(folder: Path) -> Setup:
    """Read train, dev, written mail and further readings."""
    files = [folder / "train.jsonl", folder / "dev.jsonl"]
    real = [item for path in files for item in corpus.read_lines(path)]
    ids = [entry["id"] for path in files for entry in entries(path)]
    written, further = training.synthetic(), training.readings(folder)
    given = sum(1 for _ in corpus.read_lines(folder / "synthetic.jsonl"))
    items, labels, trust, made_up = training.together(real, written, further)
    return Setup(items, ids, len(real), len(written), given, labels, trust, made_up)


def entries(path: Path) -> list[dict[str, Any]]:
    """Return the objects of a JSON-lines file."""
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def log_odds(
    setup: Setup,
    inputs: sparse.csr_matrix,
    folds: Sequence[Fold],
    *,
    fit: Callable[..., Any] = training.linear,
    written: int | None = None,
    further: bool = True,
) -> Floats:
    """Return held-out log-odds for the real mail that the folds test; all other rows stay 0.

    `written` is how many written mails are used, None for all; `inputs` has the setup's rows up to the last one used.
    """
    extra = np.arange(setup.real, setup.real + (setup.written if written is None else written))
    tasks = []
    for fold in folds:
        chosen = np.concatenate([fold.train, extra, *([fold.further] if further else [])])
        tasks.append(
            delayed(_fitted)(fit, inputs[fold.test], inputs[chosen], setup.trust[chosen], setup.made_up[chosen])
        )
    result = np.zeros((setup.real, len(LABELS)))
    for fold, said in zip(folds, Parallel(n_jobs=-1)(tasks), strict=True):
        result[fold.test] = said
    return result


def _fitted(fit: Callable[..., Any], asked: sparse.csr_matrix, *known: Any) -> Floats:
    return np.asarray(fit(*known).decision_function(asked))


def in_turn(folds: Sequence[Fold]) -> Iterator[tuple[Ints, Ints]]:
    """Yield for each fold the tested rows of all other folds, and its own: held-out answers train a second model."""
    for number, fold in enumerate(folds):
        yield np.concatenate([other.test for at, other in enumerate(folds) if at != number]), fold.test


def calibrated(scores: Floats, labels: Ints, folds: Sequence[Fold]) -> Floats:
    """Return probabilities: the log-odds of each fold, calibrated on the held-out ones of the other folds."""
    chances = np.zeros_like(scores)
    for others, test in in_turn(folds):
        scale, shift = training.calibrate(scores[others], labels[others])
        logits = scores[test] * scale + shift
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances[test] = raised / raised.sum(axis=1, keepdims=True)
    return chances
