"""Browser sessions: a signed cookie with role, start and expiry, and a list of the sessions that were ended early.

Used by web/auth.py. No session is stored: the cookie is signed with a key derived from the token, so a changed token
ends its sessions. Those ended by hand are in SQL (storage/sessions.py) for all fronts, and cached here; the cache is
refreshed every few seconds.
"""

import base64
import hashlib
import hmac
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from engine.errors import DependencyTrouble
from storage.sessions import ALL
from web.server_body import Environ

log = logging.getLogger(__name__)

COOKIE, SECURE_COOKIE = "emailproc_session", "__Host-emailproc_session"
MOST_COOKIES = 4


@dataclass(frozen=True, slots=True)
class Session:
    """The content of a valid cookie; times are seconds since the epoch."""

    role: str  # full | read
    expires: int
    began: float = 0.0
    id: str = ""


class Ended(Protocol):
    """The store of ended sessions: storage/sessions.py."""

    def end(self, session_id: str, at: float, expires: float) -> None:
        """Store that one session, or all of them, ended."""

    def all(self) -> dict[str, float]:
        """Return what was ended, and when."""


class Sessions:
    """`lasts`: in seconds. Without a store, only this process knows which sessions were ended."""

    def __init__(self, lasts: int, store: Ended | None = None) -> None:
        self.lasts, self.store = lasts, store
        self._keys: dict[str, bytes] = {}
        self._ended: dict[str, float] = {}
        self._untold: dict[str, tuple[float, float]] = {}  # id → (moment, expiry), not in the store yet

    def use(self, tokens: Mapping[str, str]) -> None:
        """Sign cookies for these tokens, by role, from now on; cookies signed for others become invalid."""
        self._keys = {
            role: hmac.digest(token.encode(), b"emailproc session cookie v2", "sha256")
            for role, token in tokens.items()
        }

    def open(self, role: str, *, secure: bool) -> tuple[Session, str]:
        """Open a session; return it and its Set-Cookie value."""
        now = time.time()
        session = Session(role, int(now) + self.lasts, int(now * 1000) / 1000, os.urandom(9).hex())
        text = f"{role}.{session.expires}.{int(session.began * 1000)}.{session.id}"
        return session, set_cookie(f"{text}.{self._sign(role, text)}", self.lasts, secure=secure)

    def read(self, environ: Environ) -> Session | None:
        """Return the session in the request's cookie, if it is signed by us, has not expired and was not ended."""
        for value in _cookies(environ):
            text, _, signature = value.rpartition(".")
            parts = text.split(".")
            role = parts[0]
            signed = role in self._keys and hmac.compare_digest(self._sign(role, text).encode(), signature.encode())
            if signed:
                session = Session(role, int(parts[1]), int(parts[2]) / 1000, parts[3])
                if session.expires > time.time() and not self._is_ended(session):
                    return session
        return None

    def end(self, session: Session) -> None:
        """End this session, wherever its cookie has been copied to."""
        self._end(session.id, time.time(), float(session.expires))

    def end_all(self) -> None:
        """End all sessions that have begun by now."""
        now = time.time()
        self._end(ALL, now, now + self.lasts)

    def refresh(self) -> None:
        """Tell the store what it does not know yet, and read what other fronts ended; raises DependencyTrouble."""
        if self.store is None:
            return
        for name, (at, expires) in list(self._untold.items()):
            self.store.end(name, at, expires)
            self._untold.pop(name, None)
        known = self.store.all()
        self._ended = {**known, **{name: at for name, (at, _) in self._untold.items()}}

    def _end(self, name: str, at: float, expires: float) -> None:
        self._ended[name] = at
        self._untold[name] = (at, expires)
        try:
            self.refresh()
        except DependencyTrouble as trouble:
            log.warning("an ended session is known to this process alone until the database is back: %s", trouble)

    def _is_ended(self, session: Session) -> bool:
        return session.id in self._ended or session.began <= self._ended.get(ALL, -1.0)

    def _sign(self, role: str, text: str) -> str:
        digest = hmac.digest(self._keys[role], text.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def set_cookie(value: str, age: int, *, secure: bool) -> str:
    """Return a Set-Cookie value; age 0 ends the session in the browser."""
    name = SECURE_COOKIE if secure else COOKIE
    flags = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{flags}"


def _cookies(environ: Environ) -> list[str]:
    """Return the first few values of our cookies: a page of another host of this domain may have added some.

    Our values need no quoting, so quotes are not parsed: http.cookies takes seconds for a header full of backslashes
    (CVE-2024-7592).
    """
    found: dict[str, list[str]] = {SECURE_COOKIE: [], COOKIE: []}
    for part in str(environ.get("HTTP_COOKIE", "")).split(";"):
        name, _, value = part.strip().partition("=")
        if name in found:
            found[name].append(value)
    return [value for values in found.values() for value in values[:MOST_COOKIES]]
