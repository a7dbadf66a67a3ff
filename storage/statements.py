"""Plain SQL inside a transaction of Database.read or Database.write, for what Peewee's query builder is too slow or too poor at.

Used by the stores of this folder. Statements are written once, with `?` for each parameter and no `?` or `%` elsewhere.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from storage.models import current


def execute(sql: str, params: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Run one statement; all its rows."""
    if current.param == "?":
        return list(current.execute_sql(sql, params))
    cursor = current.execute_sql(sql.replace("?", "%s"), params)
    return list(cursor.fetchall()) if cursor.description else []


def execute_many(sql: str, rows: Iterable[Sequence[Any]]) -> None:
    """Run one statement for each of `rows`, in one go."""
    current.cursor().executemany(sql.replace("?", current.param), rows)


def is_postgres() -> bool:
    """Say whether this transaction runs on PostgreSQL."""
    return bool(current.param == "%s")
