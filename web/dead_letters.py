"""`/dead-letters`: what failed for good and why, also by cause; replayed one by one or by a filter, or discarded.

Reads and writes through storage/dead_letters.py, whose guards make a second replay of the same letter do nothing.
"""

from typing import Any

from actors.events import dead_letter_item
from actors.replaying import KIND as REPLAY
from actors.replaying import fetchable
from engine.timestamps import timestamp
from storage.keys import MAX_KEY_BYTES, is_hashed, shown_key
from storage.records import DeadLetter
from web.dispatch import Answer, Call, page_answer
from web.problems import Problem
from web.schemas_work import DeadLetterFilter, DeadLetterQuery, ReplayRequest
from web.tasks import accepted
from web.validation import make_cursor, place_of, read_cursor, read_number, read_time, whole_filter

BATCH = 500
TOO_LONG = f"the email's id has more than {MAX_KEY_BYTES} bytes, so it can never be fetched: it can be discarded, but not replayed"


def all_letters(call: Call) -> Answer:
    """Return the dead letters that were neither replayed nor discarded, newest first."""
    query = call.query
    before = read_cursor("deadletters", query.cursor)
    filters = _filters(query, read_time("since", query.since), read_time("until", query.until))
    items, following = call.services.dead_letters.page(before, query.limit, **filters)
    return page_answer(call, [dead_letter_item(each) for each in items], make_cursor("deadletters", following))


def groups(call: Call) -> dict[str, Any]:
    """Group the dead letters that were neither replayed nor discarded by cause, the largest group first."""
    return {
        "items": [
            {
                "reason": each.reason,
                "error": each.error,
                "count": each.count,
                "first_dead_at": timestamp(each.oldest),
                "last_dead_at": timestamp(each.newest),
                "example": each.example,
            }
            for each in call.services.dead_letters.groups(call.query.source)
        ]
    }


def one_letter(call: Call, letter_id: str) -> dict[str, Any]:
    """Return a dead letter with its attempts, each time the email failed for good, and what is kept of the email."""
    letter = _letter(call, letter_id)
    content = call.services.results.content(letter.ref)
    tries = [
        {
            "attempt": each.attempts + 1,
            "at": timestamp(each.at),
            "reason": each.reason,
            "error": each.error,
            "processor_id": each.processor_id or None,
        }
        for each in call.services.dead_letters.attempts_of(letter.ref, letter.generation)
    ]
    return {
        **dead_letter_item(letter),
        "state": letter.state,
        "tries": tries,
        "lives": [
            {"id": each.id, "state": each.state, "reason": each.reason, "error": each.error, "attempts": each.attempts}
            | {"dead_at": timestamp(each.dead_at)}
            for each in call.services.dead_letters.lives(letter.ref)
        ],
        "subject": content.subject if content else None,
        "body": content.body if content else None,
        "sender": content.sender if content else None,
    }


def replay_one(call: Call, letter_id: str) -> dict[str, Any]:
    """Replay a dead letter: its email is queued again, with all its attempts renewed.

    409 if the letter was replayed or discarded already, or if the email's id is too long for the email to be fetched.
    """
    letter = _letter(call, letter_id)
    if is_hashed(letter.key):
        raise Problem(409, TOO_LONG, state=letter.state)
    if not call.services.dead_letters.replay([letter.id]):
        raise _stands_no_longer(call, letter_id)
    return {"matched": 1, "replayed": 1, "dry_run": False}


def replay_some(call: Call) -> dict[str, Any] | Answer:
    """Replay the dead letters that fit all conditions given. `dry_run` only counts them.

    Up to 500 letters, or any number named in `ids`, are replayed at once, with 200. More become a task, with 202, which
    replays `per_second` letters a second. Emails whose id is too long to be fetched count as `matched`, but stay dead.
    """
    wanted: ReplayRequest = call.body
    chosen = whole_filter(wanted, DeadLetterFilter, call.query.source)
    times = [read_time(place_of(wanted, name), getattr(chosen, name), 422) for name in ("since", "until")]
    letters, filters = call.services.dead_letters, _filters(chosen, *times)
    if chosen.ids is not None:
        return _replay_named(call, set(chosen.ids), filters)
    below = letters.newest() + 1
    matched = letters.count(below, **filters)
    if wanted.dry_run:
        return {"matched": matched, "replayed": 0, "dry_run": True}
    if matched > BATCH:
        given = {name: value for name, value in filters.items() if value is not None}
        params = {"filter": given, "below": below, "per_second": wanted.per_second}
        return accepted(call.services.tasks.create(REPLAY, params))
    page, _ = letters.page(below, BATCH, **filters)
    return {"matched": matched, "replayed": letters.replay(fetchable(page)), "dry_run": False}


def _replay_named(call: Call, names: set[int], filters: dict[str, Any]) -> dict[str, Any]:
    """Replay those of the named letters that fit the other conditions too."""
    dry_run, matched, replayed = call.body.dry_run, 0, 0
    before: int | None = max(names, default=0) + 1
    while before is not None and before > min(names, default=0):
        page, before = call.services.dead_letters.page(before, BATCH, **filters)
        chosen = [each for each in page if each.id in names]
        matched += len(chosen)
        if chosen and not dry_run:
            replayed += call.services.dead_letters.replay(fetchable(chosen))
    return {"matched": matched, "replayed": replayed, "dry_run": dry_run}


def discard(call: Call, letter_id: str) -> Answer:
    """Give an email up: its state becomes `discarded`. 409 if the letter was replayed or discarded already."""
    letter = _letter(call, letter_id)
    if not call.services.dead_letters.discard(letter.id):
        raise _stands_no_longer(call, letter_id)
    return Answer(None, 204)


def _letter(call: Call, letter_id: str) -> DeadLetter:
    letter = call.services.dead_letters.get(read_number(letter_id))
    if letter is None:
        raise Problem(404, "there is no such dead letter")
    return letter


def _stands_no_longer(call: Call, letter_id: str) -> Problem:
    """Return the 409. The letter is read again, since somebody else may have changed it meanwhile."""
    state = _letter(call, letter_id).state
    return Problem(409, f"this dead letter is no longer open: its state is {state}", state=state)


def _filters(wanted: DeadLetterQuery | DeadLetterFilter, since: float | None, until: float | None) -> dict[str, Any]:
    return {
        "reason": wanted.reason,
        "source": wanted.source,
        "email": None if wanted.email_id is None else shown_key(wanted.email_id),
        "since": since,
        "until": until,
    }
