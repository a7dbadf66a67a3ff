"""Standard Webhooks 1.0 signatures: made by signed_post.py, checked by web/webhook.py.

`id.timestamp.body` is signed with HMAC-SHA256. A secret is `whsec_` and base64, or plain text. During a rotation there
are several secrets, and any of them verifies.
"""

import base64
import binascii
import hashlib
import hmac
import re
import secrets as random_bytes
from collections.abc import Iterable, Mapping

from engine.errors import EngineError

TOLERANCE_S = 300
_MAX_SIGNATURES = 16
_TIMESTAMP = re.compile(r"[0-9]{1,12}\Z", re.ASCII)


class SignatureError(EngineError):
    """A request lacks a valid signature by one of our secrets.

    `reason` is `missing`, `malformed`, `expired` or `mismatch`.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


def key_of(secret: str) -> bytes:
    """Return the key that a secret holds; raises ValueError, without the secret in it, if it is unusable."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    text = secret.removeprefix("whsec_")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not base64 after whsec_") from None
    if not key:
        raise ValueError("it is empty after whsec_")
    return key


def new_secret() -> str:
    """Return a new secret of 32 random bytes, in the standard's form."""
    return "whsec_" + base64.b64encode(random_bytes.token_bytes(32)).decode()


def sign(secret: str, msg_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of the `webhook-signature` header: `v1,` and the base64 of the HMAC."""
    return _signature(key_of(secret), msg_id.encode(), str(timestamp).encode(), body)


def verify(secrets: tuple[str, ...], headers: Mapping[str, str], body: bytes, now: float) -> None:
    """Raise SignatureError unless the request is signed by one of the secrets.

    `headers` are the request's, with names in any case; `body` is the raw body; `now` is the wall clock in seconds.
    """
    wanted = {name.lower(): value for name, value in headers.items() if name[:8].lower() == "webhook-"}
    msg_id, timestamp, signatures = (wanted.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature"))
    if not (msg_id and timestamp and signatures):
        raise SignatureError("webhook-id, webhook-timestamp or webhook-signature is missing", reason="missing")
    if not _TIMESTAMP.match(timestamp):
        raise SignatureError("webhook-timestamp is not a number of seconds", reason="malformed")
    if abs(now - int(timestamp)) > TOLERANCE_S:
        raise SignatureError(f"webhook-timestamp is more than {TOLERANCE_S} s away from our clock", reason="expired")
    given = [text.encode("utf-8", "replace") for text in signatures.split(" ") if text.startswith("v1,")]
    if not given:
        raise SignatureError("webhook-signature holds no v1 signature", reason="malformed")
    _match(map(key_of, secrets), given[:_MAX_SIGNATURES], msg_id.encode("utf-8", "replace"), timestamp.encode(), body)


def _match(ours: Iterable[bytes], given: list[bytes], msg_id: bytes, timestamp: bytes, body: bytes) -> None:
    found = False
    for key in ours:
        expected = _signature(key, msg_id, timestamp, body).encode()
        for signature in given:
            found |= hmac.compare_digest(expected, signature)
    if not found:
        raise SignatureError("no signature matches the body with any of our secrets", reason="mismatch")


def _signature(key: bytes, msg_id: bytes, timestamp: bytes, body: bytes) -> str:
    digest = hmac.digest(key, b".".join((msg_id, timestamp, body)), hashlib.sha256)
    return "v1," + base64.b64encode(digest).decode()
