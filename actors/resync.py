"""The task `resync`: lists a source's history again from a given place and enters what the books do not know, as low priority.

Run by actors/tasks.py. Neither cursor nor floor moves. A restart lists again from the same place: known ids collapse, and how many
were recovered is counted in the transaction that enters them.
"""

from collections.abc import Iterator, Mapping

from gevent.event import Event

from actors.following import SLICE, History, slices
from actors.tasks import Job, Run
from engine import clock
from engine.mailbox import BACKGROUND
from storage.books import Books
from storage.records import Look

KIND = "resync"


def resync(*, clients: Mapping[str, History], books: Books, bell: Event) -> Job:
    """The job; its tasks have the params `source` and `from` (a history id), and count `recovered`."""

    def job(run: Run) -> Iterator[None]:
        source = books.source(run.task.params["source"])
        listing = clients[source.name].list_emails(run.task.params["from"], run.goes_on)
        run.advance(total=len(listing))
        yield
        look, done = Look(KIND, clock.now(), listed=len(listing)), 0
        for part in slices(listing, SLICE):
            done += len(part)
            new = books.enter(source, part, look, lane=BACKGROUND, also=run.counted(_recovered, done=done))
            if new:
                bell.set()
            yield

    return job


def _recovered(new: int) -> Mapping[str, int]:
    return {"recovered": new}
