"""Rate limits: a token bucket for each kind of call and each client; beyond it, 429 with Retry-After.

Used by web/webhook.py (`webhook`) and, as `Gate.limits`, by web/auth.py and web/login.py (`api`, and `login` for wrong
tokens). Memory is bounded: the client that has been quiet longest is forgotten first. `Buckets` is given the time, so
that tests need no clock.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from web.clients import client_of, is_forwarded
from web.problems import Problem
from web.server_body import Environ
from web.server_problems import retry_after
from web.services import Access

REMEMBERED = 10_000
LOOPBACK = "loopback"
WORDS = {"webhook": "webhooks", "api": "calls", "login": "failed logins"}


Refused = Callable[[str], None]
"""Called with the kind of each call that is answered with 429."""


def unnoticed(_kind: str) -> None:
    """Ignore the refusal."""


class Buckets:
    """Allows each client `rate` calls a second, and `burst` calls at once."""

    def __init__(self, rate: float, burst: float, remembered: int = REMEMBERED) -> None:
        self.rate, self.burst, self.remembered = rate, burst, remembered
        self._left: dict[str, tuple[float, float]] = {}  # client → (calls left, as of when), the newest last

    def take(self, client: str, now: float) -> float:
        """Count one call; return the seconds to wait if it is one too many, else 0."""
        left = self._left_of(client, now)
        allowed = left >= 1
        self._left.pop(client, None)
        self._left[client] = (left - 1 if allowed else left, now)
        if len(self._left) > self.remembered:
            del self._left[next(iter(self._left))]
        return 0.0 if allowed else (1 - left) / self.rate

    def wait(self, client: str, now: float) -> float:
        """Return what `take` would, without counting a call."""
        left = self._left_of(client, now)
        return 0.0 if left >= 1 else (1 - left) / self.rate

    def _left_of(self, client: str, now: float) -> float:
        left, since = self._left.get(client, (self.burst, now))
        return min(self.burst, left + (now - since) * self.rate)


@dataclass(frozen=True, slots=True)
class Rate:
    """The default limit of one kind: `default` calls each `per` seconds, not counting this machine's own."""

    default: float
    per: float


RATES = {"webhook": Rate(200, 1), "api": Rate(100, 1), "login": Rate(30, 60)}


class RateLimits:
    """The limits of all kinds. `refused` is called with the kind of each 429.

    A limit that is set holds for everybody, loopback too; 0 means no limit. By default this machine's own calls are
    exempt. Webhooks and guessed tokens that come through a proxy not listed as trusted do not count as its own; other
    calls need a token there, and stay exempt.
    """

    def __init__(self, access: Access, refused: Refused = unnoticed) -> None:
        self.proxies = access.trusted_proxies
        self._refused = refused
        given = {"webhook": access.webhook_rate, "api": access.api_rate, "login": access.login_rate}
        self._spares_loopback = {kind for kind, value in given.items() if value is None}
        self._buckets: dict[str, Buckets] = {}
        for kind, rate in RATES.items():
            value = given[kind]
            limit = rate.default if value is None else value
            if limit > 0:
                self._buckets[kind] = Buckets(limit / rate.per, max(1.0, 2 * limit if rate.per == 1 else limit))

    def check(self, kind: str, environ: Environ) -> None:
        """Count a call of this kind; raises Problem 429 if it is one too many."""
        self._ask(kind, environ, Buckets.take)

    def refuse_exhausted(self, kind: str, environ: Environ) -> None:
        """Raise Problem 429 if the next call of this kind would be one too many; nothing is counted."""
        self._ask(kind, environ, Buckets.wait)

    def _ask(self, kind: str, environ: Environ, how: Callable[[Buckets, str, float], float]) -> None:
        buckets = self._buckets.get(kind)
        if buckets is None:
            return
        client = client_of(environ, self.proxies)
        if client == LOOPBACK and kind in self._spares_loopback and (kind == "api" or not is_forwarded(environ)):
            return
        if wait := how(buckets, client, time.monotonic()):
            self._refused(kind)
            raise Problem(429, f"too many {WORDS[kind]} from this address; wait a moment", headers=(retry_after(wait),))
