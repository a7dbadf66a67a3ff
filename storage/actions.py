"""The action log: who did what through the API (replays, corrections, deletions, control, logins).

web/actions.py writes an entry after each action; GET /actions shows them. The newest KEPT are kept.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from engine.unicode import storable
from storage.access_tables import ActionRow
from storage.database import Database
from storage.rows import one_page
from storage.statements import encode_json, execute, insert

KEPT = 100_000
PRUNE_EVERY = 256
FIELDS = ("at", "who", "role", "address", "action", "target", "detail", "status", "request_id")


class Action(msgspec.Struct, frozen=True):
    """One action. `who`: `token`, `session:ID` or `local`; `action`: method and route; `target`: the requested path."""

    at: float
    who: str
    role: str
    address: str
    action: str
    target: str
    detail: Mapping[str, Any]
    status: int
    request_id: str
    id: int = 0


class Actions:
    """The action log of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, action: Action) -> int:
        """Store one action and return its id."""
        return self._db.write(_add, action)

    def page(
        self,
        before: int | None = None,
        limit: int = 20,
        *,
        who: str | None = None,
        action: str | None = None,
        since: float | None = None,
        until: float | None = None,
    ) -> tuple[list[Action], int | None]:
        """Return actions with ids below `before`, newest first, and the `before` of the next page, if any."""
        wanted = {"id < ?": before, "who = ?": who, "action = ?": action, "at >= ?": since, "at < ?": until}
        return self._db.read(_page, {name: value for name, value in wanted.items() if value is not None}, limit)


def _add(action: Action) -> int:
    texts = [storable(text) for text in (action.who, action.role, action.address, action.action, action.target)]
    detail = storable(encode_json(action.detail).decode())
    row = (action.at, *texts, detail, action.status, storable(action.request_id))
    number = int(insert(ActionRow, FIELDS, [row], "RETURNING id")[0][0])
    if number % PRUNE_EVERY == 0:
        execute("DELETE FROM action WHERE id <= ?", [number - KEPT])
    return number


def _page(wanted: Mapping[str, Any], limit: int) -> tuple[list[Action], int | None]:
    where = " AND ".join(["1 = 1", *wanted])
    rows = execute(
        f"SELECT {', '.join(FIELDS)}, id FROM action WHERE {where} ORDER BY id DESC LIMIT ?",
        [*(storable(value) if isinstance(value, str) else value for value in wanted.values()), limit + 1],
    )
    return one_page([_action(row) for row in rows], limit)


def _action(row: tuple[Any, ...]) -> Action:
    values = dict(zip((*FIELDS, "id"), row, strict=True))
    return Action(**{**values, "detail": msgspec.json.decode(values["detail"])})
