"""Turns text into numbers: the words and phrases of a batch of emails become hashed keys for the model's table.

Called by model.py for every batch and by learning/training.py on the corpus, so that both see the same features. Beyond
splitting and one dict look-up, all per-token work is done in numpy.
"""

import re
import zlib
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from classification.text import Text

MAX_SUBJECT_TOKENS = 60
MAX_OWN_TOKENS = 800
MAX_TOKEN = 40
HEAD_TOKENS = 40
_CACHE_LIMIT = 60_000
_SHORT = 5

# Characters that may be inside a token. All others separate tokens; the signs are tokens of their own.
_SIGNS = "!?$%"
_MORE_SIGNS = "£€"
_INSIDE = "abcdefghijklmnopqrstuvwxyz0123456789':./@-"
_SPACED = bytes(code if code >= 128 or chr(code) in _INSIDE + _SIGNS else 32 for code in range(256))
_ODD = re.compile(r"[^\x00-\x7f]")
_TIME = re.compile(r"\d{1,2}[:.]\d\d(?:[ap]m)?|\d{1,2}[ap]m")
_DATE = re.compile(r"\d{1,4}[/-]\d{1,2}(?:[/-]\d{1,4})?")
_KINDS = {
    "#day": "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri",
    "#month": "january february march april june july august september october november december jan feb mar apr jun jul "
    "aug sept sep oct nov dec",
    "please": "pls pis plz",
    "thanks": "thx thnx thank",
    "re": "aw sv",
    "fw": "fwd wg",
}
_FOLDED = {word: kind for kind, words in _KINDS.items() for word in words.split()}
_BREAK = zlib.crc32(b"\x00break")
_BREAKS = (_BREAK, _BREAK)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SECOND = np.uint64(0xC2B2AE3D27D4EB4F)
_THIRD = np.uint64(0x165667B19E3779F9)
# The parts of an email: subject and own words are read as one text, then the opening and the subject again separately.
BLOCKS = ("own", "head", "subject", "sender")
_OWN, _HEAD, _SUBJECT, SENDER = range(len(BLOCKS))
# The order of the blocks in a stream of tokens.
_ORDER = np.array([_OWN, _HEAD, SENDER, _SUBJECT])
MOST_WORDS = 3
_SALTS = np.array([zlib.crc32(block.encode()) << 8 for block in BLOCKS], dtype=np.uint64)
_MANY_SALTS = np.resize(_SALTS[_ORDER], 1_000)
_NAME = re.compile(r"[a-z]{3,}")

