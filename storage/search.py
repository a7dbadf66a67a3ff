"""The full-text index: subject, body and sender of every email, in FTS5 or a tsvector, filled off the hot path.

The janitor calls `index` in small slices; reading.py uses `condition`. The one door for contents (contents.py) puts every new or
changed one into a queue. Text is cut into tokens by storage/query.py before either database sees it, so that both answer alike.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from storage.database import Database
from storage.query import Query, has_longer_token, plain, tokens
from storage.statements import batch, execute, execute_many, is_postgres

MAX_CHARS = 32 * 1024
"""So much of a body is indexed."""

MAX_TOKENS = 4_000
PART_CHARS = 1_000_000
"""One transaction indexes about so much: large ones leave FTS5 less to merge, but others wait for them."""

MOST_WORDS = 64
"""So many words are looked for in each field, and as many must not be there: each is sought at every place of the ones before it."""

RARE = 1_000
MAX_TOKEN = 64
LAG_LIMIT = 100_000
"""A larger lag is told as this."""

Document = tuple[int, str, str, str]
"""ref, and the tokens of subject, body and sender, with spaces between."""

Term = tuple[tuple[str, ...], str]
"""A phrase, and the field that it is looked for in ("": in any)."""

FIELDS = "ABC"
"""How a tsvector marks the fields subject, body and sender."""

GAP = 2
"""Positions between two fields in a tsvector, so that no phrase reaches over."""


class Search:
    """The index of one database. Any number of processes may fill it at once."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def index(self, limit: int = 512) -> int:
        """Index up to `limit` emails that wait for it, in transactions of PART_CHARS; how many were waiting in this slice."""
        waiting = self._db.read(_waiting, limit)
        for part in _parts(waiting):
            self._db.write(_store, part)
        return len(waiting)


def lag() -> int:
    """How many emails wait to be indexed (at most LAG_LIMIT are counted), inside a transaction."""
    return int(execute(f"SELECT COUNT(*) FROM (SELECT 1 FROM unindexed LIMIT {LAG_LIMIT}) AS waiting")[0][0])


def has_terms(query: Query) -> bool:
    """Whether something of the text is asked for; texts to be left out alone are no such thing."""
    return bool(_terms(query))


def walk(query: Query) -> tuple[str, list[Any]]:
    """The condition under which a walk over FTS5's own rows, newest first, meets what matches and nothing else (SQLite)."""
    wanted = _expression(_terms(query))
    unwanted = "".join(f" NOT ({_expression([term])})" for term in _excluded(query))
    return "search MATCH ?", [f"({wanted}){unwanted}"]


def condition(query: Query, ref: str) -> tuple[list[str], list[Any]]:
    """The conditions, with parameters, that rows whose email is `ref` (a column) match the text of a query."""
    conditions, params = [], []
    if has_terms(query):
        wanted = _expression(_terms(query))
        conditions.append(f"{ref} IN ({_matching()})" if _is_rare(wanted) else f"EXISTS ({_matching_row(ref)})")
        params.append(wanted)
    for term in _excluded(query):
        conditions.append(f"{ref} NOT IN ({_matching()})")
        params.append(_expression([term]))
    return conditions, params


def _terms(query: Query) -> list[Term]:
    """All that must be there."""
    return _by_field(query.phrases, query.subject, query.senders)


def _excluded(query: Query) -> list[Term]:
    """All that must not be there."""
    return _by_field(query.excluded, query.excluded_subject, query.excluded_senders)


def _by_field(
    anywhere: Iterable[tuple[str, ...]], subject: Iterable[tuple[str, ...]], senders: Iterable[str]
) -> list[Term]:
    in_sender = (tuple(tokens(sender)) for sender in senders)
    asked = {"": anywhere, "subject": subject, "sender": in_sender}
    return [(phrase, field) for field, phrases in asked.items() for phrase in _first_words(phrases)]


