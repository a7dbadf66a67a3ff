"""The user's rules: an ordered list whose version rises with every change; the history of changes is kept.

The web writes them, and every process reads them when the desired state (`rules`) has another version. Here a rule is
just a row; classification/rules.py defines its meaning.
"""

import time
from collections.abc import Sequence
from typing import Any

import msgspec

from engine.errors import StaleError
from engine.mailbox import LANES
from engine.unicode import storable
from storage.database import Database
from storage.desired import bump
from storage.learning_tables import RuleChangeRow, RuleRow
from storage.records import LABEL_NUMBER, LABELS
from storage.statements import encode_json, execute, insert

MAX_RULES = 1_000
RULES = "rules"
"""The name under which the desired state holds the rules' version."""

COLUMNS = (
    "id",
    "place",
    "name",
    "enabled",
    "conditions",
    "classification",
    "priority",
    "version",
    "created_at",
    "updated_at",
)


class TooManyRulesError(Exception):
    """There are MAX_RULES rules already."""


class RuleCondition(msgspec.Struct, frozen=True):
    """A pattern for a field; see classification/rules.py."""

    field: str
    kind: str
    pattern: str


class NewRule(msgspec.Struct, frozen=True):
    """A rule as requested. If `place` is None, a new rule goes last and an existing one keeps its place."""

    name: str
    conditions: tuple[RuleCondition, ...]
    classification: str | None = None
    priority: str | None = None
    enabled: bool = True
    place: int | None = None


class StoredRule(msgspec.Struct, frozen=True):
    """A stored rule; `version` is that of the whole list when this rule was last changed."""

    id: int
    place: int
    name: str
    enabled: bool
    conditions: tuple[RuleCondition, ...]
    classification: str | None
    priority: str | None
    version: int
    created_at: float
    updated_at: float


class Change(msgspec.Struct, frozen=True):
    """One change of a rule: the rule after the change, or None if it was deleted."""

    version: int
    at: float
    rule: StoredRule | None


class RuleStore:
    """The rules of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def all(self) -> tuple[int, list[StoredRule]]:
        """Return the version and all rules in order, including disabled ones."""
        return self._db.read(lambda: (_version(), _all()))

    def get(self, rule_id: int) -> StoredRule | None:
        """Return one rule, or None."""
        return self._db.read(_get, rule_id)

    def history(self, rule_id: int) -> list[Change]:
        """Return the changes of a rule, newest first."""
        return self._db.read(_history, rule_id)

    def create(self, rule: NewRule) -> StoredRule:
        """Add a rule; raises TooManyRulesError."""
        return self._db.write(_create, rule)

    def replace(self, rule_id: int, rule: NewRule, expected: int | None = None) -> StoredRule | None:
        """Change a rule; return None if there is none. Raises StaleError if its version is not the expected one."""
        return self._db.write(_replace, rule_id, rule, expected)

    def delete(self, rule_id: int) -> bool:
        """Delete a rule; return False if there is none. Results keep its label until they are reprocessed."""
        return self._db.write(_delete, rule_id)


def _version() -> int:
    rows = execute("SELECT version FROM desired WHERE name = ?", [RULES])
    return int(rows[0][0]) if rows else 0


def _all() -> list[StoredRule]:
    return [_stored(row) for row in execute(f"SELECT {', '.join(COLUMNS)} FROM rule ORDER BY place, id")]


def _get(rule_id: int) -> StoredRule | None:
    rows = execute(f"SELECT {', '.join(COLUMNS)} FROM rule WHERE id = ?", [rule_id])
    return _stored(rows[0]) if rows else None


def _history(rule_id: int) -> list[Change]:
    rows = execute("SELECT version, at, document FROM rule_change WHERE rule_id = ? ORDER BY version DESC", [rule_id])
    return [
        Change(version, at, None if document is None else msgspec.json.decode(document, type=StoredRule))
        for version, at, document in rows
    ]


def _create(rule: NewRule) -> StoredRule:
    version, now = bump(RULES), time.time()
    others = _all()
    if len(others) >= MAX_RULES:
        raise TooManyRulesError
    return _save(_made(rule, version, version, created_at=now, updated_at=now), others, rule.place or len(others) + 1)


def _replace(rule_id: int, rule: NewRule, expected: int | None) -> StoredRule | None:
    version, now = bump(RULES), time.time()
    before = _get(rule_id)
    if before is None:
        return None
    if expected not in (None, before.version):
        raise StaleError(f"rule {rule_id} has version {before.version}")
    others = [each for each in _all() if each.id != rule_id]
    made = _made(rule, rule_id, version, created_at=before.created_at, updated_at=now)
    return _save(made, others, rule.place or before.place)


def _delete(rule_id: int) -> bool:
    version = bump(RULES)
    if not execute("DELETE FROM rule WHERE id = ? RETURNING id", [rule_id]):
        return False
    _note(version, rule_id, None)
    _put_in_order(_all())
    return True


def _made(rule: NewRule, rule_id: int, version: int, *, created_at: float, updated_at: float) -> StoredRule:
    return StoredRule(
        id=rule_id,
        place=0,
        name=storable(rule.name),
        enabled=rule.enabled,
        conditions=tuple(RuleCondition(each.field, each.kind, storable(each.pattern)) for each in rule.conditions),
        classification=rule.classification,
        priority=rule.priority,
        version=version,
        created_at=created_at,
        updated_at=updated_at,
    )


def _save(rule: StoredRule, others: Sequence[StoredRule], place: int) -> StoredRule:
    place = min(max(place, 1), len(others) + 1)
    rule = msgspec.structs.replace(rule, place=place)
    changes = ", ".join(f"{name} = excluded.{name}" for name in COLUMNS[1:])
    insert(RuleRow, COLUMNS, [_row(rule)], f"ON CONFLICT (id) DO UPDATE SET {changes}")
    _note(rule.version, rule.id, encode_json(rule).decode())
    _put_in_order([*others[: place - 1], rule, *others[place - 1 :]])
    return rule


def _put_in_order(rules: Sequence[StoredRule]) -> None:
    for place, rule in enumerate(rules, start=1):
        if rule.place != place:
            execute("UPDATE rule SET place = ? WHERE id = ?", [place, rule.id])


def _note(version: int, rule_id: int, document: str | None) -> None:
    insert(RuleChangeRow, ("version", "rule_id", "at", "document"), [(version, rule_id, time.time(), document)])


def _row(rule: StoredRule) -> tuple[Any, ...]:
    return (
        rule.id,
        rule.place,
        rule.name,
        rule.enabled,
        encode_json(rule.conditions).decode(),
        None if rule.classification is None else LABEL_NUMBER[rule.classification],
        None if rule.priority is None else LANES.index(rule.priority),
        rule.version,
        rule.created_at,
        rule.updated_at,
    )


def _stored(row: tuple[Any, ...]) -> StoredRule:
    rule_id, place, name, enabled, conditions, classification, priority, version, created_at, updated_at = row
    return StoredRule(
        id=rule_id,
        place=place,
        name=name,
        enabled=bool(enabled),
        conditions=msgspec.json.decode(conditions, type=tuple[RuleCondition, ...]),
        classification=None if classification is None else LABELS[classification],
        priority=None if priority is None else LANES[priority],
        version=version,
        created_at=created_at,
        updated_at=updated_at,
    )
