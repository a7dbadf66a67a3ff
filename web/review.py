"""`/review`: what a person should look at first, with what everybody says of it and how many similar mails there are.

The ranking is storage/review.py's. FakeMail's own opinion is asked for by `POST /review/opinions` alone, is kept, and is never the answer.
"""

import time
from typing import Any

from actors.events import result_item
from engine.errors import EngineError
from storage.records import LABELS
from storage.review import ReviewItem
from web.dispatch import Answer, Call, page_answer
from web.validation import make_cursor, read_cursor

ASK_S = 3.0
"""No further question to FakeMail after so long."""

MAX_BODY = 20_000


def review(call: Call) -> Answer:
    """The review queue: least certain and most contested first. A correction (`POST /emails/{email_id}/label`) takes an email out of it."""
    return _page(call, *_queue(call, call.query.limit, read_cursor("review", call.query.cursor)))


def opinions(call: Call) -> Answer:
    """The same page of the review queue, once FakeMail was asked for its opinion of the emails on it of which none is known. It is kept."""
    items, following, total = _queue(call, call.query.limit, read_cursor("review", call.query.cursor))
    if _ask(call, [item for item in items if item.fakemail_label is None]):
        known = {item.result.ref: item for item in _queue(call, total, None)[0]}
        items = [known.get(item.result.ref, item) for item in items]
    return _page(call, items, following, total)


def _queue(call: Call, limit: int, below: int | None) -> tuple[list[ReviewItem], int | None, int]:
    learning = call.services.learning
    return learning.reviews.queue(call.query.source, learning.models.roles().shadow, limit, below)


def _page(call: Call, items: list[ReviewItem], following: int | None, total: int) -> Answer:
    similar = call.services.learning.reviews.similar([item.result for item in items])
    answer = page_answer(
        call, [review_item(*each) for each in zip(items, similar, strict=True)], make_cursor("review", following)
    )
    answer.body["total"] = total
    return answer


def review_item(item: ReviewItem, similar: int) -> dict[str, Any]:
    """One item as it is answered."""
    result = item.result
    return {
        "result": result_item(result),
        "subject": result.subject,
        "sender": result.sender,
        "model": result.model_label,
        "probabilities": result.probabilities,
        "score": item.score,
        "reasons": item.reasons,
        "shadow": _opinion(item.shadow_label, item.shadow_confidence),
        "rule": _opinion(item.rule_label, None, result.rule_id),
        "fakemail": _opinion(item.fakemail_label, item.fakemail_confidence),
        "similar": similar,
    }


def _opinion(label: str | None, confidence: float | None, rule_id: int | None = None) -> dict[str, Any] | None:
    return None if label is None else {"classification": label, "confidence": confidence, "rule_id": rule_id}


def _ask(call: Call, items: list[ReviewItem]) -> int:
    """Ask FakeMail, one after the other until it fails once: trouble there must not add up. How many opinions came."""
    found: list[tuple[int, str, float]] = []
    deadline = time.monotonic() + ASK_S
    for item in items:
        source = call.services.sources.get(item.result.source)
        content = call.services.results.whole_content(item.result.ref)
        if source is None or content is None:
            continue
        try:
            label, confidence = source.client.classify(content.subject, content.body[:MAX_BODY])
        except EngineError:
            break
        if label in LABELS:
            found.append((item.result.ref, label, confidence))
        if time.monotonic() > deadline:
            break
    if found:
        call.services.learning.reviews.note_opinions(found)
    return len(found)
