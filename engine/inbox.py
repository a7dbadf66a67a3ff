"""The inbox of every ServiceActor: pykka's queue, extended to notice stop requests at once and to answer after the end.

Made by ServiceActor (engine/actor.py). A busy actor must learn at once that it should stop, not when it reaches that
message; and an ask that arrives after the last message was handled must not hang (pykka checks that the actor is
alive before it queues a message).
"""

import queue
from typing import Any

from gevent.event import Event
from pykka import ActorDeadError
from pykka.messages import _ActorStop


class Inbox(queue.Queue[Any]):
    """`stop_asked` is set as soon as the actor is asked to stop or drain; `closed` is True once it has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.stop_asked = Event()
        self.closed = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Queue an envelope, or answer it if nobody will read it any more."""
        if isinstance(item.message, _ActorStop):
            self.stop_asked.set()
        if self.closed:
            _answer(item)
        else:
            super().put(item, block, timeout)

    def close(self) -> None:
        """Answer what is left, and from now on whatever arrives."""
        self.closed = True
        while not self.empty():
            _answer(self.get())


def _answer(envelope: Any) -> None:
    if envelope.reply_to is None:
        return
    if isinstance(envelope.message, _ActorStop):
        envelope.reply_to.set(None)
    else:
        error = ActorDeadError("the actor stopped before handling the message")
        envelope.reply_to.set_exception((ActorDeadError, error, None))
