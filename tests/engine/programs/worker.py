"""A worker process on a real store, for tests: `worker.py URL NAMESPACE`. A key kill-… or freeze-… does that to it."""

import sys

from gevent import monkey

monkey.patch_all()

import os  # noqa: E402  (after the patch)
import signal  # noqa: E402
import time  # noqa: E402
from collections.abc import Sequence  # noqa: E402

import gevent  # noqa: E402

from engine.child import child_started  # noqa: E402
from engine.events import Bus  # noqa: E402
from engine.hub import HubWatch, crash  # noqa: E402
from engine.mailbox import Delivery  # noqa: E402
from engine.mailbox_actor import Context, MailboxActor, Outcome  # noqa: E402
from engine.supervision import ChildSpec  # noqa: E402
from engine.supervisor import Supervisor  # noqa: E402
from storage.redis_mailbox import RedisMailboxes  # noqa: E402
from tests.engine.helpers import MemoryLedger  # noqa: E402


class Worker(MailboxActor):
    """Lets a message's key kill or freeze its process."""

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        outcome = Outcome()
        for delivery in batch:
            self.suffer(delivery.envelope.key)
            outcome.done(delivery, b"done " + delivery.envelope.key.encode())
        return outcome

    def suffer(self, key: str) -> None:
        if key.startswith("kill"):
            os.kill(os.getpid(), signal.SIGKILL)
        while key.startswith("freeze"):
            time.perf_counter()


def main(url: str, namespace: str) -> None:
    child = child_started(os.environ)
    bus = Bus()
    HubWatch(bus, timeout=1.5, heartbeat=child.heartbeat).start()
    store = RedisMailboxes(url, namespace=namespace, rooms={}, turn=0.2)
    context = Context(store, "n/worker", MemoryLedger(), bus, after_crash=child.after_crash)
    pool = ChildSpec("worker", lambda name: Worker.start(context, name=name, mailbox="work", count=10), count=3)
    top = Supervisor.start(name="top", specs=[pool], escalate=crash, bus=bus)
    stopped = gevent.event.Event()
    gevent.signal_handler(signal.SIGTERM, stopped.set)
    stopped.wait()
    top.stop(timeout=5)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
