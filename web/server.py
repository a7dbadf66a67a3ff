"""The hardened HTTP and WebSocket server: gevent's pywsgi and gevent-websocket, made fit for the open internet.

The waiting room, a worker's status and the simulator call `serve` with a WSGI application; a front calls
`HardenedServer.shutdown` at the end. web/limits.py bounds what a request may cost, web/framing.py and
web/server_body.py read it, web/server_handler.py and web/websocket.py run the connection.
"""

import errno
import logging
import os
import socket as std_socket
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket
from gevent.event import Event
from gevent.pywsgi import WSGIServer

from engine.listening import bound, refused
from web.limits import Door, Limits, fit_descriptors
from web.server_body import BodyBudget, BodyCap, WsgiApp
from web.server_handler import HardenedHandler
from web.websocket import LiveSocket
from web.websocket_handshake import Authorize

__all__ = ["HardenedServer", "serve"]

log = logging.getLogger(__name__)

BACKLOG = 4096
OUT_OF_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
GONE_BEFORE_ACCEPT = {errno.ECONNABORTED, errno.EPROTO, errno.EPERM}
DEFER_ACCEPT: int | None = getattr(std_socket, "TCP_DEFER_ACCEPT", None)
USER_TIMEOUT: int | None = getattr(std_socket, "TCP_USER_TIMEOUT", None)
ACCEPT_PAUSE_S = 0.1
WARN_EVERY_S = 10.0
RESERVED_PATH = "/health"


class HardenedServer(WSGIServer):
    """A running server. `port` is the actual one, `door` counts the connections, `draining` means that it stops."""

    handler_class = HardenedHandler
    max_accept = 16  # at once: more would delay the connections inside during a flood

    def __init__(
        self,
        listener: socket.socket,
        host: str,
        app: WsgiApp,
        limits: Limits,
        *,
        authorize_websocket: Authorize,
        on_websocket: Callable[[LiveSocket], None] | None,
    ) -> None:
        environ = {"SERVER_NAME": host, "wsgi.multithread": True}
        super().__init__(listener, app, log=None, error_log=log, environ=environ)
        self.limits = limits
        self.door = Door(limits)
        self.authorize_websocket = authorize_websocket
        self.on_websocket = on_websocket
        self.draining = False
        self._warn_again_at = 0.0
        self._empty = Event()
        self._handlers: dict[HardenedHandler, Any] = {}

    @property
    def port(self) -> int:
        """The port listened on, also if 0 was requested."""
        return int(self.address[1])

    def do_read(self) -> Any:
        """Accept one connection; if file descriptors run out, pause accepting instead of failing."""
        try:
            accepted = super().do_read()
            if accepted is not None:
                accepted[0].setsockopt(std_socket.IPPROTO_TCP, std_socket.TCP_NODELAY, 1)
                if USER_TIMEOUT is not None:  # the kernel drops what the client does not take, also after close()
                    milliseconds = int(self.limits.write_seconds * 1000)
                    accepted[0].setsockopt(std_socket.IPPROTO_TCP, USER_TIMEOUT, milliseconds)
            return accepted
        except OSError as error:
            if error.errno in OUT_OF_DESCRIPTORS:
                self._pause_accepting(os.strerror(error.errno))
            elif error.errno not in GONE_BEFORE_ACCEPT:
                raise
            return None

    def handle(self, sock: Any, address: Any) -> None:
        """Serve one connection in its own greenlet."""
        handler = self.handler_class(sock, address, self)
        self._handlers[handler] = gevent.getcurrent()
        handler.handle()

    def left(self, handler: HardenedHandler) -> None:
        """Forget a handler; it calls this as its last act."""
        self.door.leave(handler)
        self._handlers.pop(handler, None)
        if not self._handlers:
            self._empty.set()

    def is_reserved(self, path: str) -> bool:
        """Return whether the path is answered even when all slots are taken."""
        return path == RESERVED_PATH or path.startswith(f"{RESERVED_PATH}/")

    def shutdown(self, grace: float) -> None:
        """Stop accepting, let running requests finish, close WebSockets with 1001; return within `grace` seconds."""
        deadline = time.monotonic() + grace
        self.draining = True
        self.close()
        self._empty.clear()
        for handler in list(self._handlers):
            handler.let_go()
        if self._handlers and not self._empty.wait(max(0.0, deadline - time.monotonic())):
            log.warning("Stopped with %d connections still busy", len(self._handlers))
        for handler, greenlet in list(self._handlers.items()):
            handler.drop()
            greenlet.kill(block=False)

    def _pause_accepting(self, reason: str) -> None:
        now = time.monotonic()
        if now >= self._warn_again_at:
            log.warning("No new connections for a moment: %s", reason)
            self._warn_again_at = now + WARN_EVERY_S
        self.stop_accepting()
        gevent.spawn_later(ACCEPT_PAUSE_S, self._accept_again)

    def _accept_again(self) -> None:
        if self.started:
            self.start_accepting()


def serve(
    app: WsgiApp,
    host: str,
    port: int,
    limits: Limits | None = None,
    *,
    body_cap: BodyCap | None = None,
    authorize_websocket: Authorize = lambda _environ: None,
    on_websocket: Callable[[LiveSocket], None] | None = None,
    setting: str = "PORT",
) -> HardenedServer:
    """Start serving `app` and return at once; raises SettingsError, naming `setting`, if the address is unavailable.

    `body_cap` is bytes, or a function of the environ (see web.server_body.cap_by_path). `on_websocket` runs in the
    connection's greenlet until the client is done; without it there are no WebSockets. `authorize_websocket` raises
    Refusal before the handshake if the client may not connect.
    """
    wanted = limits or Limits()
    limits = fit_descriptors(wanted)
    if limits != wanted:
        log.warning("Few open files allowed: %d connections, %d WebSockets", limits.connections, limits.websockets)
    guarded = BodyBudget(app, limits.body_bytes if body_cap is None else body_cap, limits)
    server = HardenedServer(
        listen(host, port, limits.deferred_seconds, setting),
        host,
        guarded,
        limits,
        authorize_websocket=authorize_websocket,
        on_websocket=on_websocket,
    )
    server.start()
    return server


def listen(host: str, port: int, deferred_seconds: int = 0, setting: str = "PORT") -> socket.socket:
    """Return a listening socket; raises SettingsError with a one-line reason.

    Where the system can (Linux), the kernel hands over a connection with its first byte, or after `deferred_seconds`.
    """
    sock = socket.socket(fileno=bound(host, port, setting).detach())
    try:
        if DEFER_ACCEPT is not None:
            sock.setsockopt(std_socket.IPPROTO_TCP, DEFER_ACCEPT, deferred_seconds)
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise refused(host, port, setting, error) from None
    return sock
