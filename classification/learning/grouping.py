"""Groups labelled emails that belong together, so that no sender and no thread is on both sides of a split.

training.py (for calibration) and validation.py (for its figures) split mail by these groups.
"""

import re
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from classification.corpus import Labelled

_MARKS = re.compile(r"^(?:\s*(?:re|fw|fwd|aw|sv|wg)\s*:|\s*\[[^\]]*\])+", re.IGNORECASE)
_SHORTEST_THREAD = 13
_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:@]+@[^\s<>()\[\]\"',;:@]+")


def groups(items: Sequence[Labelled], *, senders: bool = True) -> NDArray[np.int64]:
    """Return a group number per email: joined by source and subject if that is specific, and with `senders` by sender.

    A sender is identified by the address, whatever name or source goes with it; without an address, by source and name.
    """
    parents = list(range(len(items)))
    first: dict[Hashable, int] = {}
    for number, item in enumerate(items):
        for key in _keys(item, number, senders=senders):
            parents[_root(parents, number)] = _root(parents, first.setdefault(key, number))
    return np.array([_root(parents, number) for number in range(len(items))])


def _keys(item: Labelled, number: int, *, senders: bool) -> list[Hashable]:
    if not item.source:
        return [number]
    keys: list[Hashable] = []
    if senders:
        sender = item.email.sender.lower()
        address = _ADDRESS.search(sender)
        keys.append(("address", address[0]) if address else ("sender", item.source, re.sub(r"\W+", "", sender)))
    thread = re.sub(r"\W+", " ", _MARKS.sub("", item.email.subject.lower())).strip()
    if len(thread) >= _SHORTEST_THREAD:
        keys.append(("thread", item.source, thread))
    return keys


def _root(parents: list[int], number: int) -> int:
    while parents[number] != number:
        parents[number] = parents[parents[number]]
        number = parents[number]
    return number
