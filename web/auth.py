"""Who gets in: bearer tokens for programs, a signed session cookie for people, the Host rule where no token is set.

`Gate` is asked by web/dispatch.py for each request and by the server for each WebSocket upgrade (`authorize`). It keeps
no sessions: a cookie says role and expiry, signed with a key derived from the token, so a changed token ends them all.
"""

import base64
import hashlib
import hmac
import os
import time
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from web.problems import Problem, retry_after
from web.server_body import Environ
from web.services import Access

COOKIE, SECURE_COOKIE = "emailproc_session", "__Host-emailproc_session"
SESSION_S = 12 * 3600
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
FORWARDED = ("HTTP_FORWARDED", "HTTP_X_FORWARDED_")
FREE_TRIES = 5
SLOWEST_S = 30.0
REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Session:
    """What a good cookie says."""

    role: str  # full | read
    expires: int


class Gate:
    """Decides by the settings in `Access`; `admit` passes in silence or raises Problem 401 or 403."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.logins = LoginBrake()
        self._tokens = [(role, token) for role, token in self._roles() if token]
        self._keys = {role: _session_key(token) for role, token in self._tokens}
        self._hosts = {host_name(host) for host in access.allowed_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in access.cors_origins}

    def _roles(self) -> tuple[tuple[str, str | None], ...]:
        return (("full", self.access.api_token), ("read", self.access.api_token_readonly))

    @property
    def has_token(self) -> bool:
        """Whether API_TOKEN is set."""
        return bool(self._tokens)

    def admit(self, environ: Environ, kind: str) -> None:
        """Let a request pass that may use a route of this kind: `public`, `page`, `read` or `full`."""
        if kind == "page":
            self._admit_page(environ)
        elif kind != "public":
            self._check_origin(environ)
            self.identify(environ, kind)

    def _admit_page(self, environ: Environ) -> None:
        """/login and the static files: with a token anybody may see them, without one the Host rule holds."""
        self._check_origin(environ)
        if not self.has_token:
            self._check_host(environ)

    def identify(self, environ: Environ, kind: str) -> str:
        """The role of the caller: `full` or `read`."""
        if not self.has_token:
            self._check_host(environ)
            return "full"
        role = self._bearer(environ) if "HTTP_AUTHORIZATION" in environ else self._cookie_role(environ)
        if role is None:
            raise Problem(401, "a valid token is needed", headers=(("WWW-Authenticate", 'Bearer realm="emailproc"'),))
        if role != "full" and (kind == "full" or environ["REQUEST_METHOD"] not in SAFE_METHODS):
            raise Problem(403, "this token may read only")
        return role

    def authorize(self, environ: Environ) -> tuple[int, str] | None:
        """The same for a WebSocket upgrade, in the form that web/server.py asks for."""
        try:
            self._check_origin({**environ, "REQUEST_METHOD": "UPGRADE"})
            self.identify({**environ, "REQUEST_METHOD": "GET"}, "read")
        except Problem as problem:
            return problem.status, problem.detail
        return None

    # -- sessions

    def role_of(self, token: str) -> str | None:
        """The role that a token gives, compared in constant time."""
        given = token.encode("utf-8", "surrogateescape")
        found = [role for role, ours in self._tokens if hmac.compare_digest(ours.encode(), given)]
        return found[0] if found else None

    def open_session(self, role: str, *, secure: bool) -> tuple[Session, str]:
        """A new session and its Set-Cookie value."""
        session = Session(role, int(time.time()) + SESSION_S)
        text = f"{session.role}.{session.expires}.{os.urandom(9).hex()}"
        return session, _set_cookie(f"{text}.{self._sign(role, text)}", SESSION_S, secure=secure)

    def close_session(self, *, secure: bool) -> str:
        """The Set-Cookie value that ends a session in the browser."""
        return _set_cookie("", 0, secure=secure)

    def session(self, environ: Environ) -> Session | None:
        """The session in the request's cookie, if it is ours and has not expired."""
        for value in _cookies(environ):
            text, _, signature = value.rpartition(".")
            role, _, rest = text.partition(".")
            expires = rest.partition(".")[0]
            if role in self._keys and hmac.compare_digest(self._sign(role, text).encode(), signature.encode()):
                return Session(role, int(expires)) if int(expires) > time.time() else None
        return None

    def _sign(self, role: str, text: str) -> str:
        digest = hmac.digest(self._keys[role], text.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")

    def _cookie_role(self, environ: Environ) -> str | None:
        session = self.session(environ)
        return None if session is None else session.role

    def _bearer(self, environ: Environ) -> str | None:
        scheme, _, token = environ["HTTP_AUTHORIZATION"].partition(" ")
        return self.role_of(token.strip()) if scheme.lower() == "bearer" else None

    # -- Host and Origin

    def _check_host(self, environ: Environ) -> None:
        """No token is set: only this machine's own user may ask, and no page or tunnel on somebody's behalf."""
        if any(name.startswith(FORWARDED) for name in environ):
            raise Problem(403, "this came through a proxy: set API_TOKEN to allow that")
        host = host_name(environ.get("HTTP_HOST", ""))
        if not (is_loopback_name(host) or host in self._hosts):
            advice = "add it to ALLOWED_HOSTS" if self.access.allow_anonymous else "set API_TOKEN, or ALLOWED_HOSTS"
            raise Problem(403, f"without a token only loopback Host names may ask: {advice}")

    def allows_origin(self, environ: Environ) -> bool:
        """Whether the Origin header names one of CORS_ORIGINS."""
        return environ.get("HTTP_ORIGIN", "").lower() in self._origins

    def _check_origin(self, environ: Environ) -> None:
        """What changes something must not come from another site's page."""
        if environ["REQUEST_METHOD"] in SAFE_METHODS or self.allows_origin(environ):
            return
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and urlsplit(origin).netloc.lower() != environ.get("HTTP_HOST", "").lower():
            raise Problem(403, "a page of another origin may not do this")
        if origin is None and environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none"):
            raise Problem(403, "a page of another site may not do this")


class LoginBrake:
    """Slows down guessing: after a few failures each address has to wait, longer and longer, up to half a minute."""

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}

    def check(self, address: str, now: float) -> None:
        """Raises Problem 429 while the address has to wait."""
        _, until = self._failures.get(address, (0, 0.0))
        if until > now:
            raise Problem(429, "too many failed logins; wait a moment", headers=(retry_after(until - now),))

    def failed(self, address: str, now: float) -> None:
        """A login with a wrong token."""
        if len(self._failures) >= REMEMBERED:
            self._failures.clear()
        count = self._failures.get(address, (0, 0.0))[0] + 1
        wait = 0.0 if count < FREE_TRIES else min(2.0 ** (count - FREE_TRIES), SLOWEST_S)
        self._failures[address] = (count, now + wait)

    def succeeded(self, address: str) -> None:
        """A login with a right one."""
        self._failures.pop(address, None)


