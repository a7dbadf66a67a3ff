"""The timeline of one email: notified, listed, fed, fetched, attempts, classified, stored, dead letters, corrections.

Called by reading.py inside its transaction. The envelope carries the times of its stages; they are stored with the
result or the dead letter.
"""

from typing import Any

import msgspec

from storage.statements import execute

NAMES = {"fed": "queued", "fetched": "fetched", "taken": "taken", "classified": "classified"}
"""Maps the names of an envelope's times to the names of stages."""

_times = msgspec.json.Decoder(dict[str, float])


class Stage(msgspec.Struct, frozen=True):
    """One stage of an email; `duration_ms` is the time since the previous stage."""

    name: str
    at: float
    duration_ms: float | None = None
    detail: str | None = None


def timeline(ref: int) -> list[Stage]:
    """Return all stages of an email, oldest first."""
    return in_order([*_listing(ref), *_attempts(ref), *_result(ref), *_letters(ref)])


def in_order(stages: list[Stage]) -> list[Stage]:
    """Sort stages by time and add to each the time since the previous one."""
    stages = sorted(stages, key=lambda stage: stage.at)
    return [
        msgspec.structs.replace(
            stage, duration_ms=None if place == 0 else round((stage.at - stages[place - 1].at) * 1000, 3)
        )
        for place, stage in enumerate(stages)
    ]


def _listing(ref: int) -> list[Stage]:
    rows = execute(
        "SELECT book.listed_at, look.notified_at, look.kind FROM book LEFT JOIN look ON look.id = book.look WHERE book.id = ?",
        [ref],
    )
    if not rows:
        return []
    listed_at, notified_at, kind = rows[0]
    notified = [] if notified_at is None else [Stage("notified", notified_at)]
    return [*notified, Stage("listed", listed_at, detail=kind)]


def _attempts(ref: int) -> list[Stage]:
    rows = execute("SELECT attempt, reason, error, at FROM attempt WHERE ref = ? ORDER BY id", [ref])
    return [Stage(f"attempt {attempt}", at, detail=f"{reason}: {error}") for attempt, reason, error, at in rows]


def _result(ref: int) -> list[Stage]:
    rows = execute("SELECT times, processed_at, processor_id, person_at, person_by FROM result WHERE ref = ?", [ref])
    if not rows:
        return []
    times, processed_at, processor_id, person_at, person_by = rows[0]
    corrected = [] if person_at is None else [Stage("corrected", person_at, detail=person_by)]
    return [*_rode_along(times), Stage("stored", processed_at, detail=processor_id), *corrected]


def _letters(ref: int) -> list[Stage]:
    rows = execute("SELECT times, dead_at, reason, error FROM dead_letter WHERE ref = ? ORDER BY id", [ref])
    return [stage for row in rows for stage in _letter(row)]


def _letter(row: tuple[Any, ...]) -> list[Stage]:
    times, dead_at, reason, error = row
    return [*_rode_along(times), Stage("dead", dead_at, detail=f"{reason}: {error}")]


def _rode_along(times: str) -> list[Stage]:
    known = _times.decode(times)
    return [Stage(shown, known[name]) for name, shown in NAMES.items() if name in known]
