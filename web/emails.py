"""`/emails`: all emails ever listed, one of them with its text and its timeline, and a person's correction.

Reads through the Reader. A correction goes through the ResultStore and the event log, so that every client sees it.
"""

import time
from contextlib import suppress
from typing import Any

from actors.events import label_event, readable_id, result_item
from engine.errors import DependencyTrouble
from engine.timestamps import timestamp
from storage.reading import EmailItem
from storage.timeline import Stage, in_order
from web.dispatch import Answer, Call, page_answer
from web.emails_lookup import known, no_result, unknown
from web.pushed import pushed_at
from web.results import page_filter
from web.validation import make_cursor, read_cursor

PERSON = "person"


def all_emails(call: Call) -> Answer:
    """Return the emails, newest first in the order of listing."""
    page = call.services.reader.emails(
        page_filter(call.query), before=read_cursor("emails", call.query.cursor), limit=call.query.limit
    )
    return page_answer(call, [email_item(each) for each in page.items], make_cursor("emails", page.next), page.lag)


def email_item(item: EmailItem) -> dict[str, Any]:
    """Return one email of a list."""
    return {
        "email_id": readable_id(item.key),
        "source": item.source,
        "state": item.state,
        "listed_at": timestamp(item.listed_at),
        "attempts": item.attempts,
        "next_attempt_at": timestamp(item.next_attempt_at),
        "last_error": item.last_error,
        "subject": item.subject,
        "sender": item.sender,
        "result": result_item(item.result) if item.result else None,
    }


def one_email(call: Call, email_id: str) -> dict[str, Any]:
    """Return one email with its result, and its text as far as that is kept."""
    row = known(call, email_id, call.query.source)
    item = call.services.reader.email(row.ref)
    if item is None:
        raise unknown(email_id)
    content = call.services.results.content(row.ref)
    return {
        **email_item(item),
        "body": content.body if content else None,
        "recipient": content.recipient if content else None,
        "timestamp": timestamp(content.timestamp) if content else None,
        "headers": content.headers if content else {},
        "truncated": bool(content and content.truncated),
    }


def timeline(call: Call, email_id: str) -> dict[str, Any]:
    """Return every stage of one email with its time, oldest first."""
    row = known(call, email_id, call.query.source)
    item = call.services.reader.email(row.ref)
    found = call.services.reader.timeline(row.ref)
    told = pushed_at(call.services.mailboxes, item.result) if item and item.result else None
    if told is not None:
        found = in_order([*found, Stage("pushed", told, detail="event log")])
    stages = [
        {"name": stage.name, "at": timestamp(stage.at), "duration_ms": stage.duration_ms, "detail": stage.detail}
        for stage in found
    ]
    state = item.state if item else "erased"
    return {"email_id": readable_id(row.key), "source": row.source, "state": state, "stages": stages}


def correct(call: Call, email_id: str) -> dict[str, Any]:
    """Correct an email's label. A person's label overrides the model's and the rules' until it is undone."""
    return _label(call, email_id, call.body.classification)


def undo_correction(call: Call, email_id: str) -> dict[str, Any]:
    """Undo a correction: the email gets back the label that a rule or the model gave it."""
    return _label(call, email_id, None)


def _label(call: Call, email_id: str, label: str | None) -> dict[str, Any]:
    row = known(call, email_id, call.query.source)
    if row.state != "result":
        raise no_result(call, email_id, row)
    result = call.services.results.label(row.key, row.source, label, PERSON)
    if result is None:
        raise no_result(call, email_id, row)
    with suppress(DependencyTrouble):  # the label is stored: an error answer would be wrong
        call.services.mailboxes.tell([label_event(result, time.time())])
    return result_item(result)
