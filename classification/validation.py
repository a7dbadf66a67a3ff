"""The figures of the model card: `python -m classification.validation --corpus DIR` cross-validates on train + dev.

No sender and no thread stands on both sides of a split, written mail is in the training folds only, and intervals come
from a bootstrap over emails. Development only; it relies on training.py, so the figures are those of what is shipped.
"""

import argparse
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped] # not installed beside the run-time packages
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-not-found] # training only
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found] # training only
from sklearn.metrics import f1_score  # type: ignore[import-not-found] # training only
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-not-found] # training only
from threadpoolctl import threadpool_limits  # type: ignore[import-not-found,unused-ignore] # training only

from classification import corpus, signals, training
from classification.encoding import Vocabulary, encode
from classification.grouping import groups
from classification.lexicon import LEXICON
from classification.records import LABELS
from classification.text import read
from classification.wordlists import WordLists

FOLDS = 5
SOURCES_LEFT_OUT = 7
DRAWS = 1_000

Floats = NDArray[np.float64]
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Setup:
    """Real mail (first `real` rows), `written` mail, further readings, and what each row's label and weight are."""

    items: list[corpus.Labelled]
    real: int
    written: int
    labels: NDArray[np.int64]
    trust: Floats
    grouped: NDArray[np.int64]
    owners: tuple[NDArray[np.int64], NDArray[np.int64]]

    def further(self, test: NDArray[np.int64], left_out: str) -> NDArray[np.int64]:
        """Return the rows of further readings that share no sender, thread or left-out source with the tested mail."""
        first = self.real + self.written
        numbers = first + training.apart(self.owners, test)
        return np.array(
            [row for row in numbers if self.items[row].source.partition("/")[0] != left_out], dtype=np.int64
        )

    def random_folds(self, seed: int = 1) -> list[Split]:
        """Return folds of the real mail that keep groups whole."""
        splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
        return list(splitter.split(np.zeros(self.real), self.labels[: self.real], self.grouped))

    def source_folds(self) -> list[Split]:
        """Return one fold for each of the largest sources: trained on all other real mail, tested on it."""
        sources = np.array([item.source for item in self.items[: self.real]])
        names, counts = np.unique(sources, return_counts=True)
        largest = names[np.argsort(-counts, kind="stable")][:SOURCES_LEFT_OUT]
        return [(np.flatnonzero(sources != name), np.flatnonzero(sources == name)) for name in largest]


def prepare(folder: Path) -> Setup:
    """Read train, dev, written mail and further readings."""
    real = [item for name in ("train.jsonl", "dev.jsonl") for item in corpus.read_lines(folder / name)]
    written, further = training.synthetic(), training.readings(folder)
    items, labels, trust = training.together(real, written, further)
    owners = training.further_groups(real, further)
    return Setup(items, len(real), len(written), labels, trust, groups(real), owners)


def predict(
    setup: Setup,
    inputs: sparse.csr_matrix,
    folds: Sequence[Split],
    *,
    fit: Callable[..., LogisticRegression] = training.regression,
    written: bool = True,
    further: bool = True,
    calibrated: bool = False,
) -> Floats:
    """Return held-out probabilities for the real mail that the folds test (rows of others stay 0).

    With `calibrated`, those of each fold are calibrated on the held-out ones of all other folds.
    """
    log_odds = np.zeros((setup.real, len(LABELS)))
    extra = np.arange(setup.real, setup.real + setup.written if written else setup.real)
    for train, test in folds:
        chosen = np.concatenate([train, extra])
        if further:
            chosen = np.concatenate([chosen, setup.further(test, _left_out(setup, train, test))])
        model = fit(inputs[chosen], setup.trust[chosen])
        log_odds[test] = model.decision_function(inputs[test])
    chances = np.zeros_like(log_odds)
    for number, (_, test) in enumerate(folds):
        logits = log_odds[test]
        if calibrated:
            others = np.concatenate([held for at, (_, held) in enumerate(folds) if at != number])
            scale, shift = training.calibrate(log_odds[others], setup.labels[others])
            logits = logits * scale + shift
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances[test] = raised / raised.sum(axis=1, keepdims=True)
    return chances


def _left_out(setup: Setup, train: NDArray[np.int64], test: NDArray[np.int64]) -> str:
    """Return the first part of the name of the source that a fold leaves out, or "" where the fold is of all sources."""
    tested: set[str] = {setup.items[row].source for row in test}
    if len(tested) == 1 and not any(setup.items[row].source in tested for row in train):
        return tested.pop().partition("/")[0]
    return ""


def figures(labels: NDArray[np.int64], said: NDArray[np.int64], confidence: Floats | None = None) -> dict[str, float]:
    """Return accuracy, macro-F1, F1 per class and, with confidences, the calibration error of one set of answers."""
    scores = f1_score(labels, said, labels=range(len(LABELS)), average=None, zero_division=0)
    result = {"accuracy": float(np.mean(labels == said)), "macro_f1": float(scores.mean())}
    result |= {f"f1_{label}": float(score) for label, score in zip(LABELS, scores, strict=True)}
    if confidence is not None:
        bins = np.minimum((confidence * 15).astype(int), 14)
        right = labels == said
        gaps = [abs(float(right[bins == b].sum()) - float(confidence[bins == b].sum())) for b in range(15)]
        result["ece"] = sum(gaps) / len(labels)
    return result


