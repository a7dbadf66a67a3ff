"""Trains the model on the corpus: `python -m classification.learning.training --corpus DIR`.

The same input gives the same bytes. `make train` runs it with the packages of requirements-train.txt; nothing at run
time imports it. dev.jsonl is left out, so that `python run.py evaluate` on it is honest.
"""

import argparse
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray
from scipy import optimize, sparse  # type: ignore[import-untyped] # training only
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped] # training only
from sklearn.model_selection import StratifiedGroupKFold  # type: ignore[import-untyped] # training only
from sklearn.svm import LinearSVC  # type: ignore[import-untyped] # training only
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # training only

from classification import corpus, signals, weights
from classification.encoding import Encoded, Vocabulary, encode
from classification.features import BLOCKS, SENDER, blocks_of, long_phrases, occurrences
from classification.learning import wordvectors
from classification.learning.grouping import groups
from classification.records import LABELS
from classification.text import read

SURE_WEIGHT = {3: 1.0, 2: 0.7, 1: 0.4}
# The share of an email's weight that goes to its reader's second choice.
SECOND_SHARE = {3: 0.0, 2: 0.15, 1: 0.4}
# A phrase is learned if this many emails contain it; fewer for words known to the language model or in addresses.
MIN_DOCUMENTS = 15
MIN_DOCUMENTS_KNOWN = 4
MIN_DOCUMENTS_SENDER = 8
VECTOR_SCALE = 0.5
STRENGTH = 6.0
MARGIN_STRENGTH = 0.3
# How much log-odds a margin of one is worth; with this value both models push about equally.
MARGIN = 3.0
SIGNAL_SCALE = 0.7
BLOCK_SCALE = np.array([1.0, 1.0, 0.7, 0.4])
FOLDS = 5
SYNTHETIC = Path(__file__).parent / "synthetic"
# Mails of unlabelled.jsonl.gz that language models labelled for this project; they count less than the corpus.
READINGS = Path(__file__).parent / "labels" / "readings.jsonl"
READING_WEIGHT = 0.6
# The largest file of written mail: scenes of many offices, lists and homes. Real mail is better evidence of usage.
SCENES = "scenes.jsonl"
SCENE_WEIGHT = 0.5
# The scale of the second copy of written mail's inputs, which absorbs what holds for written mail alone.
COPY_SCALE = 0.5
INTRO = LABELS.index("intro")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Features:
    """The features that training chose: keys, their blocks and idf, and word vectors.

    `vectors` (F x D) has the language model's vector for each single word that it knows, and zeros for the rest.
    """

    keys: NDArray[np.uint32]
    blocks: NDArray[np.uint8]
    idf: NDArray[np.float16]
    vectors: sparse.csr_matrix


def choose(items: Sequence[corpus.Labelled]) -> Features:
    """Choose the features that occur in enough of the emails."""
    texts = [read(item.email.subject, item.email.body, item.email.sender) for item in items]
    found = occurrences(texts)
    pairs = np.unique(found.rows.astype(np.uint64) << np.uint64(32) | found.keys.astype(np.uint64))
    keys, counts = np.unique((pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32), return_counts=True)
    blocks = np.zeros(len(keys), dtype=np.uint8)
    blocks[np.searchsorted(keys, found.keys)] = blocks_of(texts)
    known = wordvectors.vectors_by_key()
    least = np.array(
        [MIN_DOCUMENTS_KNOWN if any(key in rows for rows, _ in known) else MIN_DOCUMENTS for key in keys.tolist()]
    )
    least[blocks == SENDER] = MIN_DOCUMENTS_SENDER
    # The features of an empty email are the breaks between two texts, which carry no information.
    kept = (counts >= least) & ~np.isin(keys, occurrences([read("", "")]).keys) & ~np.isin(keys, long_phrases(texts))
    kept[kept] = Vocabulary(keys[kept]).kept
    idf = np.log((1 + len(items)) / (1 + counts[kept])) + 1
    return Features(keys[kept], blocks[kept], idf.astype(np.float16), _vectors(keys[kept], known))


def _vectors(keys: NDArray[np.uint32], known: list[tuple[dict[int, int], NDArray[np.float32]]]) -> sparse.csr_matrix:
    parts = []
    for rows, vectors in known:
        part = np.zeros((len(keys), vectors.shape[1]), dtype=np.float32)
        for place, key in enumerate(keys.tolist()):
            if key in rows:
                part[place] = vectors[rows[key]]
        parts.append(part)
    return sparse.csr_matrix(np.hstack(parts) * VECTOR_SCALE)


