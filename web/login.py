"""`/login` and `/logout`: exchange a token for a session cookie, by the page's form or as JSON.

web/ratelimit.py counts wrong tokens. The form is answered with redirects, so that it works without a script.
"""

import logging
from dataclasses import replace
from urllib.parse import parse_qs

from engine.logs import Folded
from engine.timestamps import timestamp
from web.assets import page
from web.auth import CHALLENGE, is_secure, name_of
from web.clients import client_of
from web.dispatch import FORM_MEDIA, Answer, Call
from web.problems import JSON_MEDIA, Problem
from web.schemas_access import LoginRequest
from web.sessions import set_cookie
from web.validation import read_model

MOST_FIELDS = 8
FAILED = Folded(logging.getLogger(__name__), 1.0)


def login_page(_call: Call) -> Answer:
    """Return the page that asks for a token."""
    return _page("login.html")


def _page(name: str, status: int = 200) -> Answer:
    """Return the form. With `no-referrer`, a browser would send it with `Origin: null`, as another site's page does."""
    answer = page(name, status=status)
    return replace(answer, headers=(*answer.headers, ("Referrer-Policy", "same-origin")))


def login(call: Call) -> Answer:
    """Exchange a token for a session cookie. The form is answered with a redirect, JSON with JSON."""
    form = call.content_type == FORM_MEDIA
    token = _form_token(call.raw) if form else _json_token(call)
    gate = call.app.gate
    if not gate.has_token:
        raise Problem(409, "API_TOKEN is not set: no login is needed")
    role = _checked(call, token)
    if role is None:
        if form:
            return _page("login-failed.html", status=401)
        raise Problem(401, "this token is not valid", headers=CHALLENGE)
    session, cookie = gate.sessions.open(role, secure=_secure(call))
    call.app.actions.write(call.environ, "/login", {}, 200, by=(role, name_of(session)))
    headers = (("Set-Cookie", cookie),)
    if form:
        return Answer(None, 303, (*headers, ("Location", "/")))
    return Answer({"status": "ok", "role": role, "expires_at": timestamp(session.expires)}, headers=headers)


def _checked(call: Call, token: str) -> str | None:
    """Return the role that the token gives, or None; a wrong one is counted as everywhere else, and logged."""
    gate = call.app.gate
    role = gate.role_of(token)
    if role is None:
        gate.limits.check("login", call.environ)
        FAILED.info("failed login from %s", client_of(call.environ, gate.access.trusted_proxies))
    else:
        gate.meet(call.environ, role)
    return role


def logout(call: Call) -> Answer:
    """End the session, wherever its cookie was copied to; with `everywhere`, end the sessions of everybody."""
    gate = call.app.gate
    session = gate.sessions.read(call.environ)
    if call.query.everywhere:
        gate.identify(call.environ, "full")
    if session is not None or call.query.everywhere:
        call.app.actions.write(call.environ, "/logout", {"everywhere": call.query.everywhere}, 204)
    if call.query.everywhere:
        gate.sessions.end_all()
    elif session is not None:
        gate.sessions.end(session)
    headers = (("Set-Cookie", set_cookie("", 0, secure=_secure(call))),)
    if call.wants_html:
        return Answer(None, 303, (*headers, ("Location", "/login")))
    return Answer(None, 204, headers)


def _secure(call: Call) -> bool:
    return is_secure(call.environ, call.services.access.trusted_proxies)


def _form_token(raw: bytes) -> str:
    try:
        fields = parse_qs(raw.decode(), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise Problem(400, "the form cannot be read") from None
    return fields.get("token", [""])[0]


def _json_token(call: Call) -> str:
    if call.content_type != JSON_MEDIA:
        raise Problem(415, f"the body must be {JSON_MEDIA} or {FORM_MEDIA}")
    return read_model(call.raw, LoginRequest).token
