"""The figures of the model card: `python -m classification.validation --corpus DIR --card docs/model-card.md`.

Cross-validates on train + dev: no sender and no thread stands on both sides of a split, written mail is in the training
folds only, and intervals come from a bootstrap over emails. It relies on training.py, so that the figures are those of
what is shipped, on contenders.py for the models beside it, and card.py writes them down.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped] # not installed beside the run-time packages
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-not-found] # training only
from threadpoolctl import threadpool_limits  # type: ignore[import-not-found,unused-ignore] # training only

from classification import card, contenders, corpus, signals, training
from classification.encoding import Vocabulary, encode
from classification.grouping import groups
from classification.lexicon import LEXICON
from classification.records import LABELS
from classification.scores import Sample, figures, lead, with_intervals
from classification.wordlists import WordLists

FOLDS = 5
SHARES = (0.25, 0.5, 0.75)
SOURCES_LEFT_OUT = 7
ALONE = ", without further readings"
# What a reader said of emails of train and dev without seeing a label: ids and labels.
BLIND = training.READINGS.parent / "blind.jsonl"
PLAIN = ", before calibration"
# What issue 4 and the corpus itself compare with: the mail that came with the corpus, words and characters, the likeliest label.
GIVEN = f"TF-IDF of {contenders.BOTH} + logistic regression, of the given mail alone{PLAIN}"

Floats = NDArray[np.float64]
Split = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True, slots=True)
class Setup:
    """Real mail (first `real` rows), `written` mail, further readings, and what each row's label and weight are.

    The first `given` of the written ones came with the corpus; `blind` has what a reader who saw no label said of some rows.
    """

    items: list[corpus.Labelled]
    real: int
    written: int
    given: int
    labels: NDArray[np.int64]
    trust: Floats
    grouped: NDArray[np.int64]
    owners: tuple[NDArray[np.int64], NDArray[np.int64]]
    blind: dict[int, str]

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
    files = [folder / "train.jsonl", folder / "dev.jsonl"]
    real = [item for path in files for item in corpus.read_lines(path)]
    written, further = training.synthetic(), training.readings(folder)
    given = sum(1 for _ in corpus.read_lines(folder / "synthetic.jsonl"))
    items, labels, trust = training.together(real, written, further)
    owners = training.further_groups(real, further)
    return Setup(items, len(real), len(written), given, labels, trust, groups(real), owners, _blind(files))


def _blind(files: Sequence[Path]) -> dict[int, str]:
    said = {entry["id"]: entry["label"] for entry in _entries(BLIND)}
    ids = [entry["id"] for path in files for entry in _entries(path)]
    return {row: said[each] for row, each in enumerate(ids) if each in said}


def _entries(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def log_odds(
    setup: Setup,
    inputs: sparse.csr_matrix,
    folds: Sequence[Split],
    *,
    fit: Callable[..., Any] = training.linear,
    written: int | None = None,
    further: bool = True,
    share: float = 1.0,
) -> Floats:
    """Return held-out log-odds for the real mail that the folds test (rows of others stay 0).

    `written` is how many of the written mails are used, None for all; `share` is how much of the real training mail is used, by
    whole groups.
    """
    result = np.zeros((setup.real, len(LABELS)))
    extra = np.arange(setup.real, setup.real + (setup.written if written is None else written))
    used = np.random.default_rng(0).random(int(setup.grouped.max()) + 1)[setup.grouped] < share
    for train, test in folds:
        chosen = np.concatenate([train[used[train]], extra])
        if further:
            chosen = np.concatenate([chosen, setup.further(test, _left_out(setup, train, test))])
        result[test] = fit(inputs[chosen], setup.trust[chosen]).decision_function(inputs[test])
    return result


def calibrated(scores: Floats, labels: NDArray[np.int64], folds: Sequence[Split]) -> Floats:
    """Return probabilities: the log-odds of each fold calibrated on the held-out ones of all other folds."""
    chances = np.zeros_like(scores)
    for number, (_, test) in enumerate(folds):
        others = np.concatenate([held for at, (_, held) in enumerate(folds) if at != number])
        scale, shift = training.calibrate(scores[others], labels[others])
        logits = scores[test] * scale + shift
        raised = np.exp(logits - logits.max(axis=1, keepdims=True))
        chances[test] = raised / raised.sum(axis=1, keepdims=True)
    return chances


def _left_out(setup: Setup, train: NDArray[np.int64], test: NDArray[np.int64]) -> str:
    """Return the first part of the name of the source that a fold leaves out, or "" where the fold is of all sources."""
    tested: set[str] = {setup.items[row].source for row in test}
    if len(tested) == 1 and not any(setup.items[row].source in tested for row in train):
        return tested.pop().partition("/")[0]
    return ""


def model_parts(whole: sparse.csr_matrix, features: training.Features) -> dict[str, sparse.csr_matrix]:
    """Return the model's inputs, whole and with one group taken away each, by name."""
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


