"""The full-text index: subject, body and sender of every email, in FTS5 or a tsvector, filled off the hot path.

The janitor calls `index` in small slices; reading.py uses `condition` and `walk`. contents.py, through which all
contents are written, queues new and changed ones. storage/query.py cuts the text into tokens before either database
sees it, so that both give the same answers.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from storage import meta
from storage.database import Database
from storage.query import Query, has_longer_token, plain, tokens
from storage.statements import batch, execute, execute_many, is_postgres

MAX_CHARS = 32 * 1024
"""How many characters of a body are indexed."""

MAX_TOKENS = 4_000
PART_CHARS = 1_000_000
"""About how many characters one transaction indexes. In large ones FTS5 merges less, but other writers wait longer."""

MOST_WORDS = 64
"""How many words are searched for in each field, and how many excluded, at most.

The limit bounds the cost: each word of a phrase is checked at every position of the words before it.
"""

RARE = 1_000
MAX_TOKEN = 64
LAG_LIMIT = 100_000
"""A larger lag is reported as this number."""

PAGES_A_STEP = 200
"""How many pages of the index one step of `forget` writes: that takes some hundredths of a second."""

GIVE_BACK_S = 1.0

FORGETTING = "search:forgetting"
"""The name in meta under which `forget` keeps how far it is; there is none if nothing is to be forgotten."""

BEGIN, GO_ON = "begin", "go on"

Document = tuple[int, str, str, str]
"""A ref, and the tokens of the subject, the body and the sender, separated by spaces."""

Term = tuple[tuple[str, ...], str]
"""A phrase, and the field to search ("": any field)."""

SUBJECT, BODY, SENDER = "ABC"
"""How a tsvector marks its fields."""

GAP = 2
"""Positions left free between two fields of a tsvector, so that no phrase spans them."""


class Search:
    """The index of one database. Any number of processes may fill it concurrently."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def index(self, limit: int = 512) -> int:
        """Index up to `limit` queued emails, in transactions of about PART_CHARS; return how many were queued.

        What is to be forgotten comes first; until that is done, each call takes one step and returns `limit`.
        """
        if self.forget():
            return limit
        waiting = self._db.read(_waiting, limit)
        for part in _parts(waiting):
            self._db.write(_store, part)
        return len(waiting)

    def forget(self) -> bool:
        """Take one step to rid the index of what was deleted before `forget_later`; return whether there is more to do.

        After the last one, the pages that had it are given back to the disk, as far as that goes in a second. Only then
        is it done, so that a kill in between does not leave them.
        """
        if self._db.kind != "sqlite" or self._db.read(meta.get, FORGETTING) is None:
            return False
        if self._db.write(_merge):
            return True
        self._db.give_all_back(GIVE_BACK_S)
        self._db.checkpoint()
        self._db.write(_forgotten)
        return False


def forget_later() -> None:
    """Have `Search.forget` remove the words of deleted emails for good. Call it in the transaction that deletes them.

    FTS5 only marks an email as deleted; its words stay in the file until they are merged with others, which for a few
    emails of many may never be. Nothing is indexed meanwhile: a merge that is disturbed leaves some out. On PostgreSQL
    its own vacuum removes them.
    """
    if not is_postgres():
        meta.put(FORGETTING, BEGIN)


def _merge() -> bool:
    """Merge some pages; return whether there may be more.

    By FTS5's documentation, a negative number begins to merge all, and few changes are the end.
    """
    before = _changes()
    pages = -PAGES_A_STEP if meta.get(FORGETTING) == BEGIN else PAGES_A_STEP
    meta.put(FORGETTING, GO_ON)
    own = _changes() - before
    execute("INSERT INTO search (search, rank) VALUES ('merge', ?)", [pages])
    return _changes() - before - own >= 2


def _forgotten() -> None:
    """Note that all is forgotten, unless another erasure has begun meanwhile."""
    execute("DELETE FROM meta WHERE name = ? AND value = ?", [FORGETTING, GO_ON])


def _changes() -> int:
    return int(execute("SELECT total_changes()")[0][0])


def lag() -> int:
    """Return how many emails wait to be indexed, at most LAG_LIMIT. Call it inside a transaction."""
    return int(execute(f"SELECT COUNT(*) FROM (SELECT 1 FROM unindexed LIMIT {LAG_LIMIT}) AS waiting")[0][0])


def has_terms(query: Query) -> bool:
    """Return whether the query searches for any text; exclusions alone do not count."""
    return bool(_terms(query))


def walk(query: Query) -> tuple[str, list[Any]]:
    """Return the condition that selects exactly the matching rows in a walk over the index's table."""
    wanted, unwanted = _expression(_terms(query)), [_expression([term]) for term in _excluded(query)]
    if is_postgres():
        return "search.words @@ ?::tsquery", [f"({wanted})" + "".join(f" & !({each})" for each in unwanted)]
    return "search MATCH ?", [f"({wanted})" + "".join(f" NOT ({each})" for each in unwanted)]


def condition(query: Query, ref: str) -> tuple[list[str], list[Any]]:
    """Return the conditions, and their parameters, that a row's email (column `ref`) matches the text of a query."""
    conditions, params = [], []
    if has_terms(query):
        wanted = _expression(_terms(query))
        conditions.append(_among_few(ref) if _is_rare(wanted) else f"EXISTS ({_matching_row(ref)})")
        params.append(wanted)
    for term in _excluded(query):
        conditions.append(f"{ref} NOT IN ({_matching()})")
        params.append(_expression([term]))
    return conditions, params


