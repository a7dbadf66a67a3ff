"""Find the one email that a request means, by the id in its path, and by the rule for several sources.

Used by the handlers of /results/{id} and /emails/{id}. Relies on the books, which know every id ever listed.
"""

from typing import Any

from actors.events import readable_id
from engine import clock
from engine.mailbox import MAIN
from engine.timestamps import timestamp
from storage.keys import is_hashed, shown_key
from storage.records import KnownEmail
from web.dispatch import Call
from web.problems import NULL, Problem
from web.server_problems import retry_after

QUEUED_RETRY_S = 1.0
SHOWN = 100
WHY = {
    "queued": "it is waiting for its turn",
    "retrying": "it failed and will be retried",
    "dead": "it failed for good; see /dead-letters",
    "discarded": "it failed for good and was discarded by a person",
    "unknown": "no email with this id is known",
    "processed": "it has no result yet",
}


def find(call: Call, email_id: str, source: str | None) -> KnownEmail | None:
    """Return the email's row: of `source`, else of `main`, else of the only source that knows it.

    Raises Problem 409.
    """
    rows = call.services.books.find(shown_key(email_id), source)
    if len(rows) <= 1:
        return rows[0] if rows else None
    if main := [row for row in rows if row.source == MAIN]:
        return main[0]
    names = sorted(row.source for row in rows)
    raise Problem(
        409,
        f"several sources have an email with this id: choose one of them as the source ({', '.join(names)})",
        sources=names,
    )


def known(call: Call, email_id: str, source: str | None) -> KnownEmail:
    """Return the email's row as `find` does; raises Problem 404 if no source knows it."""
    row = find(call, email_id, source)
    if row is None or row.state == "erased":
        raise unknown(email_id)
    return row


def unknown(email_id: str) -> Problem:
    """Return the 404 for an id that no source knows."""
    return Problem(404, f"{_named(email_id)}: {WHY['unknown']}", state="unknown")


def _named(email_id: str) -> str:
    """Return the id for people, cut short: as the client wrote it, if the books have only its hash."""
    key = shown_key(email_id)
    name = email_id if is_hashed(key) else readable_id(key)
    return name if len(name) <= SHOWN else f"{name[:SHOWN]}…"


def state_of(row: KnownEmail | None) -> str:
    """Return the state of a row as people see it."""
    if row is None or row.state == "erased":
        return "unknown"
    if row.state == "open":
        return "queued" if row.next_attempt_at is None else "retrying"
    return "processed" if row.state == "result" else row.state


def no_result(call: Call, email_id: str, row: KnownEmail | None) -> Problem:
    """Return the 404 that says why there is no result: the state, and when to ask again where that helps."""
    state = state_of(row)
    members: dict[str, Any] = {"state": state, "reason": NULL, "attempts": 0, "next_attempt_at": NULL}
    headers: tuple[tuple[str, str], ...] = ()
    if row is not None and state != "unknown":
        members |= {"source": row.source, "attempts": row.attempts, "error": row.last_error}
        members["reason"] = _reason(call, row, state) or NULL
        members["next_attempt_at"] = timestamp(row.next_attempt_at) or NULL
    if state in ("queued", "processed"):
        headers = (retry_after(QUEUED_RETRY_S),)
    elif state == "retrying" and row is not None and row.next_attempt_at is not None:
        headers = (retry_after(row.next_attempt_at - clock.now()),)
    return Problem(404, f"{_named(email_id)}: {WHY[state]}", headers=headers, **members)


def _reason(call: Call, row: KnownEmail, state: str) -> str | None:
    """Return why the email failed, as its dead letter says or would say it."""
    letters = call.services.dead_letters
    if state in ("dead", "discarded"):
        lives = letters.lives(row.ref)
        return lives[-1].reason if lives else None
    tries = letters.attempts_of(row.ref, row.generation) if state == "retrying" else []
    return tries[-1].reason if tries else None
