"""The schema's history: numbered, additive steps that are applied at start-up under a lock.

Called by Database.migrate. A step only adds things (tables, columns, indexes) and skips what already exists: a fresh
database gets today's tables from their models in step 1, and the later steps have almost nothing left to do. An older
program may run on a newer schema, beside newer nodes or after a rollback, as long as the schema allows it
(`schema_oldest`); otherwise it refuses to start with a one-line error.
"""

from collections.abc import Callable, Mapping, Sequence

from engine.errors import SettingsError
from storage import access_tables, learning_tables, meta, search_tables, subscription_tables
from storage.models import MODELS, MetaRow, TaskRow
from storage.statements import execute, is_postgres

ADVISORY_LOCK = 0x656D61696C
"""Allows one migration at a time on PostgreSQL (the number spells "email"). On SQLite the write lock does that."""


def _first_tables() -> None:
    for model in MODELS:
        model.create_table()


def _tasks() -> None:
    TaskRow.create_table()


def _pages_by_result() -> None:
    execute("CREATE INDEX IF NOT EXISTS result_label_ref ON result (label, ref)")
    for decider in (1, 2):  # rules and people: few rows; one predicate each, so that a literal in a query matches it
        execute(f"CREATE INDEX IF NOT EXISTS result_decided_{decider} ON result (ref) WHERE decided_by = {decider}")
        execute(f"CREATE INDEX IF NOT EXISTS result_decided_{decider}_id ON result (id) WHERE decided_by = {decider}")


STEPS: Sequence[Callable[[], None]] = (
    _first_tables,
    search_tables.create,
    _tasks,
    access_tables.create,
    learning_tables.create,
    _pages_by_result,
    subscription_tables.create,
    subscription_tables.add_old_secret,
)
"""The step at index n - 1 brings the schema to version n."""

OLDEST = 7
"""The schema version of the oldest programs that may still use today's schema.

A step n that changes or removes something they use must set this to n. All older nodes then have to be stopped before
the upgrade, and the only way back is a restore. A column that a step adds needs a default that is right for rows
written by older programs.
"""

FILLING = "filling"
"""The name in meta that marks a database as half filled by `run.py migrate-store` (storage/moving.py).

Nothing else may use the database while the mark is set.
"""


def migrate(*, filling: bool = False) -> int:
    """Apply the missing steps, inside one write transaction, and return the version reached.

    Only the command that fills the database from another one passes `filling`.
    """
    if is_postgres():
        execute("SELECT pg_advisory_xact_lock(?)", [ADVISORY_LOCK])
        execute("SET LOCAL statement_timeout = 0")  # building an index on a large table may take long
    MetaRow.create_table()
    facts: dict[str, str] = dict(execute("SELECT name, value FROM meta"))
    version = int(facts.get("schema_version", 0))
    if not filling:
        refuse_if_filling(facts)
    if version > len(STEPS):
        refuse_if_too_new(facts)
        return version  # leave the newer program's facts as they are
    for step in STEPS[version:]:
        step()
    meta.put("schema_version", str(len(STEPS)))
    meta.put("schema_oldest", str(OLDEST))
    return len(STEPS)


def refuse_if_filling(facts: Mapping[str, str]) -> None:
    """Raise SettingsError if `facts`, the rows of meta, are those of a database that is still being filled."""
    if FILLING in facts:
        raise SettingsError(
            "DATABASE_URL: this database is half filled by `run.py migrate-store`: run that again until it is done"
        )


def refuse_if_too_new(facts: Mapping[str, str]) -> None:
    """Raise SettingsError if `facts`, the rows of meta, say that this program must not use their database."""
    if too_old(int(facts.get("schema_oldest", 0))):
        raise SettingsError(
            f"DATABASE_URL: the database has schema {facts['schema_version']} and this program knows {len(STEPS)}: "
            "run the newer program, or restore a backup made before the upgrade"
        )


def too_old(oldest: int) -> bool:
    """Return whether this program is too old for a schema that allows programs of version `oldest` or newer."""
    return len(STEPS) < oldest