def _among_few(ref: str) -> str:
    """Return the condition for few matches; with IN, PostgreSQL would rather test the newest emails one by one."""
    return f"{ref} = ANY(ARRAY({_matching()}))" if is_postgres() else f"{ref} IN ({_matching()})"


def _terms(query: Query) -> list[Term]:
    """Return the terms that must occur."""
    return _by_field(query.phrases, query.subject, query.senders)


def _excluded(query: Query) -> list[Term]:
    """Return the terms that must not occur."""
    return _by_field(query.excluded, query.excluded_subject, query.excluded_senders)


def _by_field(
    anywhere: Iterable[tuple[str, ...]], subject: Iterable[tuple[str, ...]], senders: Iterable[str]
) -> list[Term]:
    in_sender = (tuple(tokens(sender)) for sender in senders)
    asked = {"": anywhere, "subject": subject, "sender": in_sender}
    return [(phrase, field) for field, phrases in asked.items() for phrase in _first_words(phrases)]


def _first_words(phrases: Iterable[tuple[str, ...]]) -> Iterator[tuple[str, ...]]:
    """Yield the first MOST_WORDS words of the phrases; the last phrase may be cut short."""
    left = MOST_WORDS
    for phrase in phrases:
        if first := phrase[: max(0, left)]:
            yield first
        left -= len(phrase)


def _is_rare(expression: str) -> bool:
    """Return whether an expression has few matches.

    Few matches are best found by the index and then sorted; of many, the newest are best found by testing the newest
    emails one by one. Testing one row is cheap on PostgreSQL and expensive on SQLite, so the limit is higher there.
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
    """Return a match expression for all phrases; tokens are letters and digits only, so they contain no operators."""
    if not is_postgres():
        quoted = ((f"{field} : " if field else "") + '"' + " ".join(_cut(phrase)) + '"' for phrase, field in terms)
        return " AND ".join(quoted)
    marks = {"subject": f":{SUBJECT}", "sender": f":{SENDER}", "": ""}
    return " & ".join(
        "(" + " <-> ".join(f"'{token}'{marks[field]}" for token in _cut(phrase)) + ")" for phrase, field in terms
    )


def _cut(phrase: Sequence[str]) -> Sequence[str]:
    if max(map(len, phrase), default=0) <= MAX_TOKEN:
        return phrase
    return [token[:MAX_TOKEN] for token in phrase]


def _waiting(limit: int) -> list[tuple[int, int]]:
    """Return the refs in the queue, and about how many characters of each are to be indexed."""
    return [
        (ref, min(size or 0, MAX_CHARS))
        for ref, size in execute(
            f"SELECT unindexed.ref, {'octet_length' if is_postgres() else 'length'}(body) "
            "FROM unindexed LEFT JOIN content ON content.ref = unindexed.ref ORDER BY unindexed.ref LIMIT ?",
            [limit],
        )
    ]


def _documents(refs: Sequence[int]) -> list[Document]:
    """Return the documents of these refs, empty where the content is gone."""
    table, params = batch({"ref": "bigint"}, [(ref,) for ref in refs])
    rows = execute(
        f"SELECT batch.ref, subject, substr(body, 1, ?), sender FROM {table} LEFT JOIN content ON content.ref = batch.ref",
        [MAX_CHARS, *params],
    )
    return [(ref, _words(subject), _words(body), _words(sender)) for ref, subject, body, sender in rows]


def _words(text: str | None) -> str:
    """Return the tokens separated by spaces. If none needs a cut, skip splitting, which costs ten times as much."""
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
    """Remove the refs that are still queued and index their current content; another indexer may have been faster."""
    if is_postgres():
        taken = execute("DELETE FROM unindexed WHERE ref = ANY(?) RETURNING ref", [list(refs)])
    elif meta.get(FORGETTING) is not None:
        return  # they stay in the queue until that is done
    else:
        taken = execute_many("DELETE FROM unindexed WHERE ref = ? RETURNING ref", [(ref,) for ref in refs])
    _write(_documents([ref for (ref,) in taken]))


def _write(documents: Sequence[Document]) -> None:
    if is_postgres():
        execute_many(
            "INSERT INTO search (ref, words) VALUES (?, ?::tsvector) ON CONFLICT (ref) DO UPDATE SET words = excluded.words",
            [(ref, _vector(*fields)) for ref, *fields in documents],
        )
    else:
        execute_many(
            "INSERT OR REPLACE INTO search (rowid, subject, body, sender) VALUES (?, ?, ?, ?)",
            documents,
        )


def _vector(subject: str, body: str, sender: str) -> str:
    """Return a document in the text form of a tsvector, such as 'token':3A,9B for each token.

    PostgreSQL keeps the first 255 places of a token, so the body, which may repeat a word of the others, comes last.
    """
    places: dict[str, list[str]] = defaultdict(list)
    position = 0
    for mark, field in ((SENDER, sender), (SUBJECT, subject), (BODY, body)):
        for token in field.split():
            position += 1
            places[token].append(f"{position}{mark}")
        position += GAP
    return " ".join(f"'{token}':{','.join(at)}" for token, at in places.items())
