"""Who gets in: bearer tokens for programs, a signed session cookie for people, the Host rule if no token is set.

web/dispatch.py asks `Gate` about each request, the server about each WebSocket upgrade (`authorize`). web/sessions.py
makes the cookies; web/ratelimit.py counts the calls of each address.
"""

import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from web.addresses import is_trusted
from web.clients import client_of, is_forwarded
from web.problems import Problem
from web.ratelimit import RateLimits, Refused, unnoticed
from web.server_body import Environ
from web.services import Access
from web.sessions import Ended, Session, Sessions

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
REMEMBERED = 10_000
SMALL_BODY = 64 * 1024
"""Bodies up to this size are read from anybody."""

CHALLENGE = (("WWW-Authenticate", 'Bearer realm="emailproc"'),)


class Gate:
    """Decides by the settings in `Access`; `admit` returns silently or raises Problem 401, 403 or 429."""

    def __init__(self, access: Access, ended: Ended | None = None, refused: Refused = unnoticed) -> None:
        self.access = access
        self.limits = RateLimits(access, refused)
        self.sessions = Sessions(access.session_s, ended)
        self._hosts = {host_name(host) for host in access.allowed_hosts}
        self._origins = {origin.lower().rstrip("/") for origin in access.cors_origins}
        self._tokens: Mapping[str, str] = {}
        self._known: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.use(access)

    def use(self, access: Access) -> None:
        """Replace the tokens; sessions opened with the old ones end."""
        self.access = access
        self._known.clear()
        given = {"full": access.api_token, "read": access.api_token_readonly}
        self._tokens = {role: token for role, token in given.items() if token}
        self.sessions.use(self._tokens)

    @property
    def has_token(self) -> bool:
        """Whether API_TOKEN is set."""
        return bool(self._tokens)

    def admit(self, environ: Environ, kind: str, *, counted: bool = True) -> None:
        """Admit a request to a route of this kind: `public`, `page`, `read`, `full` or `metrics`."""
        if kind == "public":
            return
        if counted:
            self.limits.check("api", environ)
        if kind == "page":
            self._admit_page(environ)
        elif kind != "metrics" or not self._may_scrape(environ):
            self._check_origin(environ)
            self.identify(environ, kind)

    def _admit_page(self, environ: Environ) -> None:
        """Admit to /login and the static files: anybody if a token is set, else by the Host rule."""
        self._check_origin(environ)
        if not self.has_token:
            self._check_host(environ)

    def _may_scrape(self, environ: Environ) -> bool:
        """Return whether the request carries METRICS_TOKEN; raises Problem 401 if not, where no other token is set."""
        if not self.access.metrics_token:
            return False
        if _same(self.access.metrics_token, _bearer(environ) or ""):
            self.meet(environ, "metrics")
            return True
        if not self.has_token:
            raise self._unknown(environ)
        return False

    def identify(self, environ: Environ, kind: str) -> str:
        """Return the caller's role, `full` or `read`; raises Problem if that does not suffice."""
        if not self.has_token:
            self._check_host(environ)
            return "full"
        role, _ = self.caller(environ)
        if role is None:
            raise self._unknown(environ)
        if "HTTP_AUTHORIZATION" in environ:
            self.meet(environ, role)
        if role != "full" and (kind == "full" or environ["REQUEST_METHOD"] not in SAFE_METHODS):
            raise Problem(403, "this token is read-only")
        return role

    def may_read(self, environ: Environ) -> bool:
        """Return whether the caller of a public page could read the others too. Wrong tokens count here too."""
        try:
            self.identify(environ, "read")
        except Problem:
            return False
        return True

    def caller(self, environ: Environ) -> tuple[str | None, str]:
        """Return the role that the token or session gives, and the caller's name: `session:ID`, `token` or `local`."""
        if not self.has_token:
            return "full", "local"
        if "HTTP_AUTHORIZATION" in environ:
            return self.role_of(_bearer(environ) or ""), "token"
        session = self.sessions.read(environ)
        return (None, "") if session is None else (session.role, name_of(session))

    def _unknown(self, environ: Environ) -> Problem:
        """Return the 401 for an unknown caller; wrong tokens are counted, so that guessing is slow."""
        if "HTTP_AUTHORIZATION" in environ:
            self.limits.check("login", environ)
        return Problem(401, "a valid token is required", headers=CHALLENGE)

    def meet(self, environ: Environ, role: str) -> None:
        """Accept a correct token, but refuse it to an address that guesses too often, or guessing would not be slow.

        An address that has shown a correct token before is exempt, so that a neighbour who guesses locks nobody out.
        """
        caller = (client_of(environ, self.access.trusted_proxies), role)
        if caller not in self._known:
            self.limits.refuse_exhausted("login", environ)
        self._known[caller] = None
        self._known.move_to_end(caller)
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)

    def authorize(self, environ: Environ) -> None:
        """Make the same checks for a WebSocket upgrade."""
        self.limits.check("api", environ)
        self._check_origin({**environ, "REQUEST_METHOD": "UPGRADE"})
        self.identify({**environ, "REQUEST_METHOD": "GET"}, "read")

    def still_welcome(self, environ: Environ) -> bool:
        """Return whether a WebSocket admitted with this request still would be: sessions expire, tokens change."""
        return self.caller(environ)[0] is not None

    def role_of(self, token: str) -> str | None:
        """Return the role that a token gives, or None; compared in constant time."""
        found = [role for role, ours in self._tokens.items() if _same(ours, token)]
        return found[0] if found else None

    # -- Host and Origin

    def _check_host(self, environ: Environ) -> None:
        """Without a token, admit this machine's own user only, and no page or tunnel acting for somebody else."""
        if is_forwarded(environ):
            raise Problem(403, "this request came through a proxy: set API_TOKEN to allow that")
        host = host_name(environ.get("HTTP_HOST", ""))
        if not (is_loopback_name(host) or host in self._hosts):
            advice = (
                "add this one to ALLOWED_HOSTS" if self.access.allow_anonymous else "set API_TOKEN, or ALLOWED_HOSTS"
            )
            raise Problem(403, f"without a token, only loopback host names are allowed: {advice}")

    def allows_origin(self, environ: Environ) -> bool:
        """Return whether the Origin header names one of CORS_ORIGINS."""
        return environ.get("HTTP_ORIGIN", "").lower() in self._origins

    def _check_origin(self, environ: Environ) -> None:
        """Refuse what another site's page asks for: what is unsafe, and what is safe too, except that it may link here.

        The page could not see the answer, but how long it takes tells whether a search found something.
        """
        if self.allows_origin(environ):
            return
        elsewhere = environ.get("HTTP_SEC_FETCH_SITE", "none") not in ("same-origin", "none")
        if environ["REQUEST_METHOD"] in SAFE_METHODS:
            if elsewhere and not _follows_link(environ):
                raise Problem(403, "a page of another site may link to this, but not load it")
            return
        origin = environ.get("HTTP_ORIGIN")
        if origin is not None and not _names_host(origin, environ.get("HTTP_HOST", "")):
            raise Problem(403, "a page of another origin is not allowed to do this")
        if origin is None and elsewhere:
            raise Problem(403, "a page of another site is not allowed to do this")


