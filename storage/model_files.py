"""The models of one system: their files as rows, which one is live, which runs beside it as a shadow, and how the two agree.

The file of every model that was ever in use is here, so that a node needs only the database to follow. Which is live is desired state
(`model`); every process that reads another version there loads its file and goes on with it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from engine import clock
from engine.unicode import storable
from storage.database import Database
from storage.desired import put
from storage.learning_tables import ShadowCountRow, ShadowDifferenceRow
from storage.records import LABEL_NUMBER, LABELS
from storage.statements import encode_json, execute, for_update, insert

MODEL = "model"
"""The name of their roles in the desired state."""

DIFFERENCES_KEPT = 1_000
"""So many emails on which a shadow differs are remembered."""

PACKAGED, FEEDBACK = "packaged", "feedback"
COLUMNS = "version, origin, parent, created_at, figures, length(file)"


class Roles(msgspec.Struct, frozen=True):
    """Versions by what they do; `live` None: the one that came with the program."""

    live: str | None = None
    previous: str | None = None
    shadow: str | None = None


class ModelInfo(msgspec.Struct, frozen=True):
    """A model without its file."""

    version: str
    origin: str
    parent: str | None
    created_at: float
    figures: dict[str, Any]
    size_bytes: int


class Difference(msgspec.Struct, frozen=True):
    """An email on which a shadow says something else than what was live. Labels by name; `confidence` is the shadow's."""

    ref: int
    live: str
    live_label: str
    shadow_label: str
    confidence: float
    at: float
    key: str = ""
    source: str = ""
    subject: str = ""
    sender: str = ""
    label: str = ""  # the effective one today


class ModelStore:
    """The models of one system."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(
        self,
        version: str,
        file: bytes,
        *,
        origin: str,
        parent: str | None = None,
        figures: Mapping[str, Any] | None = None,
    ) -> bool:
        """Keep a model; False when it is there already."""
        return self._db.write(_add, version, file, origin, parent, encode_json(dict(figures or {})).decode())

    def all(self) -> list[ModelInfo]:
        """Give all models, newest first."""
        return self._db.read(_all)

    def get(self, version: str) -> ModelInfo | None:
        """Give one model."""
        return self._db.read(_get, version)

    def file(self, version: str) -> bytes | None:
        """Give a model's file."""
        return self._db.read(_file, version)

    def roles(self) -> Roles:
        """Give who is live, who was before, and who is the shadow."""
        return self._db.read(_roles)

    def set_shadow(self, version: str | None) -> Roles:
        """Run a model beside the live one; None: nobody."""
        return self._db.write(_set_shadow, version)

    def promote(self, version: str, packaged: str) -> Roles:
        """Make a model the live one; `packaged` is who is live while nobody was promoted. Promoting the live one changes nothing."""
        return self._db.write(_promote, version, packaged)

    # -- what the shadow says ---------------------------------------------------------------------------------------------

    def note_shadow(
        self,
        live: str,
        shadow: str,
        counts: Mapping[tuple[str, str], int],
        differences: Sequence[tuple[int, str, str, float]],
        shard: str,
    ) -> None:
        """Add what was compared: (live's label, shadow's) → how often; and (ref, live's label, shadow's, its confidence) where they differ."""
        self._db.write(_note_shadow, live, shadow, counts, differences, shard)

    def agreement(self, live: str, shadow: str) -> dict[tuple[str, str], int]:
        """Give how often live mail got which pair of labels: (live's, shadow's) → count."""
        return self._db.read(_agreement, live, shadow)

    def differences(self, shadow: str, limit: int = 20) -> list[Difference]:
        """Give the emails on which a shadow differs, newest first."""
        return self._db.read(_differences, shadow, limit)


def _add(version: str, file: bytes, origin: str, parent: str | None, figures: str) -> bool:
    return bool(
        execute(
            "INSERT INTO model_file (version, origin, parent, created_at, figures, file) VALUES (?, ?, ?, ?, ?, ?) "
            "ON CONFLICT (version) DO NOTHING RETURNING version",
            [version, origin, parent, clock.now(), figures, file],
        )
    )


