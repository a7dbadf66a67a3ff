"""Plain SQL inside a transaction of Database.read or .write, where Peewee's query builder is too slow or too limited.

Used by the stores of this folder. Statements are written once for both kinds of database, with `?` for each parameter
and no `?` or `%` elsewhere. Literals in them are deliberate: a partial index does not match a parameter.
"""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import msgspec

from storage.models import Table, current

encode_json = msgspec.json.Encoder().encode

BLOCK_ROWS = 64
"""Rows in one statement on SQLite: half the cost of one row each, and still short enough for the statement cache."""


def is_postgres() -> bool:
    """Return whether this transaction runs on PostgreSQL."""
    return bool(current.param == "%s")


def execute(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement and return all its rows."""
    if not is_postgres():
        return list(current.execute_sql(sql, params))
    cursor = current.execute_sql(sql.replace("?", "%s"), params)
    return list(cursor.fetchall()) if cursor.description else []


def execute_many(sql: str, rows: Iterable[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Run one statement for each of `rows`; return their results (on SQLite only)."""
    cursor = current.cursor()
    if is_postgres():
        cursor.executemany(sql.replace("?", "%s"), rows)
        return []
    return list(cursor.executemany(sql, rows))


def insert(model: type[Table], columns: Sequence[str], rows: Sequence[Sequence[Any]], tail: str = "") -> list[Any]:
    """Insert many rows; `tail` may have ON CONFLICT and RETURNING clauses. Return the rows of RETURNING.

    SQLite gets blocks of rows, PostgreSQL one array per column. Since an error rolls back the whole transaction anyway
    (database.py), OR FAIL spares SQLite from saving each page as it was before the statement.
    """
    if not rows:
        return []
    into = f'INTO "{model._meta.table_name}" ({", ".join(columns)})'  # noqa: SLF001  (Peewee's place for options)
    if not is_postgres():
        row = f"({', '.join('?' * len(columns))})"
        return _in_blocks(lambda count: f"INSERT OR FAIL {into} VALUES {', '.join([row] * count)} {tail}", rows)
    arrays = ", ".join(f"%b::{_type(model, column)}[]" for column in columns)
    values = [list(column) for column in zip(*rows, strict=True)]
    return execute(f"INSERT {into} SELECT * FROM unnest({arrays}) {tail}", values)


def execute_values(sql: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Run one statement over a table `batch` of these rows (on SQLite only); return its rows.

    Prefer OR FAIL in the statement, for the reason given in `insert`.
    """
    row = f"({', '.join('?' * len(columns))})"
    head = f"WITH batch({', '.join(columns)}) AS (VALUES "
    return _in_blocks(lambda count: f"{head}{', '.join([row] * count)}) {sql}", rows)


def _in_blocks(sql_for: Callable[[int], str], rows: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """Run a statement over whole blocks of rows, then the rest one by one, so that few statements are prepared."""
    found: list[tuple[Any, ...]] = []
    whole = len(rows) - len(rows) % BLOCK_ROWS
    if whole:
        sql, cursor = sql_for(BLOCK_ROWS), current.cursor()
        for at in range(0, whole, BLOCK_ROWS):
            found += cursor.execute(sql, list(chain.from_iterable(rows[at : at + BLOCK_ROWS])))
    if whole < len(rows):
        found += execute_many(sql_for(1), rows[whole:])
    return found


def batch(columns: dict[str, str], rows: Sequence[Sequence[Any]]) -> tuple[str, list[Any]]:
    """Return the SQL and the parameters of a table of small values, named `batch`, for a FROM clause.

    `columns` maps names to SQL types.
    """
    if is_postgres():
        arrays = ", ".join(f"%b::{kind}[]" for kind in columns.values())
        values = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in columns]
        return f"unnest({arrays}) AS batch({', '.join(columns)})", values
    picked = ", ".join(f"value ->> {place} AS {name}" for place, name in enumerate(columns))
    return f"(SELECT {picked} FROM json_each(?)) AS batch", [encode_json(rows).decode()]


def for_update(of: str = "") -> str:
    """Return the clause that locks the rows of a SELECT (`of`: in one table only). SQLite has one write lock anyway."""
    if not is_postgres():
        return ""
    return f"FOR UPDATE OF {of}" if of else "FOR UPDATE"


def _type(model: type[Table], column: str) -> str:
    kind = model._meta.columns[column].field_type  # noqa: SLF001  (the same)
    return str({"BIGAUTO": "BIGINT", "DOUBLE": "DOUBLE PRECISION", "BOOL": "BOOLEAN"}.get(kind, kind))
