"""Text to numbers: words and phrases of a batch of emails as hashed keys, looked up in the model's table.

Called by model.py for every batch and by training.py on the corpus, so that both see the same features. It relies on
numpy for everything that is done per token beyond splitting and one dict look-up.
"""

import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classification.text import Text

MAX_SUBJECT_TOKENS = 60
MAX_OWN_TOKENS = 800
MAX_QUOTED_TOKENS = 150
MAX_TOKEN = 40
_CACHE_LIMIT = 60_000

_TOKENS = re.compile(r"\d+(?:[:.,/-]\d+)*(?:[ap]m\b)?|[^\W_]+(?:'[a-z]+)?|[$€£%!?]")
_TIME = re.compile(r"\d{1,2}[:.]\d\d(?:[ap]m)?|\d{1,2}[ap]m")
_DATE = re.compile(r"\d{1,4}[/-]\d{1,2}(?:[/-]\d{1,4})?")
_BREAK = zlib.crc32(b"\x00break")
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_THIRD = np.uint64(0x165667B19E3779F9)
_SALTS = {
    name: np.uint64(zlib.crc32(name.encode()) << 8)
    for name in ("own1", "own2", "own3", "subject1", "subject2", "quoted1")
}
BLOCKS = ("own", "subject", "quoted")

Ints = NDArray[np.int64]
Keys = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Feature occurrences of a batch: which email (row), which key, and the block that the key belongs to."""

    rows: Ints
    blocks: Ints
    keys: Keys


@dataclass(frozen=True, slots=True)
class Phrase:
    """One to three neighbouring words, the key of their feature, and where they stand in a field of a Text."""

    words: str
    key: int
    field: str
    start: int
    end: int


class TokenHashes(dict[str, int]):
    """Token to 32-bit hash; numbers are folded to their shape. A bounded memory of what was seen."""

    def __missing__(self, token: str) -> int:
        value = zlib.crc32(_shape(token).encode("utf-8", "surrogatepass"))
        if len(self) < _CACHE_LIMIT:
            self[token] = value
        return value


def _shape(token: str) -> str:
    if not token[0].isdigit():
        return token if len(token) <= MAX_TOKEN else "#long"
    if _TIME.fullmatch(token):
        return "#time"
    if _DATE.fullmatch(token):
        return "#date"
    if len(token) == 4 and token[:2] in {"19", "20"}:
        return "#year"
    return f"#{min(len(token), 7)}"


_HASHES = TokenHashes()


def tokens(text: str, limit: int) -> list[str]:
    """Split lower-cased text into words, numbers and telling signs, at most `limit` of them."""
    return _TOKENS.findall(text.lower())[:limit]


def occurrences(texts: Sequence[Text]) -> Occurrences:
    """Return every feature occurrence of a batch: words and phrases to three words, of the subject and own words."""
    flat: list[int] = []
    field_lengths: list[int] = []
    look = _HASHES.__getitem__
    for text in texts:
        before = len(flat)
        flat.append(_BREAK)
        flat.extend(map(look, tokens(text.subject, MAX_SUBJECT_TOKENS)))
        flat.append(_BREAK)
        middle = len(flat)
        flat.extend(map(look, tokens(text.own, MAX_OWN_TOKENS)))
        flat.append(_BREAK)
        end = len(flat)
        flat.extend(map(look, tokens(text.quoted[:1_500], MAX_QUOTED_TOKENS)))
        field_lengths += (middle - before, end - middle, len(flat) - end)
    lengths = np.array(field_lengths, dtype=np.int64)
    fields = np.repeat(np.arange(len(lengths)) % 3, lengths)
    rows = np.repeat(np.arange(len(lengths)) // 3, lengths)
    return _phrases(np.array(flat, dtype=np.uint64), rows, fields)


def _phrases(hashes: NDArray[np.uint64], rows: Ints, fields: Ints) -> Occurrences:
    """Combine neighbouring token hashes into keys of one, two and three words."""
    pair = hashes[:-1] * _SECOND + hashes[1:] * _THIRD
    triple = pair[:-1] * _SECOND + hashes[2:] * _THIRD
    same_pair = (rows[:-1] == rows[1:]) & (fields[1:] != 2)
    same_triple = same_pair[:-1] & same_pair[1:]
    read = fields != 2
    parts = [
        (rows[read], 0, _keys(hashes[read], "own1")),
        (rows[:-1][same_pair], 0, _keys(pair[same_pair], "own2")),
        (rows[:-2][same_triple], 0, _keys(triple[same_triple], "own3")),
    ]
    subject = fields == 0
    subject_pair = subject[:-1] & subject[1:] & (rows[:-1] == rows[1:])
    parts += [
        (rows[subject], 1, _keys(hashes[subject], "subject1")),
        (rows[:-1][subject_pair], 1, _keys(pair[subject_pair], "subject2")),
        (rows[~read], 2, _keys(hashes[~read], "quoted1")),
    ]
    blocks = np.concatenate([np.full(len(part_rows), block) for part_rows, block, _ in parts])
    return Occurrences(np.concatenate([p[0] for p in parts]), blocks, np.concatenate([p[2] for p in parts]))


def _keys(values: NDArray[np.uint64], salt: str) -> Keys:
    return (((values + _SALTS[salt]) * _MIX) >> np.uint64(32)).astype(np.uint32)


def phrase_key(phrase: str) -> int:
    """Return the key under which one to three words stand among the own words."""
    values = [_HASHES[word] for word in tokens(phrase, 3)]
    return _combined_key(values, f"own{len(values)}")


def phrases(text: Text) -> list[Phrase]:
    """Return every word and phrase of an email's subject and own words with its key, the way `occurrences` makes them."""
    found: list[Phrase] = []
    for field, source, limit in (("subject", text.subject, MAX_SUBJECT_TOKENS), ("body", text.own, MAX_OWN_TOKENS)):
        matches = [match for match, _ in zip(_TOKENS.finditer(source), range(limit), strict=False)]
        for size, salts in ((1, ("own1", "subject1")), (2, ("own2", "subject2")), (3, ("own3",))):
            for at in range(len(matches) - size + 1):
                chosen = matches[at : at + size]
                values = [_HASHES[match.group().lower()] for match in chosen]
                place = (field, chosen[0].start(), chosen[-1].end())
                words = " ".join(match.group().lower() for match in chosen)
                used = salts if field == "subject" else salts[:1]
                found += [Phrase(words, _combined_key(values, salt), *place) for salt in used]
    return found


def _combined_key(values: list[int], salt: str) -> int:
    combined = np.array(values[:1], dtype=np.uint64)
    for value in values[1:]:
        combined = combined * _SECOND + np.array([value], dtype=np.uint64) * _THIRD
    return int(_keys(combined, salt)[0])