Ints = NDArray[np.int64]
Keys = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Feature occurrences of a batch: the email (row) and key of each; `blocks_of` returns the blocks."""

    rows: Ints
    keys: Keys


@dataclass(frozen=True, slots=True)
class Phrase:
    """One to three neighbouring words, the key of their feature, and their place in a field of a Text."""

    words: str
    key: int
    field: str
    start: int
    end: int


class TokenHashes(dict[str, int]):
    """Maps tokens to 32-bit hashes, with numbers folded to their shape. A bounded cache of the tokens seen.

    Long numbers, addresses and links are not cached: nearly every one is new, and would take up a word's place.
    """

    def __missing__(self, token: str) -> int:
        value = zlib.crc32(fold(token).encode("utf-8", "surrogatepass"))
        if len(token) <= _SHORT or (
            len(token) <= MAX_TOKEN and not (token[:1].isdigit() or "@" in token or "/" in token)
        ):
            if len(self) >= _CACHE_LIMIT:
                self.clear()
            self[token] = value
        return value


def fold(token: str) -> str:
    """Return the form under which a token is counted: numbers by shape, days and months by kind, words by stem."""
    token = token.strip(":./'-@") or "#mark"
    if token[0].isdigit():
        return _number(token)
    if "@" in token:
        return "#address"
    if "/" in token or token.startswith("www.") or (token.count(".") > 1 and len(token) > 8):
        return "#link"
    if len(token) > MAX_TOKEN:
        return "#long"
    return _FOLDED.get(token) or _stem(token)


def _number(token: str) -> str:
    if _TIME.fullmatch(token):
        return "#time"
    if _DATE.fullmatch(token):
        return "#date"
    if len(token) == 4 and token[:2] in {"19", "20"}:
        return "#year"
    return f"#{min(len(token), 7)}"


def _stem(word: str) -> str:
    """Strip the commonest English endings, so that "meetings" and "meeting" share what is learned."""
    if len(word) <= 3 or not word.isascii():
        return word
    word = word.removesuffix("'s")
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-3] + "y" if word.endswith("ies") and len(word) > 4 else word[:-1]
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and any(v in word[: -len(ending)] for v in "aeiouy"):
            word = word[: -len(ending)]
            return word[:-1] if word[-1] == word[-2] and word[-1] not in "lsz" else word
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


_HASHES = TokenHashes()


def tokens(text: str, limit: int) -> list[str]:
    """Split text into lower-case words, numbers and telling signs, at most `limit` of them."""
    text = text.lower()
    if not text.isascii():
        text = _spaced(text)
    for sign in _SIGNS:
        if sign in text:
            text = text.replace(sign, f" {sign} ")
    # Several times as fast as a regular expression: translate and split run in C over the whole text.
    found = text.encode("utf-8", "replace").translate(_SPACED).decode().split()
    return found if len(found) <= limit else found[:limit]


def _spaced(text: str) -> str:
    """Replace non-ASCII characters other than letters and digits by spaces; put spaces around currency signs."""
    for character in set(_ODD.findall(text)):
        if character in _MORE_SIGNS:
            text = text.replace(character, f" {character} ")
        elif not character.isalnum():
            text = text.replace(character, " ")
    return text


def occurrences(texts: Sequence[Text]) -> Occurrences:
    """Return every feature occurrence of a batch: phrases of one to three words, by block.

    Two breaks separate consecutive emails, so that the features of one never depend on the next.
    """
    flat, lengths = _stream(texts)
    hashes = np.frombuffer(array("Q", flat), dtype=np.uint64) + np.repeat(_salts(len(texts)), lengths)
    size = len(flat) - len(_BREAKS)
    words = np.empty((MOST_WORDS, size), dtype=np.uint64)
    words[0] = hashes[:size]
    following = hashes[1:] * _THIRD
    np.add(words[0] * _SECOND, following[:size], out=words[1])
    np.add(words[1] * _SECOND, following[1:], out=words[2])
    if len(texts) == 1:
        rows = np.zeros(size * MOST_WORDS, dtype=np.int64)
    else:
        each = np.array(lengths[:-1]).reshape(-1, len(BLOCKS)).sum(axis=1)
        rows = np.tile(np.repeat(np.arange(len(texts)), each), MOST_WORDS)
    return Occurrences(rows, _mixed(words.ravel()))


def blocks_of(texts: Sequence[Text]) -> Ints:
    """Return the block (its number in BLOCKS) of each of a batch's `occurrences`."""
    _, lengths = _stream(texts)
    return np.tile(np.repeat(np.resize(_ORDER, len(lengths) - 1), lengths[:-1]), MOST_WORDS)


