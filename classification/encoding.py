"""Turns a batch of emails into numbers: sparse counts of known features, and dense signals.

Called by model.py (with the model's keys) and by learning/training.py (with the keys that it is about to choose).
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classification import signals, text
from classification.features import Ints, Keys, occurrences, phrase_key
from classification.lexicon import LEXICON
from classification.records import Email

_SLOTS = 1 << 20
_MASK = np.uint32(_SLOTS - 1)

Floats = NDArray[np.float32]

# The value of a group's signal, by the number of the group's phrases in the email.
_GROWTH = np.minimum(np.log1p(np.arange(13)) / 2.5, 1.0).astype(np.float32)


def _lexicon_groups() -> dict[int, int]:
    groups: dict[int, int] = {}
    for number, phrases in enumerate(LEXICON.values()):
        for phrase in phrases.split("|"):
            groups.setdefault(phrase_key(phrase), number)
    return groups


class Vocabulary:
    """Finds the number of each known key with one gather from a direct-mapped table.

    The `size` learned keys (ascending) have the first numbers; the lexicon's phrases that were not learned follow. Of
    two keys that share a slot, one is lost; `kept` tells which learned keys are not, and training keeps only those.
    """

    def __init__(self, keys: Keys) -> None:
        groups = _lexicon_groups()
        lexicon = np.array(sorted(groups), dtype=np.uint32)
        self.size = len(keys)
        self._keys = np.concatenate([keys, np.setdiff1d(lexicon, keys), np.zeros(1, dtype=np.uint32)])
        self._none = len(self._keys) - 1
        self._slots = np.full(_SLOTS, self._none, dtype=np.int32)
        self._slots[self._keys[: self._none] & _MASK] = np.arange(self._none, dtype=np.int32)
        self.kept = self._slots[keys & _MASK] == np.arange(self.size)
        self.groups = np.array([groups.get(key, -1) for key in self._keys.tolist()], dtype=np.int64)
        self.groups[self._none] = -1

    def find(self, keys: Keys) -> tuple[Ints, Ints]:
        """Return the places of the known keys among `keys`, and their numbers."""
        numbers = self._slots[keys & _MASK]
        places = np.flatnonzero(self._keys[numbers] == keys)
        return places, numbers[places]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch ready for the weights: one entry per distinct feature of an email, and one row of signals per email."""

    rows: Ints
    features: Ints
    counts: Ints
    signals: Floats
    flags: list[tuple[str, ...]]


def encode(emails: Sequence[Email], vocabulary: Vocabulary) -> Encoded:
    """Read, split and look up a batch of emails; features unknown to the vocabulary are left out."""
    texts = [text.read(email.subject, email.body, email.sender) for email in emails]
    found = occurrences(texts)
    places, numbers = vocabulary.find(found.keys)
    rows = found.rows[places]
    plain = array("d")
    for email, each in zip(emails, texts, strict=True):
        plain.extend(signals.structural(email, each))
    dense = np.empty((len(emails), len(signals.NAMES)), dtype=np.float32)
    dense[:, : len(signals.STRUCTURAL)] = np.frombuffer(plain).reshape(len(emails), -1)
    dense[:, len(signals.STRUCTURAL) :] = _lexicon_counts(rows, vocabulary.groups[numbers], len(emails))
    pairs, counts = _counted((rows * _SLOTS + numbers)[numbers < vocabulary.size])
    return Encoded(pairs // _SLOTS, pairs % _SLOTS, counts, dense, [tuple(each.flags) for each in texts])


def _counted(values: Ints) -> tuple[Ints, Ints]:
    """Return the distinct values, ascending, and their counts. Sorts `values` in place."""
    values.sort()
    new = np.empty(len(values) + 1, dtype=bool)
    new[:1] = new[-1:] = True
    np.not_equal(values[1:], values[:-1], out=new[1:-1])
    starts = np.flatnonzero(new)
    return values[starts[:-1]], starts[1:] - starts[:-1]


def _lexicon_counts(rows: Ints, groups: Ints, size: int) -> Floats:
    width = len(LEXICON)
    places = (rows * width + groups)[groups >= 0]
    counts = np.bincount(places, minlength=size * width).reshape(size, width)
    return _GROWTH[np.minimum(counts, len(_GROWTH) - 1)]
