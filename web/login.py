"""`/login` and `/logout`: a token in exchange for a session cookie, by the page's form or as JSON.

Wrong tokens are slowed down by web/auth.py. The form answers with redirects, so that it works without a script.
"""

import time
from urllib.parse import parse_qs

from actors.events import timestamp
from web.assets import page
from web.auth import is_secure
from web.dispatch import Answer, Call
from web.problems import JSON_MEDIA, Problem
from web.schemas_system import LoginRequest
from web.validation import read_model

FORM_MEDIA = "application/x-www-form-urlencoded"
MOST_FIELDS = 8


def login_page(_call: Call) -> Answer:
    """The page that asks for a token."""
    return page("login.html")


def login(call: Call) -> Answer:
    """A token in exchange for a session cookie; the form is answered with a redirect, JSON with JSON."""
    form = _media(call) == FORM_MEDIA
    token = _form_token(call.raw) if form else _json_token(call)
    if not call.app.gate.has_token:
        raise Problem(409, "API_TOKEN is not set: there is nothing to log in to")
    address, now = call.environ.get("REMOTE_ADDR", ""), time.monotonic()
    call.app.gate.logins.check(address, now)
    role = call.app.gate.role_of(token)
    if role is None:
        call.app.gate.logins.failed(address, now)
        if form:
            return page("login-failed.html", status=401)
        raise Problem(401, "this is not a token of ours", headers=(("WWW-Authenticate", 'Bearer realm="emailproc"'),))
    call.app.gate.logins.succeeded(address)
    session, cookie = call.app.gate.open_session(role, secure=_secure(call))
    headers = (("Set-Cookie", cookie),)
    if form:
        return Answer(None, 303, (*headers, ("Location", "/")))
    return Answer({"status": "ok", "role": role, "expires_at": timestamp(session.expires)}, headers=headers)


def logout(call: Call) -> Answer:
    """The session ends in this browser."""
    headers = (("Set-Cookie", call.app.gate.close_session(secure=_secure(call))),)
    if call.wants_html:
        return Answer(None, 303, (*headers, ("Location", "/login")))
    return Answer(None, 204, headers)


def _secure(call: Call) -> bool:
    return is_secure(call.environ, call.services.access.trusted_proxies)


def _media(call: Call) -> str:
    return str(call.environ.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()


def _form_token(raw: bytes) -> str:
    try:
        fields = parse_qs(raw.decode(), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem(400, "the form cannot be read") from None
    return fields.get("token", [""])[0]


def _json_token(call: Call) -> str:
    if _media(call) != JSON_MEDIA:
        raise Problem(415, f"the body must be {JSON_MEDIA} or {FORM_MEDIA}")
    return read_model(call.raw, LoginRequest).token