def _all() -> list[ModelInfo]:
    return [_info(row) for row in execute(f"SELECT {COLUMNS} FROM model_file ORDER BY created_at DESC, version")]


def _get(version: str) -> ModelInfo | None:
    rows = execute(f"SELECT {COLUMNS} FROM model_file WHERE version = ?", [storable(version)])
    return _info(rows[0]) if rows else None


def _info(row: tuple[Any, ...]) -> ModelInfo:
    version, origin, parent, created_at, figures, size = row
    return ModelInfo(version, origin, parent, created_at, msgspec.json.decode(figures), size)


def _file(version: str) -> bytes | None:
    rows = execute("SELECT file FROM model_file WHERE version = ?", [storable(version)])
    return bytes(rows[0][0]) if rows else None


def _roles(lock: str = "") -> Roles:
    rows = execute(f"SELECT value FROM desired WHERE name = ? {lock}", [MODEL])
    return msgspec.json.decode(rows[0][0], type=Roles) if rows else Roles()


def _set_shadow(version: str | None) -> Roles:
    roles = msgspec.structs.replace(_roles(for_update()), shadow=version)
    put(MODEL, roles)
    return roles


def _promote(version: str, packaged: str) -> Roles:
    roles = _roles(for_update())
    live = roles.live or packaged
    if version == live:
        return roles
    shadow = None if roles.shadow == version else roles.shadow
    roles = Roles(live=version, previous=live, shadow=shadow)
    put(MODEL, roles)
    return roles


def _note_shadow(
    live: str,
    shadow: str,
    counts: Mapping[tuple[str, str], int],
    differences: Sequence[tuple[int, str, str, float]],
    shard: str,
) -> None:
    number, now = LABEL_NUMBER, clock.now()
    insert(
        ShadowCountRow,
        ("live", "shadow", "live_label", "shadow_label", "shard", "value"),
        [(live, shadow, number[ours], number[other], shard, count) for (ours, other), count in sorted(counts.items())],
        "ON CONFLICT (live, shadow, live_label, shadow_label, shard) DO UPDATE SET value = shadow_count.value + excluded.value",
    )
    by_ref = {ref: (shadow, ref, live, number[a], number[b], confidence, now) for ref, a, b, confidence in differences}
    insert(
        ShadowDifferenceRow,
        ("shadow", "ref", "live", "live_label", "shadow_label", "confidence", "at"),
        [row for _, row in sorted(by_ref.items())],
        "ON CONFLICT (shadow, ref) DO NOTHING",
    )
    if by_ref:
        execute(
            "DELETE FROM shadow_difference WHERE shadow = ? AND ref <= "
            "(SELECT ref FROM shadow_difference WHERE shadow = ? ORDER BY ref DESC LIMIT 1 OFFSET ?)",
            [shadow, shadow, DIFFERENCES_KEPT],
        )


def _agreement(live: str, shadow: str) -> dict[tuple[str, str], int]:
    rows = execute(
        "SELECT live_label, shadow_label, SUM(value) FROM shadow_count WHERE live = ? AND shadow = ? GROUP BY live_label, shadow_label",
        [live, shadow],
    )
    return {(LABELS[ours], LABELS[other]): int(count) for ours, other, count in rows}


def _differences(shadow: str, limit: int) -> list[Difference]:
    rows = execute(
        "SELECT each.ref, each.live, each.live_label, each.shadow_label, each.confidence, each.at, book.key, source.name, "
        "content.subject, content.sender, result.label FROM shadow_difference AS each "
        "JOIN book ON book.id = each.ref JOIN source ON source.id = book.source JOIN result ON result.ref = each.ref "
        "LEFT JOIN content ON content.ref = each.ref WHERE each.shadow = ? ORDER BY each.ref DESC LIMIT ?",
        [shadow, limit],
    )
    return [
        Difference(
            ref,
            live,
            LABELS[ours],
            LABELS[other],
            confidence,
            at,
            key,
            source,
            subject or "",
            sender or "",
            LABELS[label],
        )
        for ref, live, ours, other, confidence, at, key, source, subject, sender, label in rows
    ]
