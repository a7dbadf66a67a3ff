"""The models that ours is compared with: TF-IDF of words and characters, sentence embeddings, boosted trees, a stack.

Only validation.py uses it. The linear models take the same folds; trees and stack learn from the linear models' answers
on held-out mail, as the calibration does.
"""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped] # training only
from sklearn.ensemble import HistGradientBoostingClassifier  # type: ignore[import-untyped] # training only
from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped] # training only
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped] # training only

from classification import corpus
from classification.learning import wordvectors
from classification.learning.folds import Floats, Fold, Ints, in_turn
from classification.text import read

BOTH = "words and characters"
_SENTENCE = 1_000
_TOKENS = 192


def tfidf_inputs(items: Sequence[corpus.Labelled]) -> dict[str, sparse.csr_matrix]:
    """Return the common TF-IDF of subject and own words by name: words 1-2, characters 3-5, both; one row per item."""
    texts = []
    for item in items:
        cut = read(item.email.subject, item.email.body)
        texts.append(f"{item.email.subject}\n{cut.own}")
    words = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(1, 2), dtype=np.float32)
    letters = TfidfVectorizer(sublinear_tf=True, min_df=2, ngram_range=(3, 5), analyzer="char_wb", dtype=np.float32)
    by_words, by_letters = words.fit_transform(texts), letters.fit_transform(texts)
    return {
        "words": by_words.tocsr(),
        "characters": by_letters.tocsr(),
        BOTH: sparse.hstack([by_words, by_letters]).tocsr(),
    }


def tfidf_fit(inputs: sparse.csr_matrix, trust: Floats, _written: object) -> LogisticRegression:
    """Fit the comparison's plain logistic regression: one label per email, weighted by how sure its reader was."""
    return LogisticRegression(C=10, max_iter=300).fit(inputs, trust.argmax(axis=1), sample_weight=trust.sum(axis=1))


def sentence_fit(inputs: sparse.csr_matrix, trust: Floats, _written: object) -> LogisticRegression:
    """Fit a logistic regression on sentence vectors."""
    return LogisticRegression(C=50, max_iter=300).fit(inputs, trust.argmax(axis=1), sample_weight=trust.sum(axis=1))


def sentence_vectors(items: Sequence[corpus.Labelled], kept: Path | None) -> sparse.csr_matrix | None:
    """Return all-MiniLM-L6-v2's vector of each email (E x 384), or None if it cannot run.

    It needs sentence-transformers beside requirements-train.txt, and some minutes. The vectors are cached in the file
    `kept` (.npz), and read from it if it is for the same texts.
    """
    read_texts = [read(item.email.subject, item.email.body) for item in items]
    texts = [f"{text.subject}. {' '.join(text.own[:_SENTENCE].split())}" for text in read_texts]
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    if kept is not None and kept.exists():
        with np.load(kept) as found:
            if str(found["of"]) == digest:
                return sparse.csr_matrix(found["vectors"])
    try:
        from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found] # noqa: PLC0415 (see above)
    except ImportError:
        return None
    model = SentenceTransformer(str(wordvectors.model_folder()), device="cpu")
    model.max_seq_length = _TOKENS
    vectors = model.encode(texts)
    if kept is not None:
        np.savez(kept, vectors=vectors, of=digest)
    return sparse.csr_matrix(vectors)


def stacked(parts: Sequence[Floats], labels: Ints, folds: Sequence[Fold]) -> Floats:
    """Return held-out probabilities of a logistic regression on the held-out log-odds of several models."""
    inputs = np.hstack([part - part.mean(axis=1, keepdims=True) for part in parts])
    return _over_folds(inputs, labels, folds, lambda: LogisticRegression(C=0.1, max_iter=300))


def boosted(signals: NDArray[np.float32], scores: Floats, labels: Ints, folds: Sequence[Fold]) -> Floats:
    """Return held-out probabilities of boosted trees on the signals and the linear model's held-out log-odds."""
    inputs = np.hstack([signals, scores - scores.mean(axis=1, keepdims=True)])
    return _over_folds(
        inputs,
        labels,
        folds,
        lambda: HistGradientBoostingClassifier(
            max_iter=120, learning_rate=0.05, max_leaf_nodes=8, l2_regularization=5.0, random_state=0
        ),
    )


def _over_folds(inputs: Floats, labels: Ints, folds: Sequence[Fold], make: Callable[[], Any]) -> Floats:
    chances = np.zeros((len(inputs), 4))
    for others, test in in_turn(folds):
        chances[test] = make().fit(inputs[others], labels[others]).predict_proba(inputs[test])
    return chances