def with_intervals(
    labels: NDArray[np.int64], said: NDArray[np.int64], confidence: Floats | None = None
) -> dict[str, Any]:
    """Return each figure with its 95 % bootstrap interval over emails: name to [figure, low, high]."""
    generator = np.random.default_rng(0)
    whole = figures(labels, said, confidence)
    drawn: dict[str, list[float]] = {name: [] for name in whole}
    for _ in range(DRAWS):
        pick = generator.integers(0, len(labels), len(labels))
        part = figures(labels[pick], said[pick], None if confidence is None else confidence[pick])
        for name, value in part.items():
            drawn[name].append(value)
    return {
        name: [round(value, 3), *np.percentile(drawn[name], [2.5, 97.5]).round(3).tolist()]
        for name, value in whole.items()
    }


def baseline_inputs(setup: Setup, *, own_only: bool) -> dict[str, sparse.csr_matrix]:
    """Return the common TF-IDF by name (words 1-2, characters 3-5, both), of whole mails or of own words only."""
    texts = []
    for item in setup.items:
        email = item.email
        cut = read(email.subject, email.body) if own_only else None
        texts.append(f"{email.subject}\n{cut.own if cut else email.body}")
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), dtype=np.float32)
    letters = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(3, 5), analyzer="char_wb", dtype=np.float32)
    by_words, by_letters = words.fit_transform(texts), letters.fit_transform(texts)
    return {
        "words": by_words.tocsr(),
        "characters": by_letters.tocsr(),
        "both": sparse.hstack([by_words, by_letters]).tocsr(),
    }


def _baseline_fit(inputs: sparse.csr_matrix, trust: Floats) -> LogisticRegression:
    return LogisticRegression(C=10, max_iter=300).fit(inputs, trust.argmax(axis=1), sample_weight=trust.sum(axis=1))


def model_parts(setup: Setup) -> dict[str, sparse.csr_matrix]:
    """Return the model's inputs, whole and with one group taken away each, by name."""
    features = training.choose(setup.items)
    encoded = encode([item.email for item in setup.items], Vocabulary(features.keys))
    whole = training.matrix(encoded, features)
    size = len(features.keys)
    columns = np.arange(whole.shape[1])
    is_word, is_vector = columns < size, columns >= size + len(signals.NAMES)
    parts = {
        "whole": whole,
        "without signals": whole[:, is_word | is_vector],
        "signals alone": whole[:, ~is_word & ~is_vector],
    }
    parts["without word vectors"] = whole[:, ~is_vector]
    for number, block in enumerate(("own words", "opening words", "subject alone")):
        kept = np.ones(len(columns), dtype=bool)
        kept[:size] = features.blocks != number
        parts[f"without {block}"] = whole[:, kept]
    first = len(signals.NAMES) - len(LEXICON)
    groups_of = {"header and shape signals": range(first), "phrase-list signals": range(first, len(signals.NAMES))}
    for name, numbers in groups_of.items():
        kept = np.ones(len(columns), dtype=bool)
        kept[[size + number for number in numbers]] = False
        parts[f"without {name}"] = whole[:, kept]
    return parts


def decide(chances: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return label and confidence of each row as the classifier would give them without a threshold."""
    return chances.argmax(axis=1), chances.max(axis=1)


def rows(folder: Path) -> Iterable[tuple[str, dict[str, Any]]]:
    """Yield one named row of figures after the other."""
    setup = prepare(folder)
    labels = setup.labels[: setup.real]
    folds, by_source = setup.random_folds(), setup.source_folds()
    tested = np.concatenate([test for _, test in by_source])
    parts = model_parts(setup)
    chances = predict(setup, parts["whole"], folds, calibrated=True)
    yield "CV model", with_intervals(labels, *decide(chances))
    sure = setup.trust[: setup.real].max(axis=1) == 1
    yield "CV model, clear mails only", with_intervals(labels[sure], *(part[sure] for part in decide(chances)))
    chances = predict(setup, parts["whole"], by_source, calibrated=True)
    yield "LOSO model", with_intervals(labels[tested], *(part[tested] for part in decide(chances)))
    yield (
        "CV model without written mail",
        figures(labels, decide(predict(setup, parts["whole"], folds, written=False))[0]),
    )
    for name, split, at in (("CV", folds, np.arange(setup.real)), ("LOSO", by_source, tested)):
        said, confidence = decide(predict(setup, parts["whole"], split, further=False, calibrated=True))
        yield f"{name} model without further readings", with_intervals(labels[at], said[at], confidence[at])
    for name, inputs in parts.items():
        yield f"ablation {name}", figures(labels, decide(predict(setup, inputs, folds))[0])
    lists = np.array([LABELS.index(WordLists().label(item.email)) for item in setup.items[: setup.real]])
    yield "CV word lists", with_intervals(labels, lists)
    for name, inputs in baseline_inputs(setup, own_only=True).items():
        for further in (False, True):
            data = "with further readings" if further else "without further readings"
            chances = predict(setup, inputs, folds, fit=_baseline_fit, further=further)
            yield f"CV TF-IDF + LR, {name}, {data}", with_intervals(labels, *decide(chances))
            chances = predict(setup, inputs, by_source, fit=_baseline_fit, further=further)
            yield f"LOSO TF-IDF + LR, {name}, {data}", figures(labels[tested], decide(chances)[0][tested])


def main() -> None:
    """Print one line of JSON per row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder with train.jsonl and dev.jsonl")
    with threadpool_limits(1):
        for name, row in rows(parser.parse_args().corpus):
            rounded = {key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()}
            print(json.dumps({"row": name, **rounded}), flush=True)  # noqa: T201 (a command's answer)


if __name__ == "__main__":
    main()
