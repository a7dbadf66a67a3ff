"""`POST /webhook` and `/webhook/{source}`: store the hint of new mail durably in the source's mailbox, then answer 202.

This is the hot path: web/app.py calls it before bottle's router, and it makes one round trip to the mailboxes. One
pattern recognises what FakeMail usually sends; anything else goes to the strict JSON reader. actors/lister.py then does
the look. The hints' mailbox is bounded (actors/bodies.py): beyond that, one hint stands for all that arrive.
"""

import hashlib
import logging
import re
import time
from typing import Any
from urllib.parse import unquote_to_bytes

import gevent

from actors.bodies import LookBody, encode, look_mailbox
from engine import clock
from engine.failpoints import reach
from engine.logs import Folded
from engine.mailbox import MAIN, Envelope
from fakemail.answers import MAX_HISTORY_ID
from fakemail.signature import SignatureError, verify
from web.dispatch import Headers, problem_response, request_id, routable, send
from web.problems import JSON_MEDIA, Problem
from web.ratelimit import RateLimits
from web.server_body import Environ, StartResponse
from web.services import Services, SourceConfig
from web.validation import decoded

log = logging.getLogger(__name__)

MAX_WEBHOOK_ID = 256
USUAL = re.compile(
    rb'[ \t\r\n]*\{[ \t\r\n]*"history_id"[ \t\r\n]*:[ \t\r\n]*(0|[1-9][0-9]{0,17})[ \t\r\n]*\}[ \t\r\n]*'
)
SIGNED_HEADERS = {
    "HTTP_WEBHOOK_ID": "webhook-id",
    "HTTP_WEBHOOK_TIMESTAMP": "webhook-timestamp",
    "HTTP_WEBHOOK_SIGNATURE": "webhook-signature",
}
ACCEPTED = "202 Accepted"
JSON: Headers = (("Content-Type", JSON_MEDIA),)


class Webhook:
    """The WSGI application that receives the webhooks of all sources."""

    def __init__(self, services: Services, headers: Headers, limits: RateLimits) -> None:
        self.services = services
        self.limits = limits
        self.headers = headers
        self.received = Folded(log, 1.0)
        names = list(services.sources)
        self.default = MAIN if MAIN in names or len(names) != 1 else names[0]

    def __call__(self, environ: Environ, start_response: StartResponse) -> list[bytes]:
        """Serve one POST."""
        try:
            history_id = self.accept(environ)
        except (Exception, gevent.Timeout) as error:  # noqa: BLE001  (the edge: whatever it is, the client gets an answer)
            return send(problem_response(error, environ), environ, start_response, self.headers)
        body = b'{"status":"accepted","history_id":%d}' % history_id
        start_response(ACCEPTED, [*JSON, *self.headers, ("Content-Length", str(len(body)))])
        return [body]

    def accept(self, environ: Environ) -> int:
        """Check the request and store it durably; return the history id that it announces."""
        self.limits.check("webhook", environ)
        source = self.source_of(environ)
        raw = environ["wsgi.input"].read()
        now = time.time()
        if source.secrets:
            _check_signature(source, environ, raw, now)
        history_id = read_history_id(raw)
        webhook_id = short_id(environ.get("HTTP_WEBHOOK_ID", "")) or None
        envelope = Envelope(
            source=source.name,
            key=webhook_id or request_id(environ),
            times={"received": clock.now()},
            body=encode(LookBody(history_id=history_id, webhook_id=webhook_id)),
        )
        reach("webhook.received")
        self.services.mailboxes.put(look_mailbox(source.name), [envelope], once=webhook_id, rank=history_id)
        reach("webhook.put")
        ids: dict[str, Any] = {"source": source.name, "history_id": history_id}
        if webhook_id:
            ids["webhook_id"] = webhook_id
        self.received.info("Received webhook", extra=ids)
        return history_id

    def source_of(self, environ: Environ) -> SourceConfig:
        """Return the source that the path names; raises Problem 404 if there is none of that name."""
        rest = routable(environ).removeprefix("/webhook").removeprefix("/")
        name = unquote_to_bytes(rest).decode("utf-8", "replace") if rest else self.default
        source = self.services.sources.get(name)
        if source is None:
            raise Problem(404, f"there is no source {name[:100]!r}")
        return source


def read_history_id(raw: bytes) -> int:
    """Return the history id in a notification's body, whatever its content type; raises Problem 400 with the reason."""
    usual = USUAL.fullmatch(raw)
    if usual is not None:
        return int(usual[1])
    value: Any = decoded(raw)  # whatever else FakeMail adds is ignored
    if not isinstance(value, dict) or "history_id" not in value:
        raise Problem(400, 'the body must be {"history_id": a whole number}')
    history_id = value["history_id"]
    if type(history_id) is not int or not 0 <= history_id <= MAX_HISTORY_ID:
        raise Problem(400, f"history_id must be a whole number from 0 to {MAX_HISTORY_ID}")
    return history_id


def short_id(webhook_id: str) -> str:
    """Return the key by which a repeated `webhook-id` is recognised: a long one's hash, since many may begin alike."""
    if len(webhook_id) <= MAX_WEBHOOK_ID:
        return webhook_id
    return f"sha256:{hashlib.sha256(webhook_id.encode()).hexdigest()}"


def _check_signature(source: SourceConfig, environ: Environ, raw: bytes, now: float) -> None:
    headers = {name: environ[key] for key, name in SIGNED_HEADERS.items() if key in environ}
    try:
        verify(source.secrets, headers, raw, now)
    except SignatureError as error:
        raise Problem(
            401, str(error), headers=(("WWW-Authenticate", "Webhook-Signature"),), reason=error.reason
        ) from None