def cap_before_reading(environ: Environ, cap: int, check: Callable[[], object]) -> int:
    """Return `cap`; but if the body may exceed SMALL_BODY, call `check` first, which may raise Problem."""
    if min(cap, int(environ.get("CONTENT_LENGTH", cap))) > SMALL_BODY:
        check()
    return cap


def host_name(host: str) -> str:
    """Return the name in a Host header, without its port, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower().rstrip(".")


def is_loopback_name(host: str) -> bool:
    """Return whether browsers resolve this name to this machine, whatever a DNS server says."""
    octets = host.split(".")
    if host == "localhost" or host.endswith(".localhost") or host == "::1":
        return True
    return len(octets) == 4 and octets[0] == "127" and all(each.isascii() and each.isdigit() for each in octets)


def is_secure(environ: Environ, trusted_proxies: tuple[str, ...]) -> bool:
    """Return whether the browser came over TLS, as far as that can be trusted."""
    forwarded = environ.get("HTTP_X_FORWARDED_PROTO", "").lower() == "https"
    return environ.get("wsgi.url_scheme") == "https" or (
        forwarded and is_trusted(str(environ.get("REMOTE_ADDR", "")), trusted_proxies)
    )


def name_of(session: Session) -> str:
    """Return a session's name in the action log: part of its id, which grants no access."""
    return f"session:{session.id[:8]}"


def _bearer(environ: Environ) -> str | None:
    scheme, _, token = str(environ.get("HTTP_AUTHORIZATION", "")).partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _same(ours: str, given: str) -> bool:
    """Compare in a time that does not reveal how much of the token matches."""
    return hmac.compare_digest(ours.encode(), given.encode("utf-8", "surrogateescape"))


def _follows_link(environ: Environ) -> bool:
    """Return whether the browser is about to show the answer as a page of its own, not in a frame."""
    fetch = (environ.get("HTTP_SEC_FETCH_MODE"), environ.get("HTTP_SEC_FETCH_DEST"))
    return fetch == ("navigate", "document")


def _names_host(origin: str, host: str) -> bool:
    """Return whether the Origin is that of the requested host."""
    try:
        place = urlsplit(origin).netloc.lower()
    except ValueError:
        return False
    return bool(place) and place == host.lower()
