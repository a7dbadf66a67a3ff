"""`/review`: what a person should look at first, with all opinions on it and the number of similar emails.

storage/review.py makes the ranking. Only `POST /review/opinions` asks FakeMail for its opinion, which is kept but never
decides.
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
"""After this long, no further question goes to FakeMail."""

MAX_BODY = 20_000


def review(call: Call) -> Answer:
    """Return the review queue, the least certain and most contested results first.

    A correction (`POST /emails/{email_id}/label`) takes an email out of the queue.
    """
    return _page(call, *_queue(call, call.query.limit, read_cursor("review", call.query.cursor)))


def opinions(call: Call) -> Answer:
    """Ask FakeMail for its missing opinions of the emails on this page of the review queue; return the page with them.

    The opinions are kept.
    """
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
    """Return one item of the queue."""
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
    """Ask FakeMail about one email after another until a request fails or time is up; return how many opinions came."""
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
