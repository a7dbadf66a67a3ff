"""Computes the model card: `python -m classification.learning.validation --corpus DIR --card docs/model-card.md`.

Cross-validates on train + dev: no sender and no thread is on both sides of a split, written mail is in the training
folds only, and intervals come from a bootstrap over emails. training.py makes the models as shipped, contenders.py the
ones compared with them, and card.py writes the tables.
"""

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped] # training only
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # training only

from classification import corpus, signals
from classification.encoding import Vocabulary, encode
from classification.learning import card, contenders, training
from classification.learning.folds import Floats, Ints, Setup, calibrated, entries, log_odds, prepare
from classification.learning.scores import Sample, figures, lead, with_intervals
from classification.learning.wordlists import WordLists
from classification.lexicon import LEXICON
from classification.records import LABELS

SHARES = (0.25, 0.5, 0.75)
OURS = "this model"
TFIDF = "TF-IDF of {} + logistic regression"
ALONE = ", without further readings"
PLAIN = ", before calibration"
# The comparison of issue 4 and of the corpus: the corpus's own mail, words and characters, the likeliest label.
GIVEN = f"{TFIDF.format(contenders.BOTH)}, of the given mail alone{PLAIN}"
# Ids and labels that readers gave to emails of train and dev without seeing a label.
BLIND = training.READINGS.parent / "blind.jsonl"
QUICK = training.READINGS.parent / "quick.jsonl"


def model_parts(whole: sparse.csr_matrix, features: training.Features) -> dict[str, sparse.csr_matrix]:
    """Return the model's inputs by name: whole, and without each group."""
    size = len(features.keys)
    columns = np.arange(whole.shape[1])
    is_word, is_vector = columns < size, columns >= size + len(signals.NAMES)
    parts = {
        "whole": whole,
        "without signals": whole[:, is_word | is_vector],
        "signals alone": whole[:, ~is_word & ~is_vector],
    }
    parts["without word vectors"] = whole[:, ~is_vector]
    for number, block in enumerate(("own words", "opening words", "subject alone", "the sender's address")):
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
    """Computes rows of figures; `table` in a row names the card's table that it belongs to."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        self.labels = setup.labels[: setup.real]
        self.whole = np.arange(setup.real)
        self.said: dict[tuple[str, str], Ints] = {}
        self.splits = {
            "CV": setup.random_folds(),
            "LOSO": setup.source_folds(),
            "threads": setup.random_folds(senders=False),
        }
        self.tested = {
            name: np.sort(np.concatenate([fold.test for fold in folds])) for name, folds in self.splits.items()
        }

    def row(
        self, table: str, name: str, chances: Floats, raw: Floats | None = None, at: Ints | None = None
    ) -> dict[str, Any]:
        """Return a row with intervals; `raw` (log-odds) adds the macro-F1 before calibration, `at` selects emails."""
        at = self.tested.get(table, self.whole) if at is None else at
        said, confidence = chances.argmax(axis=1)[at], chances.max(axis=1)[at]
        row = {"table": table, "row": name, **with_intervals(self.labels[at], said, confidence)}
        if raw is not None:
            row["raw_macro_f1"] = round(figures(self.labels[at], raw.argmax(axis=1)[at])["macro_f1"], 3)
        return row

    def linear(self, table: str, name: str, inputs: sparse.csr_matrix, **how: Any) -> tuple[dict[str, Any], Floats]:
        """Return the row of a linear model, and its held-out log-odds."""
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
        """Yield this model's lead over each TF-IDF model on the same emails and data."""
        at = self.tested[table]
        for (split, name), said in self.said.items():
            if split == table and name.startswith("TF-IDF"):
                ours = OURS + (ALONE if ALONE in name else "")
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
    named, parts = _inputs(setup.items)
    _, alone = _inputs(setup.items[: setup.real + setup.written])
    ours: dict[str, Floats] = {}
    for table in make.splits:
        row, ours[table] = make.linear(table, OURS, parts["whole"])
        yield row
        yield make.linear(table, OURS + ALONE, alone["whole"], further=False)[0]
    for table in ("CV", "LOSO"):
        yield make.lists(table)
    folds = make.splits["CV"]
    yield from _of_ours(make, calibrated(ours["CV"], make.labels, folds))
    yield from _of_reader(make, make.said["CV", OURS])
    yield _of_quick_reader(setup)
    for share in SHARES:
        raw = log_odds(setup, parts["whole"], setup.thinned(folds, share))
        yield make.row("learning", f"{share:.0%} of the real mail", calibrated(raw, make.labels, folds))
    raw = log_odds(setup, parts["whole"], folds, written=0)
    yield make.row("learning", "without written mail", calibrated(raw, make.labels, folds))
    yield {"table": "ablation", "row": OURS, **figures(make.labels, ours["CV"].argmax(axis=1))}
    for name, inputs in parts.items():
        said = log_odds(setup, inputs, folds, fit=_plainly).argmax(axis=1)
        yield {"table": "ablation", "row": name, **figures(make.labels, said)}
    yield from _beside(make, named[: setup.real], ours, kept_vectors)


