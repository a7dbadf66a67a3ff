"""The task `resync`: lists a source's history again from a given place, and enters unknown ids at low priority.

Run by actors/tasks.py. Neither cursor nor floor moves. After a restart it lists again from the same place: known ids
change nothing, and recovered ones are counted in the transaction that enters them.
"""

from collections.abc import Iterator, Mapping

from gevent.event import Event

from actors.following import SLICE, History, id_slices
from actors.tasks import Job, Run
from engine import clock
from engine.mailbox import BACKGROUND
from storage.books import Books
from storage.records import Look

KIND = "resync"


def resync(*, clients: Mapping[str, History], books: Books, bell: Event) -> Job:
    """Return the job. Params: `source` and `from` (a history id). Counts `recovered`."""

    def job(run: Run) -> Iterator[None]:
        source = books.source(run.task.params["source"])
        listing = clients[source.name].list_emails(run.task.params["from"], run.goes_on)
        run.advance(total=len(listing))
        yield
        look, done = Look(KIND, clock.now(), listed=len(listing)), 0
        for part in id_slices(listing, SLICE):
            done += len(part)
            new = books.enter(source, part, look, lane=BACKGROUND, also=run.counted(_recovered, done=done))
            if new:
                bell.set()
            yield

    return job


def _recovered(new: int) -> Mapping[str, int]:
    return {"recovered": new}
