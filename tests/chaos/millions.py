"""`python -m tests.chaos.millions PORT [COUNT]`: a FakeMail with any number of emails, generated on request.

For the scale script: it stores nothing, so that a million emails cost nothing, and streams a listing of any length.
`POST /grow` with {"count": N} adds N emails and notifies nobody. It runs in its own process.
"""

import asyncio
import sys
from typing import cast

import msgspec

from fakemail.template_emails import TEMPLATE_EMAILS

PIECE = 5_000
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class FakeMail(asyncio.Protocol):
    """One connection; requests are handled one after the other."""

    newest = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin a connection."""
        self.transport = cast("asyncio.Transport", transport)
        self.read = b""
        self.writable = asyncio.Event()
        self.writable.set()

    def pause_writing(self) -> None:
        """Stop writing: the client reads too slowly."""
        self.writable.clear()

    def resume_writing(self) -> None:
        """Continue writing."""
        self.writable.set()

    def connection_lost(self, _error: Exception | None) -> None:
        """Wake a writer, so that it notices."""
        self.writable.set()

    def data_received(self, data: bytes) -> None:
        """Answer once a whole request has arrived."""
        self.read += data
        head, end, rest = self.read.partition(b"\r\n\r\n")
        if not end:
            return
        length = next((int(x[15:]) for x in head.split(b"\r\n") if x.lower().startswith(b"content-length:")), 0)
        if len(rest) < length:
            return
        self.read = rest[length:]
        self.answer(head.split(b" ", 2)[1].decode(), rest[:length])

    def answer(self, path: str, body: bytes) -> None:
        """Answer as FakeMail does."""
        if path.startswith("/email/"):
            return self.send(email(int(path.rsplit("-", 1)[1])))
        if path.startswith("/emails?"):
            asyncio.ensure_future(self.list(int(path.rsplit("=", 1)[1])))  # noqa: RUF006  (it ends with its connection)
            return None
        if path == "/grow":
            FakeMail.newest += msgspec.json.decode(body)["count"]
        return self.send({"history_id": FakeMail.newest, "status": "ok"})

    def send(self, value: object) -> None:
        """Send a short answer."""
        body = msgspec.json.encode(value)
        self.transport.write(OK + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def list(self, after: int) -> None:
        """Stream all ids after `after`."""
        self.transport.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
        self.chunk(b"[")
        for start in range(after + 1, FakeMail.newest + 1, PIECE):
            end = min(start + PIECE, FakeMail.newest + 1)
            comma = b"" if start == after + 1 else b","
            self.chunk(comma + b",".join(b'"mail-of-a-million-%d"' % number for number in range(start, end)))
            await self.writable.wait()
            await asyncio.sleep(0)
        self.chunk(b"]")
        self.transport.write(b"0\r\n\r\n")

    def chunk(self, data: bytes) -> None:
        """Send one piece of a long answer."""
        self.transport.write(b"%x\r\n%s\r\n" % (len(data), data))


def email(number: int) -> dict[str, object]:
    """Return a template email, made distinct by its number."""
    template = TEMPLATE_EMAILS[number % len(TEMPLATE_EMAILS)]
    return {
        "id": f"mail-of-a-million-{number}",
        "subject": f"{template['subject']} ({number})",
        "body": template["body"],
        "sender": f"somebody{number % 997}@example.org",
        "history_id": number,
    }


async def serve(port: int) -> None:
    """Serve until killed."""
    server = await asyncio.get_running_loop().create_server(FakeMail, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    FakeMail.newest = int(sys.argv[2]) if sys.argv[2:] else 0
    asyncio.run(serve(int(sys.argv[1])))