def _first_words(phrases: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """As many of them as have MOST_WORDS together; the last of those may be cut short."""
    left = MOST_WORDS
    for phrase in phrases:
        if first := phrase[: max(0, left)]:
            yield first
        left -= len(phrase)


def _is_rare(expression: str) -> bool:
    """Few matches are best found by the index, and then put in order; among many, the newest by looking at the newest emails.

    To ask of one row whether it matches is cheap on PostgreSQL and dear on SQLite, so "many" is another number there.
    """
    limit = RARE if is_postgres() else max(RARE, int(execute("SELECT COALESCE(MAX(ref), 0) FROM content")[0][0]) // 5)
    found = execute(f"SELECT COUNT(*) FROM ({_matching()} LIMIT {limit}) AS matches", [expression])
    return int(found[0][0]) < limit


def _matching() -> str:
    return (
        "SELECT ref FROM search WHERE words @@ ?::tsquery"
        if is_postgres()
        else "SELECT rowid FROM search WHERE search MATCH ?"
    )


def _matching_row(ref: str) -> str:
    return f"{_matching()} AND search.{'ref' if is_postgres() else 'rowid'} = {ref}"


def _expression(terms: Sequence[Term]) -> str:
    """All of the phrases; tokens are letters and digits only, so nothing in them can be an operator."""
    if not is_postgres():
        quoted = ((f"{field} : " if field else "") + '"' + " ".join(_cut(phrase)) + '"' for phrase, field in terms)
        return " AND ".join(quoted)
    marks = {"subject": ":A", "sender": ":C", "": ""}
    return " & ".join(
        "(" + " <-> ".join(f"'{token}'{marks[field]}" for token in _cut(phrase)) + ")" for phrase, field in terms
    )


def _cut(phrase: Sequence[str]) -> Sequence[str]:
    if max(map(len, phrase), default=0) <= MAX_TOKEN:
        return phrase
    return [token[:MAX_TOKEN] for token in phrase]


def _waiting(limit: int) -> list[tuple[int, int]]:
    """The refs of those that wait, and about how many characters of each are indexed."""
    return [
        (ref, min(size or 0, MAX_CHARS))
        for ref, size in execute(
            f"SELECT unindexed.ref, {'octet_length' if is_postgres() else 'length'}(body) "
            "FROM unindexed LEFT JOIN content ON content.ref = unindexed.ref ORDER BY unindexed.ref LIMIT ?",
            [limit],
        )
    ]


def _documents(refs: Sequence[int]) -> list[Document]:
    """What is to be indexed of these; nothing of one whose content is gone."""
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in refs])
    rows = execute(
        f"SELECT batch.ref, subject, substr(body, 1, ?), sender FROM {table} LEFT JOIN content ON content.ref = batch.ref",
        [MAX_CHARS, *params],
    )
    return [(ref, _words(subject), _words(body), _words(sender)) for ref, subject, body, sender in rows]


def _words(text: str | None) -> str:
    """The tokens with spaces between. Where none is to be cut they need not be told apart: that would cost ten times as much."""
    text = text or ""
    if text.isascii() and len(text) <= 2 * MAX_TOKENS and not has_longer_token(text, MAX_TOKEN):
        return plain(text)
    return " ".join(_cut(tokens(text)[:MAX_TOKENS]))


def _parts(waiting: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    part: list[int] = []
    chars = 0
    for ref, size in waiting:
        part.append(ref)
        chars += size
        if chars >= PART_CHARS:
            yield part
            part, chars = [], 0
    if part:
        yield part


def _store(refs: Sequence[int]) -> None:
    """Take from the queue what is still in it, and index that as it is now; another indexer may have been first."""
    if is_postgres():
        taken = execute("DELETE FROM unindexed WHERE ref = ANY(?) RETURNING ref", [list(refs)])
    else:
        taken = execute_many("DELETE FROM unindexed WHERE ref = ? RETURNING ref", [(ref,) for ref in refs])
    _write(_documents([ref for (ref,) in taken]))


def _write(documents: Sequence[Document]) -> None:
    if is_postgres():
        execute_many(
            "INSERT INTO search (ref, words) VALUES (?, ?::tsvector) ON CONFLICT (ref) DO UPDATE SET words = excluded.words",
            [(ref, _vector(fields)) for ref, *fields in documents],
        )
    else:
        execute_many(
            "INSERT OR REPLACE INTO search (rowid, subject, body, sender) VALUES (?, ?, ?, ?)",
            documents,
        )


def _vector(fields: Sequence[str]) -> str:
    """Write a document in a tsvector's own text form, as in 'token':3A,9B for each token."""
    places: dict[str, list[str]] = defaultdict(list)
    position = 0
    for mark, field in zip(FIELDS, fields, strict=True):
        for token in field.split():
            position += 1
            places[token].append(f"{position}{mark}")
        position += GAP
    return " ".join(f"'{token}':{','.join(at)}" for token, at in places.items())