def host_name(host: str) -> str:
    """The name in a Host header, without its port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def is_loopback_name(host: str) -> bool:
    """Names that a browser resolves to this machine, whatever a DNS server says."""
    octets = host.split(".")
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    return len(octets) == 4 and octets[0] == "127" and all(each.isascii() and each.isdigit() for each in octets)


def is_secure(environ: Environ, trusted_proxies: tuple[str, ...]) -> bool:
    """Whether the browser came by TLS, as far as we can believe it."""
    forwarded = environ.get("HTTP_X_FORWARDED_PROTO", "").lower() == "https"
    return environ.get("wsgi.url_scheme") == "https" or (
        forwarded and environ.get("REMOTE_ADDR", "") in trusted_proxies
    )


def _session_key(token: str) -> bytes:
    return hmac.digest(token.encode(), b"emailproc session cookie v1", hashlib.sha256)


def _set_cookie(value: str, age: int, *, secure: bool) -> str:
    name = SECURE_COOKIE if secure else COOKIE
    flags = "; Secure" if secure else ""
    return f"{name}={value}; Path=/; Max-Age={age}; HttpOnly; SameSite=Strict{flags}"


def _cookies(environ: Environ) -> list[str]:
    try:
        jar = SimpleCookie(environ.get("HTTP_COOKIE", ""))
    except CookieError:
        return []
    return [jar[name].value for name in (SECURE_COOKIE, COOKIE) if name in jar]