class Rows:
    """Makes the rows of figures, one after the other; a row says which `table` of the card it belongs to."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.labels = setup.labels[: setup.real]
        self.whole = np.arange(setup.real)
        self.said: dict[tuple[str, str], NDArray[np.int64]] = {}
        self.splits = {"CV": setup.random_folds(), "LOSO": setup.source_folds()}
        self.tested = {
            name: np.sort(np.concatenate([test for _, test in folds])) for name, folds in self.splits.items()
        }

    def row(
        self, table: str, name: str, chances: Floats, raw: Floats | None = None, at: NDArray[np.int64] | None = None
    ) -> dict[str, Any]:
        """Return one row with intervals; `raw` (log-odds) adds the macro-F1 before calibration, `at` are the rows meant."""
        at = self.tested.get(table, self.whole) if at is None else at
        said, confidence = chances.argmax(axis=1)[at], chances.max(axis=1)[at]
        row = {"table": table, "row": name, **with_intervals(self.labels[at], said, confidence)}
        if raw is not None:
            row["raw_macro_f1"] = round(figures(self.labels[at], raw.argmax(axis=1)[at])["macro_f1"], 3)
        return row

    def linear(self, table: str, name: str, inputs: sparse.csr_matrix, **how: Any) -> tuple[dict[str, Any], Floats]:
        """Return the row of a linear model and its held-out log-odds."""
        folds = self.splits[table]
        raw = log_odds(self.setup, inputs, folds, **how)
        chances = calibrated(raw, self.labels, folds)
        self.said[table, name] = chances.argmax(axis=1)
        return self.row(table, name, chances, raw), raw

    def plain(self, table: str, name: str, raw: Floats) -> dict[str, Any]:
        """Return the row of a model whose answers are its likeliest labels, uncalibrated."""
        self.said[table, name] = raw.argmax(axis=1)
        at = self.tested[table]
        return {"table": table, "row": name, **with_intervals(self.labels[at], self.said[table, name][at])}

    def leads(self, table: str) -> Iterator[dict[str, Any]]:
        """Yield how far this model is ahead of the TF-IDF models on the same emails and data, in pairs."""
        at = self.tested[table]
        for (split, name), said in self.said.items():
            if split == table and name.startswith("TF-IDF"):
                ours = "this model" + (ALONE if ALONE in name else "")
                ahead = lead(self.labels[at], self.said[table, ours][at], said[at])
                yield {"table": "lead", "row": f"{table}: {ours}, over {name}", **ahead}

    def lists(self, table: str) -> dict[str, Any]:
        """Return the row of the word lists, which have no confidence."""
        at = self.tested[table]
        said = np.array([LABELS.index(WordLists().label(self.setup.items[row].email)) for row in at])
        return {"table": table, "row": "word lists, first match wins", **with_intervals(self.labels[at], said)}


def rows(setup: Setup, kept_vectors: Path | None) -> Iterator[dict[str, Any]]:
    """Yield all rows of figures."""
    make = Rows(setup)
    features = training.choose(setup.items)
    encoded = encode([item.email for item in setup.items], Vocabulary(features.keys))
    parts = model_parts(training.matrix(encoded, features), features)
    ours: dict[str, Floats] = {}
    for table, folds in make.splits.items():
        row, ours[table] = make.linear(table, "this model", parts["whole"])
        yield row
        if table == "CV":
            yield from _of_ours(make, calibrated(ours[table], make.labels, folds))
            yield from _of_reader(make, make.said["CV", "this model"])
        yield make.linear(table, "this model" + ALONE, parts["whole"], further=False)[0]
        yield make.lists(table)
    for share in SHARES:
        raw = log_odds(setup, parts["whole"], make.splits["CV"], share=share)
        yield make.row("learning", f"{share:.0%} of the real mail", calibrated(raw, make.labels, make.splits["CV"]))
    raw = log_odds(setup, parts["whole"], make.splits["CV"], written=0)
    yield make.row("learning", "without written mail", calibrated(raw, make.labels, make.splits["CV"]))
    for name, inputs in parts.items():
        said = (ours["CV"] if name == "whole" else log_odds(setup, inputs, make.splits["CV"])).argmax(axis=1)
        yield {"table": "ablation", "row": name, **figures(make.labels, said)}
    yield from _beside(make, encoded.signals[: setup.real], ours, kept_vectors)


def _of_ours(make: Rows, chances: Floats) -> Iterator[dict[str, Any]]:
    """Yield what only this model's answers are asked: by how sure the readers were, the confusions, the reliability."""
    said, items = chances.argmax(axis=1), make.setup.items[: make.setup.real]
    for sure, name in ((3, "clear"), (2, "likely"), (1, "a toss-up")):
        at = np.array([row for row, item in enumerate(items) if item.sure == sure])
        yield make.row("sure", f"marked {name} ({len(at)})", chances, at=at)
    for number, label in enumerate(LABELS):
        mine = make.labels == number
        counts = {f"said_{other}": int(np.sum(mine & (said == at))) for at, other in enumerate(LABELS)}
        seconds = sum(item.label == label and bool(item.second) for item in items)
        clear = {f"sure_{sure}": sum(item.label == label and item.sure == sure for item in items) for sure in (3, 2, 1)}
        yield {"table": "confusion", "row": label, **counts, **clear, "with_second": seconds}
    either = [LABELS[said[row]] in {item.label, item.second} for row, item in enumerate(items)]
    yield {
        "table": "either",
        "row": "label or the reader's second choice",
        "accuracy": round(float(np.mean(either)), 3),
    }