def matrix(encoded: Encoded, features: Features) -> sparse.csr_matrix:
    """Return one row per email: features (scaled to length 1 within each block), signals, and sums of word vectors."""
    raw = (1 + np.log(encoded.counts)) * features.idf.astype(np.float32)[encoded.features]
    blocks = features.blocks[encoded.features]
    group = encoded.rows * len(BLOCKS) + blocks
    values = raw / np.sqrt(np.bincount(group, weights=raw * raw))[group] * BLOCK_SCALE[blocks]
    shape = (len(encoded.signals), len(features.keys))
    words = sparse.csr_matrix((values, (encoded.rows, encoded.features)), shape=shape)
    parts = [words, sparse.csr_matrix(encoded.signals * SIGNAL_SCALE), words @ features.vectors]
    return sparse.hstack(parts).tocsr().astype(np.float32)


def answers(items: Sequence[corpus.Labelled]) -> tuple[NDArray[np.int64], Floats]:
    """Return the true labels by number, and each email's weight for each label (E x 4)."""
    labels = np.array([LABELS.index(item.label) for item in items])
    trust = np.zeros((len(items), len(LABELS)))
    for row, item in enumerate(items):
        weight = SURE_WEIGHT[item.sure]
        second = weight * SECOND_SHARE[item.sure] if item.second and item.second != item.label else 0.0
        trust[row, labels[row]] = weight - second
        if second:
            trust[row, LABELS.index(item.second)] = second
    return labels, trust


def together(
    items: Sequence[corpus.Labelled], written: Sequence[corpus.Labelled], further: Sequence[corpus.Labelled]
) -> tuple[list[corpus.Labelled], NDArray[np.int64], Floats, NDArray[np.bool_]]:
    """Return real mail, written mail and further readings in order, their labels and weights, and which are written."""
    everything = [*items, *written, *further]
    labels, trust = answers(everything)
    trust[[item.source == SCENES for item in everything]] *= SCENE_WEIGHT
    trust[len(items) + len(written) :] *= READING_WEIGHT
    return everything, labels, trust, np.repeat([False, True, False], [len(items), len(written), len(further)])


def fit(
    items: Sequence[corpus.Labelled], written: Sequence[corpus.Labelled], further: Sequence[corpus.Labelled]
) -> weights.Weights:
    """Learn all weights from real mail, mail written for training, and further readings."""
    everything, _, trust, made_up = together(items, written, further)
    features = choose(everything)
    inputs = matrix(encode([item.email for item in everything], Vocabulary(features.keys)), features)
    model = linear(inputs, trust, made_up)
    scale, shift = calibrate(*_held_out(inputs, items, written, further))
    # The scale is folded into the weights, so that feedback.py's penalty on a change means the same in every file.
    words, on_signals, on_vectors = np.split(
        model.table * scale, [len(features.keys), len(features.keys) + len(signals.NAMES)]
    )
    # What was learned on word vectors is folded into the weights of the words, so that run time has a single sum.
    table = (words + features.vectors @ on_vectors) * BLOCK_SCALE[features.blocks][:, None]
    return weights.Weights(
        keys=features.keys,
        blocks=features.blocks,
        idf=features.idf,
        table=table.astype(np.float16),
        signals=(on_signals * SIGNAL_SCALE).astype(np.float32),
        bias=(model.bias * scale).astype(np.float32),
        calibration=np.stack([np.ones_like(scale), shift]).astype(np.float32),
    )


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear model of F inputs: `table` (F x 4) and `bias` (4) are log-odds."""

    table: Floats
    bias: Floats

    def decision_function(self, inputs: sparse.csr_matrix) -> Floats:
        """Return the uncalibrated log-odds of each row; named as in scikit-learn."""
        return np.asarray(inputs @ self.table + self.bias)


def linear(inputs: sparse.csr_matrix, trust: Floats, written: NDArray[np.bool_]) -> Linear:
    """Fit the model on weighted emails, some of which were `written` for training.

    Written mail differs from real mail in more than its labels. So its inputs appear twice: what holds for written mail
    alone goes into the weights of the second copy, which are discarded (H. Daumé III, "Frustratingly Easy Domain
    Adaptation", ACL 2007). Introductions are so rare in real mail that they are learned from all mail alike.
    """
    alike = summed(inputs, trust)
    if not written.any():
        return alike
    size = inputs.shape[1]
    copy = (sparse.diags(np.where(written, COPY_SCALE, 0.0)) @ inputs).tocsr()
    copied = copy[:, np.unique(copy.indices)]
    both = sparse.hstack([inputs, copied, sparse.csr_matrix(written[:, None])]).tocsr().astype(np.float32)
    parted = summed(both, trust)
    return Linear(_with_intro(parted.table[:size], alike.table), _with_intro(parted.bias, alike.bias))


def _with_intro(log_odds: Floats, alike: Floats) -> Floats:
    """Return log-odds (… x 4) in which an introduction leads the mean of the other labels as in `alike`."""
    others = np.arange(len(LABELS)) != INTRO
    mixed = log_odds.copy()
    mixed[..., INTRO] = mixed[..., others].mean(axis=-1) + alike[..., INTRO] - alike[..., others].mean(axis=-1)
    # What pushes all labels equally has no effect.
    return np.asarray(mixed - mixed.mean(axis=-1, keepdims=True))


def summed(inputs: sparse.csr_matrix, trust: Floats) -> Linear:
    """Fit a logistic regression and a support vector machine (squared hinge), and add them up.

    The SVM's labels are right more often, the regression's probabilities are better, and the sum of two linear models
    is again one. An email with two possible labels appears twice, with a part of the weight each.
    """
    rows, labels = np.nonzero(trust)
    known, counts = inputs[rows], trust[rows, labels]
    chances = LogisticRegression(C=STRENGTH, max_iter=500).fit(known, labels, sample_weight=counts)
    margins = LinearSVC(C=MARGIN_STRENGTH, max_iter=3000, random_state=0).fit(known, labels, sample_weight=counts)
    table = chances.coef_.T + MARGIN * margins.coef_.T
    bias = chances.intercept_ + MARGIN * margins.intercept_
    return Linear(table - table.mean(axis=1, keepdims=True), bias - bias.mean())


def _held_out(
    inputs: sparse.csr_matrix,
    items: Sequence[corpus.Labelled],
    written: Sequence[corpus.Labelled],
    further: Sequence[corpus.Labelled],
) -> tuple[Floats, NDArray[np.int64]]:
    """Return each real email's log-odds by a model that saw neither its sender nor its thread, and its label."""
    _, labels, trust, made_up = together(items, written, further)
    owners = further_groups(items, further)
    log_odds = np.zeros((len(items), len(LABELS)))
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=0)
    extra = np.arange(len(items), len(items) + len(written))
    for train, test in splitter.split(log_odds, labels[: len(items)], groups(items)):
        chosen = np.concatenate([train, extra, len(items) + len(written) + apart(owners, test)])
        log_odds[test] = linear(inputs[chosen], trust[chosen], made_up[chosen]).decision_function(inputs[test])
    return log_odds, labels[: len(items)]


