"""Learns the model from the corpus: `python -m classification.training --corpus DIR`; the same input, the same bytes.

Run by `make train` with the packages of requirements-train.txt; nothing at run time imports it.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped] # not installed beside the run-time packages
from sklearn.linear_model import LogisticRegression  # type: ignore[import-not-found] # training only, see above

from classification import corpus, weights
from classification.encoding import Encoded, KeyIndex, encode
from classification.features import occurrences
from classification.records import LABELS
from classification.text import read

SURE_WEIGHT = {3: 1.0, 2: 0.7, 1: 0.4}
MIN_DOCUMENTS = 3
STRENGTH = 10.0
SIGNAL_SCALE = 1.0
BLOCK_SCALE = np.array([1.0, 0.7, 0.3])
SYNTHETIC = Path(__file__).parent / "synthetic"


def choose_keys(items: Sequence[corpus.Labelled]) -> tuple[NDArray[np.uint32], NDArray[np.uint8], NDArray[np.float16]]:
    """Return the keys that stand in at least MIN_DOCUMENTS emails, their blocks and inverse document frequencies."""
    found = occurrences([read(item.email.subject, item.email.body) for item in items])
    pairs = np.unique(found.rows.astype(np.uint64) << np.uint64(32) | found.keys.astype(np.uint64))
    keys, counts = np.unique((pairs & np.uint64(0xFFFFFFFF)).astype(np.uint32), return_counts=True)
    kept = counts >= MIN_DOCUMENTS
    first = np.zeros(len(keys), dtype=np.uint8)
    first[np.searchsorted(keys, found.keys)] = found.blocks
    idf = np.log((1 + len(items)) / (1 + counts[kept])) + 1
    return keys[kept], first[kept], idf.astype(np.float16)


def matrix(encoded: Encoded, blocks: NDArray[np.uint8], idf: NDArray[np.float16]) -> sparse.csr_matrix:
    """Return features (scaled to length 1 within each block) and signals as one sparse matrix, a row per email."""
    raw = (1 + np.log(encoded.counts)) * idf.astype(np.float32)[encoded.features]
    group = encoded.rows * 3 + blocks[encoded.features]
    values = raw / np.sqrt(np.bincount(group, weights=raw * raw))[group] * BLOCK_SCALE[blocks[encoded.features]]
    shape = (len(encoded.signals), len(blocks))
    words = sparse.csr_matrix((values, (encoded.rows, encoded.features)), shape=shape)
    return sparse.hstack([words, sparse.csr_matrix(encoded.signals * SIGNAL_SCALE)]).tocsr()


def encode_all(items: Sequence[corpus.Labelled], index: KeyIndex) -> Encoded:
    """Encode a whole corpus as one batch."""
    return encode([item.email for item in items], index)


def fit(items: Sequence[corpus.Labelled]) -> weights.Weights:
    """Learn all weights from labelled emails."""
    keys, blocks, idf = choose_keys(items)
    inputs = matrix(encode_all(items, KeyIndex(keys)), blocks, idf)
    answers = np.array([LABELS.index(item.label) for item in items])
    trust = np.array([SURE_WEIGHT[item.sure] for item in items])
    model = LogisticRegression(C=STRENGTH, max_iter=500).fit(inputs, answers, sample_weight=trust)
    coefficients = model.coef_.T
    table = coefficients[: len(keys)] * BLOCK_SCALE[blocks][:, None]
    return weights.Weights(
        keys=keys,
        blocks=blocks,
        idf=idf,
        table=table.astype(np.float16),
        signals=(coefficients[len(keys) :] * SIGNAL_SCALE).astype(np.float32),
        bias=model.intercept_.astype(np.float32),
        calibration=np.array([[1.0] * len(LABELS), [0.0] * len(LABELS)], dtype=np.float32),
    )


def synthetic() -> list[corpus.Labelled]:
    """Return the emails written for this project, in the order of their files."""
    return [item for path in sorted(SYNTHETIC.glob("*.jsonl")) for item in corpus.read_lines(path)]


def main() -> None:
    """Train on train.jsonl, dev.jsonl and the synthetic mails, and write the packaged model file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", type=Path, required=True, help="the folder with train.jsonl and dev.jsonl")
    parser.add_argument("--output", type=Path, default=weights.PACKAGED)
    parser.add_argument("--without-dev", action="store_true", help="keep dev.jsonl out, to measure on it")
    given = parser.parse_args()
    names = ["train.jsonl"] if given.without_dev else ["train.jsonl", "dev.jsonl"]
    items = [item for name in names for item in corpus.read_lines(given.corpus / name)] + synthetic()
    weights.save(fit(items), given.output)
    print(json.dumps({"file": str(given.output), "bytes": given.output.stat().st_size}))  # noqa: T201 (a command's answer)


if __name__ == "__main__":
    main()
