"""`/results`: the result of one email, waited for on request, and the list of all results; also `/classify`.

Reads through the ResultStore and the Reader. The live hub wakes a waiting request when the email's event comes; the
request also looks at the books each second, in case that event is lost.
"""

import time
from dataclasses import asdict
from typing import Any

import msgspec
from gevent.event import Event

from actors.deciding import to_email
from actors.events import readable_id, result_item
from classification.records import Email, Explanation
from engine.turns import off_the_hub
from storage.keys import shown_key
from storage.reading import EmailFilter
from storage.records import KnownEmail, StoredResult
from web.dispatch import Answer, Call, page_answer
from web.emails_lookup import find, no_result, state_of
from web.events import LONGEST_WAIT_S
from web.schemas import PageQuery
from web.validation import make_cursor, read_cursor, read_sender, read_time

LOOK_AGAIN_S = 1.0
OVER = ("dead", "discarded")


def one_result(call: Call, email_id: str) -> dict[str, Any]:
    """Return one email's result. While there is none: 404 with the email's state."""
    row = find(call, email_id, call.query.source)
    result = _result_of(call, row)
    if result is None and call.query.wait and state_of(row) not in OVER:
        row, result = _wait(call, email_id)
    if result is None:
        raise no_result(call, email_id, row)
    return _with_extras(call, result)


def _result_of(call: Call, row: KnownEmail | None) -> StoredResult | None:
    if row is None or row.state != "result":
        return None
    return call.services.results.get(row.key, row.source)


def _wait(call: Call, email_id: str) -> tuple[KnownEmail | None, StoredResult | None]:
    """Look again with the email's event and each second, until a result or death, the time-out or the server stops."""
    name = readable_id(shown_key(email_id))
    event = call.services.hub.watch(name)
    try:
        return _look_until(call, email_id, event, time.monotonic() + min(call.query.wait, LONGEST_WAIT_S))
    finally:
        call.services.hub.unwatch(name, event)


def _look_until(
    call: Call, email_id: str, event: Event, deadline: float
) -> tuple[KnownEmail | None, StoredResult | None]:
    while True:
        event.clear()
        row = find(call, email_id, call.query.source)
        result = _result_of(call, row)
        left = deadline - time.monotonic()
        if result is not None or state_of(row) in OVER or left <= 0 or call.services.hub.ending:
            return row, result
        event.wait(min(left, LOOK_AGAIN_S))


def _with_extras(call: Call, result: StoredResult) -> dict[str, Any]:
    item = result_item(result)
    results = call.services.results
    if call.query.include_content:
        content = results.content(result.ref)
        item["subject"] = content.subject if content else result.subject
        item["body"] = content.body if content else ""
    if call.query.explain:
        item["probabilities"] = result.probabilities
        judged = results.whole_content(result.ref)
        reasons = explain(call, to_email(judged), result.model_version) if judged else None
        item["explanation"] = explanation_item(reasons) if reasons else None
    return item


def all_results(call: Call) -> Answer:
    """Return the results, newest first in the order of storing."""
    page = call.services.reader.results(
        page_filter(call.query), before=read_cursor("results", call.query.cursor), limit=call.query.limit
    )
    items = [{**result_item(result), "subject": result.subject, "sender": result.sender} for result in page.items]
    return page_answer(call, items, make_cursor("results", page.next), page.lag)


def page_filter(query: PageQuery) -> EmailFilter:
    """Return the filters of a list, checked."""
    return EmailFilter(
        source=query.source,
        state=query.state,
        classification=query.classification,
        min_confidence=query.min_confidence,
        max_confidence=query.max_confidence,
        sender=read_sender("sender", query.sender),
        decided_by=query.decided_by,
        since=read_time("since", query.since),
        until=read_time("until", query.until),
        q=query.q,
    )


# -- what the classifier would say


def classify(call: Call) -> dict[str, Any]:
    """Return what the classifier says of an email, and why; nothing is stored."""
    request = call.body
    email = Email(request.subject, request.body, request.sender, request.recipient, request.headers)
    explanation = explain(call, email)
    found = msgspec.structs.asdict(explanation.classification)
    found["classification"] = found.pop("label")
    (ruling,) = call.services.classifier.judge([email])
    return {**found, "explanation": explanation_item(explanation), "rule": asdict(ruling) if ruling else None}


def explain(call: Call, email: Email, version: str = "") -> Explanation:
    """Return a model's reasons (the live one's if `version` is not loaded).

    A long email would block the hub, so this runs on another thread.
    """
    found: Explanation = off_the_hub(call.services.classifier.explain, email, version)
    return found


def explanation_item(explanation: Explanation) -> dict[str, Any]:
    """Return the reasons without what the answer has elsewhere."""
    found = explanation.to_dict()
    reasons = {name: found[name] for name in ("evidence", "margin", "distance_to_threshold", "flip")}
    return {"model_version": explanation.classification.model_version, **reasons}