def further_groups(
    items: Sequence[corpus.Labelled], further: Sequence[corpus.Labelled], *, senders: bool = True
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the groups of real mail and further readings, formed together; a source is the first part of its name."""
    everything = [replace(item, source=item.source.partition("/")[0]) for item in [*items, *further]]
    grouped = groups(everything, senders=senders)
    return grouped[: len(items)], grouped[len(items) :]


def apart(owners: tuple[NDArray[np.int64], NDArray[np.int64]], test: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the numbers of the further readings that share no group with the tested real mail."""
    return np.flatnonzero(~np.isin(owners[1], owners[0][test]))


def calibrate(log_odds: Floats, labels: NDArray[np.int64]) -> Floats:
    """Return one scale and four shifts (2 x 4) that calibrate held-out probabilities at the corpus's class shares."""

    def loss(values: Floats) -> float:
        logits = log_odds * values[0] + np.append(values[1:], 0.0)
        logits -= logits.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]))

    best = optimize.minimize(loss, np.array([1.0, 0.0, 0.0, 0.0]), method="L-BFGS-B").x
    return np.stack([np.full(len(LABELS), best[0]), np.append(best[1:], 0.0)])


def synthetic() -> list[corpus.Labelled]:
    """Return the emails written for this project, by file, with the file name as their source.

    Their senders are left out, since they are made up.
    """
    return [
        replace(item, email=structs.replace(item.email, sender=""), source=path.name)
        for path in sorted(SYNTHETIC.glob("*.jsonl"))
        for item in corpus.read_lines(path)
    ]


def readings(folder: Path) -> list[corpus.Labelled]:
    """Return the mails of unlabelled.jsonl.gz that were labelled for this project, in the order of that file."""
    labels = {entry["id"]: entry for entry in map(json.loads, READINGS.read_text(encoding="utf-8").splitlines())}
    with gzip.open(folder / "unlabelled.jsonl.gz", "rt", encoding="utf-8", errors="surrogateescape") as lines:
        mails = [record for record in map(json.loads, lines) if record["id"] in labels]
    return [corpus.labelled({**record, **labels[record["id"]]}) for record in mails]


def main() -> None:
    """Train on train.jsonl, the synthetic mails and the further readings, and write the packaged model file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder with train.jsonl")
    parser.add_argument("--output", type=Path, default=weights.PACKAGED)
    given = parser.parse_args()
    items = list(corpus.read_lines(given.corpus / "train.jsonl"))
    with threadpool_limits(1):
        # Sums in another order differ in the last digit; a single thread makes the file reproducible to the byte.
        weights.save(fit(items, synthetic(), readings(given.corpus)), given.output)
    print(json.dumps({"file": str(given.output), "bytes": given.output.stat().st_size}))  # noqa: T201 (a command's answer)


if __name__ == "__main__":
    main()
