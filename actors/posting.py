"""One signed POST of a message to a subscriber, and what the answer means.

Used by actors/subscriber.py and, for test messages, by web/subscriptions.py. Does not raise, whatever the other side
does.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from engine import clock
from fakemail.retry_after import read_retry_after
from fakemail.signed_post import SignedPost
from fakemail.transport import Resolve, Timeouts, TransportError

TIMEOUTS = Timeouts(connect_s=5.0, read_s=15.0, total_s=20.0)
GONE = 410
LONGEST_RETRY_AFTER_S = 3600.0


class Posted(msgspec.Struct, frozen=True):
    """The outcome of one POST. `error` is None after a 2xx, `status` is None if no answer came."""

    at: float
    duration_ms: float
    status: int | None
    error: str | None
    retry_after: float | None = None

    @property
    def gone(self) -> bool:
        """Whether the subscriber wants nothing more: the meaning that Standard Webhooks gives a 410."""
        return self.status == GONE


class Poster:
    """Posts to one URL over kept connections.

    ValueError if it is no http or https URL. `resolve` limits where it may connect to. `secrets(now)` returns the
    signing secrets (`now` by engine/clock.py). The header has a signature by each, and the receiver accepts the one
    that it knows.
    """

    def __init__(self, url: str, secrets: Callable[[float], Sequence[str]], resolve: Resolve | None = None) -> None:
        self._post, self._secrets = SignedPost(url, TIMEOUTS, resolve), secrets

    def post(self, webhook_id: str, body: bytes) -> Posted:
        """Deliver one message; a repeated id marks a repetition of the same message."""
        at, began = time.time(), time.perf_counter()
        status = error = retry_after = None
        try:
            answer = self._post.send(webhook_id, at, body, self._secrets(clock.now()))
        except TransportError as trouble:
            error = str(trouble)
        else:
            status = answer.status
            if not 200 <= status < 300:
                error = f"status {status}"
                retry_after = _pause(answer.headers.get("retry-after", ""), time.time())
        return Posted(at, round((time.perf_counter() - began) * 1000, 3), status, error, retry_after)

    def close(self) -> None:
        """Close idle connections."""
        self._post.close()


def _pause(text: str, now: float) -> float | None:
    """Return the seconds of a Retry-After header, an hour at most, or None if it has none."""
    asked = read_retry_after(text, now)
    return None if asked is None else min(max(asked, 0.0), LONGEST_RETRY_AFTER_S)