def long_phrases(texts: Sequence[Text]) -> Keys:
    """Return the keys of phrases not worth learning: three words outside the own words, two or more in the sender."""
    blocks = blocks_of(texts)
    words = np.repeat(np.arange(MOST_WORDS), len(blocks) // MOST_WORDS) + 1
    chosen = (words == MOST_WORDS) & (blocks != _OWN) | (words > 1) & (blocks == SENDER)
    return np.unique(occurrences(texts).keys[chosen])


def _stream(texts: Sequence[Text]) -> tuple[list[int], list[int]]:
    """Return the token hashes of a batch, and their number in each block of each email and in the end mark."""
    flat: list[int] = []
    lengths: list[int] = []
    look = _HASHES.__getitem__
    for text in texts:
        subject = list(map(look, tokens(text.subject, MAX_SUBJECT_TOKENS)))
        own = list(map(look, tokens(text.own, MAX_OWN_TOKENS)))
        head = own[:HEAD_TOKENS]
        sender, _ = _sender(text.sender)
        flat += [*_BREAKS, *subject, _BREAK, *own, _BREAK, *head, _BREAK, *sender, _BREAK, *subject]
        lengths += (len(subject) + len(own) + 4, len(head) + 1, len(sender) + 1, len(subject))
    flat += _BREAKS
    lengths.append(len(_BREAKS))
    return flat, lengths


@lru_cache(maxsize=4096)
def _sender(sender: str) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the words of an address and their hashes: the names before the @, and the last part of the domain.

    A whole domain would only be learned as the name of a sender in the corpus; its last part, "gov" or "com", is found
    in any mailbox.
    """
    name, at, domain = sender.rpartition("<")[2].lower().partition("@")
    words = list(dict.fromkeys(_NAME.findall(name)))
    hashes = [zlib.crc32(word.encode()) for word in words]
    if at and (last := domain.rpartition(".")[2].strip("> ")):
        words.append(last)
        hashes.append(zlib.crc32(f".{last}".encode("utf-8", "surrogatepass")))
    return tuple(hashes), tuple(words)


def _salts(emails: int) -> NDArray[np.uint64]:
    """Return the salts that make each block's hashes distinct, one per block of each email and for the end mark."""
    wanted = emails * len(BLOCKS) + 1
    return _MANY_SALTS[:wanted] if wanted <= len(_MANY_SALTS) else np.resize(_MANY_SALTS[: len(BLOCKS)], wanted)


def _mixed(values: NDArray[np.uint64]) -> Keys:
    return ((values * _MIX) >> np.uint64(32)).astype(np.uint32)


def word_key(folded: str, block: int) -> int:
    """Return the key of a single folded word in a block (number in BLOCKS)."""
    return _key_of_hashes([zlib.crc32(folded.encode())], block)


def phrase_key(phrase: str) -> int:
    """Return the key of one to three own words; a word like "#time" is already folded."""
    words = phrase.split() if "#" in phrase else tokens(phrase, 3)
    return _key_of_hashes([zlib.crc32(word.encode()) if word[0] == "#" else _HASHES[word] for word in words], _OWN)


def _key_of_hashes(values: list[int], block: int) -> int:
    salted = np.array(values, dtype=np.uint64) + _SALTS[block]
    combined = salted[:1]
    for place in range(1, len(salted)):
        combined = combined * _SECOND + salted[place : place + 1] * _THIRD
    return int(_mixed(combined)[0])


def phrases(text: Text) -> list[Phrase]:
    """Return every word and phrase of subject, own words and sender with its key, as `occurrences` makes them."""
    subject, own = _places(text.subject, MAX_SUBJECT_TOKENS), _places(text.own, MAX_OWN_TOKENS)
    return [
        *_phrases_of(subject, "subject", _OWN),
        *_phrases_of(own, "body", _OWN),
        *_phrases_of(own[:HEAD_TOKENS], "body", _HEAD),
        *_phrases_of(subject, "subject", _SUBJECT),
        *_sender_phrases(text.sender),
    ]


def _phrases_of(places: list[tuple[str, int, int]], field: str, block: int) -> list[Phrase]:
    found: list[Phrase] = []
    for size in range(1, MOST_WORDS + 1):
        for at in range(len(places) - size + 1):
            chosen = places[at : at + size]
            key = _key_of_hashes([_HASHES[word] for word, _, _ in chosen], block)
            words = " ".join(word.strip(":./'-@") or word for word, _, _ in chosen)
            found.append(Phrase(words, key, field, chosen[0][1], chosen[-1][2]))
    return found


def _sender_phrases(sender: str) -> list[Phrase]:
    lowered, origins = _lowered(sender)
    begin = lowered.rfind("<") + 1
    name = lowered[begin:].partition("@")[0]
    starts = {match[0]: begin + match.start() for match in reversed(list(_NAME.finditer(name)))}
    found = []
    for value, word in zip(*_sender(sender), strict=True):
        start = starts.pop(word, -1)
        start = start if start >= 0 else lowered.rfind(word)
        found.append(Phrase(word, _key_of_hashes([value], SENDER), "sender", *_origin(origins, start, word)))
    return found


def _lowered(text: str) -> tuple[str, Sequence[int]]:
    """Return a text in lower case, and the original position of each of its characters: "İ" becomes two."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered, range(len(text))
    return lowered, [at for at, character in enumerate(text) for _ in character.lower()]


def _origin(origins: Sequence[int], at: int, word: str) -> tuple[int, int]:
    """Return where a word of the lower-case text starts and ends in the original text."""
    if at >= len(origins):
        return len(origins), len(origins)
    return origins[at], origins[min(at + len(word), len(origins)) - 1] + 1


def _places(source: str, limit: int) -> list[tuple[str, int, int]]:
    """Return the tokens of a text, with the start and end of each."""
    lowered, origins = _lowered(source)
    places: list[tuple[str, int, int]] = []
    at = 0
    for token in tokens(source, limit):
        found = lowered.find(token, at)
        at = found if found >= 0 else at
        places.append((token, *_origin(origins, at, token)))
        at += len(token)
    return places