def _inputs(items: list[corpus.Labelled]) -> tuple[NDArray[np.float32], dict[str, sparse.csr_matrix]]:
    """Return the signals of each email, and the inputs by model part, with features chosen from these emails."""
    features = training.choose(items)
    encoded = encode([item.email for item in items], Vocabulary(features.keys))
    return encoded.signals, model_parts(training.matrix(encoded, features), features)


def _plainly(inputs: sparse.csr_matrix, trust: Floats, _written: object) -> training.Linear:
    """Fit the model without the second copy of written mail's inputs, in half the time."""
    return training.summed(inputs, trust)


def _of_ours(make: Rows, chances: Floats) -> Iterator[dict[str, Any]]:
    """Yield the rows about this model alone: by how sure the readers were, confusions, second choices."""
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


def _of_reader(make: Rows, said: Ints) -> Iterator[dict[str, Any]]:
    """Yield how a reader who saw no label compares with this model, on emails weighted to stand for all real mail."""
    blind = {entry["id"]: LABELS.index(entry["label"]) for entry in entries(BLIND)}
    at = np.array([row for row, each in enumerate(make.setup.ids) if each in blind])
    read = np.array([blind[make.setup.ids[row]] for row in at])
    strata = [_stratum(item) for item in make.setup.items[: make.setup.real]]
    rows_of: dict[str, list[int]] = {}
    for place, row in enumerate(at):
        rows_of.setdefault(strata[row], []).append(place)
    weights = np.array([strata.count(strata[row]) / len(rows_of[strata[row]]) for row in at])
    sample = Sample([np.array(places) for places in rows_of.values()], weights)
    for name, answers in (("reader", read), (OURS, said[at])):
        yield {"table": "reader", "row": name, **with_intervals(make.labels[at], answers, sample=sample)}
    yield {
        "table": "reader",
        "row": "how far the reader is ahead",
        **lead(make.labels[at], read, said[at], sample),
    }


def _of_quick_reader(setup: Setup) -> dict[str, Any]:
    """Return how often the reader of the further readings is right, measured on mail of train and dev."""
    said = {entry["id"]: entry for entry in entries(QUICK)}
    asked = [
        (said[each], item.label)
        for each, item in zip(setup.ids, setup.items[: setup.real], strict=True)
        if each in said
    ]

    def right(chosen: list[bool]) -> str:
        return f"{sum(chosen)} of {len(chosen)}"

    return {
        "table": "quick",
        "row": "quick reader",
        "right": right([entry["label"] == label for entry, label in asked]),
        "right_if_clear": right([entry["label"] == label for entry, label in asked if entry["sure"] == 3]),
        "right_if_intro": right([entry["label"] == label for entry, label in asked if label == "intro"]),
    }


def _stratum(item: corpus.Labelled) -> str:
    """Return the stratum from which an email was drawn for the blind reading."""
    if item.label == "unknown":
        return f"unknown/{item.second if item.second in {'intro', 'meeting'} else 'rest'}"
    if item.label == "meeting":
        return f"meeting/{'doubted' if item.second else 'clear'}"
    return item.label


def _beside(
    make: Rows, named: NDArray[np.float32], ours: dict[str, Floats], kept_vectors: Path | None
) -> Iterator[dict[str, Any]]:
    """Yield the rows of the other models, for both splits. The rows "without further readings" do not see that mail."""
    setup = make.setup
    texts = contenders.tfidf_inputs(setup.items)[contenders.BOTH]
    alone = contenders.tfidf_inputs(setup.items[: setup.real + setup.written])
    given = contenders.tfidf_inputs(setup.items[: setup.real + setup.given])[contenders.BOTH]
    vectors = contenders.sentence_vectors(setup.items[: setup.real + setup.written], kept_vectors)
    for table in ("CV", "LOSO"):
        folds = make.splits[table]
        # With the further readings only the best of the three: each takes minutes.
        told = TFIDF.format(contenders.BOTH)
        row, common = make.linear(table, told, texts, fit=contenders.tfidf_fit)
        yield row
        yield make.plain(table, told + PLAIN, common)
        for name, inputs in alone.items():
            told = TFIDF.format(name) + ALONE
            yield make.linear(table, told, inputs, fit=contenders.tfidf_fit, further=False)[0]
        raw = log_odds(setup, given, folds, fit=contenders.tfidf_fit, written=setup.given, further=False)
        yield make.plain(table, GIVEN, raw)
        yield from make.leads(table)
        trees = contenders.boosted(named, ours[table], make.labels, folds)
        yield make.row(table, "boosted trees on signals and this model's scores", trees)
        stack = [ours[table], common]
        if vectors is not None:
            told = f"MiniLM sentence vectors + logistic regression{ALONE}"
            row, raw = make.linear(table, told, vectors, fit=contenders.sentence_fit, further=False)
            stack.append(raw)
            yield row
        told = f"stack: this model, TF-IDF of {contenders.BOTH}" + (", MiniLM" if vectors is not None else "")
        yield make.row(table, told, contenders.stacked(stack, make.labels, folds))


def main() -> None:
    """Print one line of JSON per row, and write the card's tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder with train.jsonl and dev.jsonl")
    parser.add_argument("--card", type=Path, help="the model card whose tables are rewritten")
    parser.add_argument("--vectors", type=Path, help="where to cache the sentence vectors between runs (.npz)")
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
