"""Real HTTP servers for the tests in this folder: plain pywsgi, or a raw socket that answers with any bytes."""

import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.pywsgi import WSGIServer
from gevent.server import StreamServer


def _listener() -> socket.socket:
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # on Linux, accepted sockets inherit it
    return listener


@contextmanager
def serving(app: Callable[..., Any]) -> Iterator[str]:
    """Yield the base URL of a pywsgi server with this application."""
    listener = _listener()
    server = WSGIServer(listener, app, log=None)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop(timeout=0)


@contextmanager
def answering(converse: Callable[[socket.socket, bytes], None]) -> Iterator[str]:
    """Yield the base URL of a server that passes each connection and its first request's head to `converse`."""

    def handle(sock: Any, _address: Any) -> None:
        head = b""
        while b"\r\n\r\n" not in head and (data := sock.recv(65536)):
            head += data
        if head:
            converse(sock, head)

    listener = _listener()
    server = StreamServer(listener, handle)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.stop(timeout=0)
        gevent.sleep(0)


FLOOD = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
start, again = (text.encode("latin-1").decode("unicode_escape").encode("latin-1") for text in sys.argv[1:])
while True:
    sock, _ = listener.accept()
    try:
        sock.recv(65536)
        sock.sendall(start)
        while True:
            sock.sendall(again * (60000 // len(again)))
    except OSError:
        sock.close()
"""


@contextmanager
def flooding(start: bytes, again: bytes) -> Iterator[str]:
    """Yield the base URL of a server that sends `start`, and then `again` until the client disconnects.

    It runs in its own process: on our hub the server would have to wait at times, and so would give others their turn.
    """
    words = [text.decode("latin-1").encode("unicode_escape").decode() for text in (start, again)]
    with subprocess.Popen([sys.executable, "-c", FLOOD, *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()
