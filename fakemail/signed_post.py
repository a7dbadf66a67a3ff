"""Signed POSTs to a webhook over kept connections, by Standard Webhooks (https://www.standardwebhooks.com).

Used by the simulator's notifications (notifier.py) and by outgoing webhooks (actors/posting.py).
"""

from collections.abc import Sequence
from urllib.parse import urlsplit

from fakemail.signature import sign
from fakemail.transport import Connections, Resolve, Response, Timeouts

MAX_ANSWER_BYTES = 64 * 1024


class SignedPost:
    """Posts to one URL; raises ValueError if it is not http or https. `resolve` says where it may connect to."""

    def __init__(self, url: str, timeouts: Timeouts, resolve: Resolve | None = None) -> None:
        self._connections = Connections(url, resolve)
        parts = urlsplit(url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._head = (
            f"POST {target} HTTP/1.1\r\nHost: {self._connections.host_header}\r\nUser-Agent: email-processor\r\n"
            "Content-Type: application/json\r\nAccept-Encoding: identity\r\n"
        )
        self._timeouts = timeouts

    def send(self, message_id: str, at: float, body: bytes, secrets: Sequence[str]) -> Response:
        """Send one message with a signature by each of the secrets; raises TransportError if no answer comes."""
        head = (
            f"{self._head}Content-Length: {len(body)}\r\nwebhook-id: {message_id}\r\nwebhook-timestamp: {int(at)}\r\n"
        )
        if signatures := " ".join(sign(secret, message_id, int(at), body) for secret in secrets):
            head += f"webhook-signature: {signatures}\r\n"
        request = f"{head}\r\n".encode() + body
        return self._connections.exchange(request, max_bytes=MAX_ANSWER_BYTES, timeouts=self._timeouts)

    def close(self) -> None:
        """Close the idle connections."""
        self._connections.close()