def _of_reader(make: Rows, said: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Yield how a reader who saw no label does beside this model on the same emails, weighed back to all real mail."""
    strata = [_stratum(item) for item in make.setup.items[: make.setup.real]]
    rows_of: dict[str, list[int]] = {}
    for place, row in enumerate(make.setup.blind):
        rows_of.setdefault(strata[row], []).append(place)
    weights = np.array([strata.count(strata[row]) / len(rows_of[strata[row]]) for row in make.setup.blind])
    sample = Sample([np.array(places) for places in rows_of.values()], weights)
    at = np.array(list(make.setup.blind))
    read = np.array([LABELS.index(label) for label in make.setup.blind.values()])
    for name, answers in (("reader", read), ("this model", said[at])):
        yield {"table": "reader", "row": name, **with_intervals(make.labels[at], answers, sample=sample)}
    yield {
        "table": "reader",
        "row": "how far the reader is ahead",
        **lead(make.labels[at], read, said[at], sample),
    }


def _stratum(item: corpus.Labelled) -> str:
    """Return the stratum within which emails for the blind reading were drawn."""
    if item.label == "unknown":
        return f"unknown/{item.second if item.second in {'intro', 'meeting'} else 'rest'}"
    if item.label == "meeting":
        return f"meeting/{'doubted' if item.second else 'clear'}"
    return item.label


def _beside(
    make: Rows, named: NDArray[np.float32], ours: dict[str, Floats], kept_vectors: Path | None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the other models, for both ways to split."""
    common: dict[str, Floats] = {}
    texts = contenders.tfidf_inputs(make.setup.items)
    for name, inputs in texts.items():
        for table in make.splits:
            # With the further readings only the best of the three: each takes minutes with them.
            for further in (True, False) if name == contenders.BOTH else (False,):
                told = f"TF-IDF of {name} + logistic regression{'' if further else ALONE}"
                row, raw = make.linear(table, told, inputs, fit=contenders.tfidf_fit, further=further)
                if further:
                    common[table] = raw
                    yield make.plain(table, told + PLAIN, raw)
                yield row
    for table, folds in make.splits.items():
        raw = log_odds(
            make.setup,
            texts[contenders.BOTH],
            folds,
            fit=contenders.tfidf_fit,
            written=make.setup.given,
            further=False,
        )
        yield make.plain(table, GIVEN, raw)
    for table in make.splits:
        yield from make.leads(table)
    vectors = contenders.sentence_vectors(make.setup.items[: make.setup.real + make.setup.written], kept_vectors)
    for table, folds in make.splits.items():
        stack = [ours[table], common[table]]
        if vectors is not None:
            told = f"MiniLM sentence vectors + logistic regression{ALONE}"
            row, raw = make.linear(table, told, vectors, fit=contenders.sentence_fit, further=False)
            stack.append(raw)
            yield row
        trees = contenders.boosted(named, ours[table], make.labels, folds)
        yield make.row(table, "boosted trees on signals and this model's scores", trees)
        told = f"stack: this model, TF-IDF of {contenders.BOTH}" + (", MiniLM" if vectors is not None else "")
        yield make.row(table, told, contenders.stacked(stack, make.labels, folds))


def main() -> None:
    """Print one line of JSON per row, and write the card's tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder with train.jsonl and dev.jsonl")
    parser.add_argument("--card", type=Path, help="the model card whose tables are to be written anew")
    parser.add_argument("--vectors", type=Path, help="where sentence vectors are kept from run to run (.npy)")
    given = parser.parse_args()
    made = []
    with threadpool_limits(1):
        for row in rows(prepare(given.corpus), given.vectors):
            made.append({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
            print(json.dumps(made[-1]), flush=True)  # noqa: T201 (a command's answer)
    if given.card:
        card.write(made, given.card)


if __name__ == "__main__":
    main()
