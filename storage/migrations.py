"""The schema's history: additive steps by number, applied at start under a lock.

Called by Database.migrate. A step only adds (tables, columns, indexes), and does nothing where that is already so: a fresh database gets
today's tables from their models in step 1 and passes quickly through the later steps. An older program goes on beside a newer schema, or
is put back in a newer one's place, as long as that says so (`schema_oldest`); else it refuses in one line.
"""

from collections.abc import Callable, Sequence

from engine.errors import SettingsError
from storage import access_tables, learning_tables, meta, search_tables, subscription_tables
from storage.models import MODELS, MetaRow, TaskRow
from storage.statements import execute, is_postgres

ADVISORY_LOCK = 0x656D61696C
"""One migration at a time on PostgreSQL (the number spells "email"); on SQLite the write lock sees to it."""


def _first_tables() -> None:
    for model in MODELS:
        model.create_table()


def _tasks() -> None:
    TaskRow.create_table()


def _pages_by_result() -> None:
    execute("CREATE INDEX IF NOT EXISTS result_label_ref ON result (label, ref)")
    for decider in (1, 2):  # rules and people: few; a predicate of its own for each, so that a literal matches it
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
"""Step n brings the schema to version n, counted from 1."""

OLDEST = 7
"""The schema of the oldest programs that may still work on today's. A step n that changes or takes away what they use makes it n: then
all older nodes have to be stopped first, and the way back is a restore. What a step adds must mean its default where they leave it out."""

FILLING = "filling"
"""In meta while `run.py migrate-store` is not done with a database (storage/moving.py): nobody else may use it then."""


def migrate(*, filling: bool = False) -> int:
    """Apply what is missing, inside one write transaction; the version reached. `filling`: by whoever fills it from another database."""
    if is_postgres():
        execute("SELECT pg_advisory_xact_lock(?)", [ADVISORY_LOCK])
        execute("SET LOCAL statement_timeout = 0")  # a new index on a large table takes as long as it takes
    MetaRow.create_table()
    facts: dict[str, str] = dict(execute("SELECT name, value FROM meta"))
    version = int(facts.get("schema_version", 0))
    if not filling and FILLING in facts:
        raise SettingsError(
            "DATABASE_URL: this database is half filled by `run.py migrate-store`: run that again until it is done"
        )
    if version > len(STEPS):
        if too_old(int(facts["schema_oldest"])):
            raise SettingsError(
                f"DATABASE_URL: the database has schema {version} and this program knows {len(STEPS)}: "
                "run the newer program, or restore a backup made before the upgrade"
            )
        return version  # as it is: the newer program's facts stay
    for step in STEPS[version:]:
        step()
    meta.put("schema_version", str(len(STEPS)))
    meta.put("schema_oldest", str(OLDEST))
    return len(STEPS)


def too_old(oldest: int) -> bool:
    """Whether this program must leave a schema alone, which says that programs may use it from a version on."""
    return len(STEPS) < oldest
