"""The models of one system: their files, which one is live, which runs as its shadow, and how often the two agree.

The file of every model that was ever in use is stored here, so that a node needs nothing but the database. The live
version is desired state (`model`); a process that finds another version there loads that file and switches to it.
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
"""The name under which the desired state holds the models' roles."""

DIFFERENCES_KEPT = 1_000
"""How many differing emails are kept for each shadow."""

PACKAGED, FEEDBACK = "packaged", "feedback"
COLUMNS = "version, origin, parent, created_at, figures, length(file)"


class Roles(msgspec.Struct, frozen=True):
    """The model version in each role. If `live` is None, the model packaged with the program is live."""

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
    """An email that a shadow labels differently from the live model of the time. `confidence` is the shadow's."""

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
    label: str = ""  # the current effective label


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
        """Store a model; return False if that version is stored already."""
        return self._db.write(_add, version, file, origin, parent, encode_json(dict(figures or {})).decode())

    def all(self) -> list[ModelInfo]:
        """Return all models, newest first."""
        return self._db.read(_all)

    def get(self, version: str) -> ModelInfo | None:
        """Return one model, or None."""
        return self._db.read(_get, version)

    def file(self, version: str) -> bytes | None:
        """Return a model's file, or None."""
        return self._db.read(_file, version)

    def roles(self) -> Roles:
        """Return the live, the previous and the shadow version."""
        return self._db.read(_roles)

    def set_shadow(self, version: str | None) -> Roles:
        """Run a model beside the live one as its shadow; None ends that."""
        return self._db.write(_set_shadow, version)

    def promote(self, version: str, packaged: str) -> Roles:
        """Make a model live. Promoting the model that is live already changes nothing.

        `packaged` is the version that counts as live as long as none has been promoted.
        """
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
        """Add the outcome of a comparison.

        `counts` maps (live label, shadow label) to how often the pair occurred; `differences` holds (ref, live label,
        shadow label, shadow's confidence) of the emails on which the two differ.
        """
        self._db.write(_note_shadow, live, shadow, counts, differences, shard)

    def agreement(self, live: str, shadow: str) -> dict[tuple[str, str], int]:
        """Return how often each pair of labels occurred in live mail: (live label, shadow label) → count."""
        return self._db.read(_agreement, live, shadow)

    def differences(self, shadow: str, limit: int = 20) -> list[Difference]:
        """Return the emails on which a shadow differs, newest first."""
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
