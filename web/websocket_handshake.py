"""The checks before a request becomes a WebSocket (RFC 6455, 4.2), as pure functions.

Called by web/server_handler.py; the application's `authorize` hook adds the rules for Host, Origin and sessions.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable
from typing import Any

from geventwebsocket.handler import WebSocketHandler

from web.framing import tokens
from web.server_problems import Refusal

Authorize = Callable[[dict[str, Any]], None]
VERSION = "13"
UPGRADE_REQUIRED = (("Upgrade", "websocket"), ("Sec-WebSocket-Version", VERSION))


def wants_websocket(environ: dict[str, Any]) -> bool:
    """Return whether the request asks for an upgrade to a WebSocket, valid or not."""
    return "websocket" in tokens(environ.get("HTTP_UPGRADE", ""))


def check_upgrade(environ: dict[str, Any], authorize: Authorize) -> str:
    """Return the key to accept; raises Refusal with what is wrong with the upgrade."""
    if environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ:
        raise Refusal(400, "a WebSocket handshake has no body")
    if environ["REQUEST_METHOD"] != "GET" or environ["SERVER_PROTOCOL"] != "HTTP/1.1":
        raise Refusal(400, "a WebSocket begins with a GET in HTTP/1.1")
    if "upgrade" not in tokens(environ.get("HTTP_CONNECTION", "")):
        raise Refusal(400, "the Connection header must say Upgrade")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != VERSION:
        raise Refusal(426, f"only WebSocket version {VERSION} is supported", UPGRADE_REQUIRED)
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "")
    if not _is_key(key):
        raise Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64")
    authorize(environ)
    return str(key)


def accept_headers(key: str) -> list[tuple[str, str]]:
    """Return the headers of the 101 that accepts `key`."""
    digest = hashlib.sha1((key + WebSocketHandler.GUID).encode(), usedforsecurity=False).digest()
    accept = base64.b64encode(digest).decode()
    return [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", accept)]


def _is_key(key: str) -> bool:
    try:
        decoded = base64.b64decode(key.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return False
    return len(decoded) == 16
