"""A batch of emails as numbers: sparse features of known keys with their TF-IDF values, and the dense signals.

Called by model.py (with the model's keys) and by training.py (with the keys it is about to choose).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classification import signals, text
from classification.features import Ints, Keys, Occurrences, occurrences, phrase_key
from classification.lexicon import LEXICON
from classification.records import Email

_SLOTS = 1 << 19

Floats = NDArray[np.float32]


class KeyIndex:
    """Finds the number of each known key by one gather: a direct-mapped table, with a search for the few that clash."""

    def __init__(self, keys: Keys) -> None:
        self.keys = keys
        self._slots = np.full(_SLOTS, -1, dtype=np.int32)
        self._slots[keys & np.uint32(_SLOTS - 1)] = np.arange(len(keys), dtype=np.int32)
        placed = self._slots[keys & np.uint32(_SLOTS - 1)] == np.arange(len(keys))
        self._clashing = np.flatnonzero(~placed)

    def find(self, keys: Keys) -> Ints:
        """Return each key's number, or -1 where it is not known."""
        if not len(self.keys):
            return np.full(len(keys), -1, dtype=np.int64)
        found = self._slots[keys & np.uint32(_SLOTS - 1)]
        missed = self.keys[found] != keys
        known = np.where(missed | (found < 0), -1, found).astype(np.int64)
        if len(self._clashing):
            asked = np.flatnonzero(missed & (found >= 0))
            place = np.searchsorted(self.keys[self._clashing], keys[asked]).clip(0, len(self._clashing) - 1)
            hit = self.keys[self._clashing[place]] == keys[asked]
            known[asked[hit]] = self._clashing[place[hit]]
        return known


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch ready for the weights: one entry per distinct feature of an email, and a row of signals per email."""

    rows: Ints
    features: Ints
    counts: Ints
    signals: Floats
    flags: list[tuple[str, ...]]


class _Lexicon:
    """The phrases of LEXICON by key, and for each the number of its group."""

    def __init__(self) -> None:
        groups: dict[int, int] = {}
        for number, phrases in enumerate(LEXICON.values()):
            for phrase in phrases.split("|"):
                groups.setdefault(phrase_key(phrase), number)
        self.index = KeyIndex(np.array(sorted(groups), dtype=np.uint32))
        self.group = np.array([groups[key] for key in sorted(groups)], dtype=np.int64)


_LEXICON = _Lexicon()


def encode(emails: Sequence[Email], index: KeyIndex) -> Encoded:
    """Read, split and look up a batch of emails; features that the index does not know are left out."""
    texts = [text.read(email.subject, email.body) for email in emails]
    found = occurrences(texts)
    dense = np.zeros((len(emails), len(signals.NAMES)), dtype=np.float32)
    dense[:, : len(signals.STRUCTURAL)] = [
        signals.structural(email, read) for email, read in zip(emails, texts, strict=True)
    ]
    dense[:, len(signals.STRUCTURAL) :] = _lexicon_counts(found, len(emails))
    numbers = index.find(found.keys)
    known = numbers >= 0
    rows, features, counts = _distinct(found.rows[known], numbers[known], max(1, len(index.keys)))
    return Encoded(rows, features, counts, dense, [tuple(read.flags) for read in texts])


def _distinct(rows: Ints, numbers: Ints, width: int) -> tuple[Ints, Ints, Ints]:
    pairs, counts = np.unique(rows * width + numbers, return_counts=True)
    return pairs // width, pairs % width, counts


def _lexicon_counts(found: Occurrences, size: int) -> Floats:
    numbers = _LEXICON.index.find(found.keys)
    hit = numbers >= 0
    flat = found.rows[hit] * len(LEXICON) + _LEXICON.group[numbers[hit]]
    counts = np.bincount(flat, minlength=size * len(LEXICON)).reshape(size, len(LEXICON))
    return np.minimum(np.log1p(counts) / 2.5, 1.0).astype(np.float32)
