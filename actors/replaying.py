"""The task `replay`: reopens the dead letters of a filter in small batches, at a given rate and low priority.

Run by actors/tasks.py. It goes from the newest letter at the time of the request down to the oldest, so it ends, and
letters of emails that fail again are not replayed twice. Each batch is counted in the transaction that reopens it.
"""

from collections.abc import Iterator, Mapping, Sequence

from gevent.event import Event

from actors.tasks import Job, Run
from engine.mailbox import BACKGROUND
from storage.dead_letters import DeadLetters
from storage.keys import is_hashed
from storage.records import DeadLetter

KIND = "replay"
BATCH = 500


def replay(*, letters: DeadLetters, bell: Event) -> Job:
    """Return the job.

    Params: `filter` as DeadLetters.page takes it, `below` (a letter id), `per_second`. Counts `replayed`.
    """

    def job(run: Run) -> Iterator[float]:
        params = run.task.params
        size = max(1, min(BATCH, params["per_second"]))
        before, done = run.task.position or params["below"], run.task.done
        run.advance(total=done + letters.count(before, **params["filter"]))
        while True:
            page, before = letters.page(before, size, **params["filter"])
            done += len(page)
            letters.replay(fetchable(page), lane=BACKGROUND, also=run.counted(_replayed, done=done, position=before))
            bell.set()
            if before is None:
                return
            yield size / params["per_second"]

    return job


def _replayed(opened: int) -> Mapping[str, int]:
    return {"replayed": opened}


def fetchable(letters: Sequence[DeadLetter]) -> list[int]:
    """Return the ids of the letters that a replay can help; of an email with an overlong id only a hash is kept."""
    return [each.id for each in letters if not is_hashed(each.key)]
