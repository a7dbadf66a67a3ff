"""The task `reprocess`: slowly labels stored results again, oldest first, with today's model and rules.

Run by actors/tasks.py. It never fetches, changes no state and never overwrites a person's label. Changes are counted in
the transaction that makes them, and published as `label` events. A dry run only counts.
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import msgspec

from actors.deciding import Deciders, to_email
from actors.events import label_event
from actors.slices import slices, text_size
from actors.tasks import Job, Run
from engine.errors import DependencyTrouble
from engine.mailbox import MailboxStore
from engine.turns import breathe
from storage.labels import effective
from storage.reading import EmailFilter
from storage.records import StoredResult
from storage.reprocessing import Judged, Judgement, Reprocessing
from storage.tasks import Step

KIND = "reprocess"
PAGE = 64
REST = 1.0
"""Rest this many times as long as the work took: new mail goes first."""

LONGEST_REST_S = 1.0
TELL_AGAIN_S = 1.0


def reprocess(*, reprocessing: Reprocessing, deciders: Deciders, mailboxes: MailboxStore) -> Job:
    """Return the job. Params: `filter` (an EmailFilter), `dry_run`, and the model and rules of the time of the request.

    Counts `changed`, and `x_to_y` for each pair of labels.
    """

    def job(run: Run) -> Iterator[float]:
        deciders.read()  # the request often follows a change that this process has not heard of yet
        wanted, dry = msgspec.convert(run.task.params["filter"], EmailFilter), run.task.params["dry_run"]
        at, done = run.task.position or _begin(run, reprocessing, wanted, dry=dry), run.task.done
        while page := reprocessing.page(wanted, at["after"], at["up_to"], PAGE):
            began = time.monotonic()
            at, done = {**at, "after": page[-1].id}, done + len(page)
            judgements = judge_again(deciders, page)
            if dry:
                run.tasks.advance(run.task.id, run.runner, Step(done, None, at, _changes(page, judgements)))
            else:
                also = run.counted(partial(_moved, _labels(page)), done=done, position=at)
                changed = reprocessing.apply(judgements, at["generation"], also)
                yield from _told(mailboxes, [label_event(each, time.time()) for each in changed])
            yield min((time.monotonic() - began) * REST, LONGEST_REST_S)

    return job


def _told(mailboxes: MailboxStore, events: Sequence[bytes]) -> Iterator[float]:
    """Publish the changes; while Redis is away, retry, since the next page must not begin before."""
    while events:
        try:
            return mailboxes.tell(events)
        except DependencyTrouble:
            yield TELL_AGAIN_S
    return None


def _begin(run: Run, reprocessing: Reprocessing, wanted: EmailFilter, *, dry: bool) -> dict[str, int]:
    """Begin a pass: store its generation with its position, so that it is still the same pass after a restart."""
    at = {"generation": 0 if dry else reprocessing.begin(), "after": 0, "up_to": reprocessing.newest()}
    run.advance(total=reprocessing.count(wanted, 0, at["up_to"]), position=at)
    return at


def judge_again(deciders: Deciders, page: Sequence[Judged]) -> list[Judgement]:
    """Return what model and rules say about stored emails now; yields to other greenlets between slices."""
    judgements: list[Judgement] = []
    for part in slices(page, lambda each: text_size(each.content)):
        if judgements:
            breathe()
        judgements += _judge_again(deciders, part)
    return judgements


def _judge_again(deciders: Deciders, page: Sequence[Judged]) -> list[Judgement]:
    emails = [to_email(each.content) for each in page]
    found, rulings = deciders.classify(emails), deciders.judge(emails)
    return [
        Judgement(
            id=each.id,
            label=said.label,
            confidence=said.confidence,
            probabilities=said.probabilities,
            model_version=said.model_version,
            below_threshold=said.below_threshold,
            runner_up=said.runner_up,
            rule_label=ruling.classification if ruling else None,
            rule_id=ruling.rule_id if ruling else None,
        )
        for each, said, ruling in zip(page, found, rulings, strict=True)
    ]


def _changes(page: Sequence[Judged], judgements: Sequence[Judgement]) -> Mapping[str, int]:
    pairs = [
        (each.label, effective(said.label, said.rule_label, each.person_label)[0])
        for each, said in zip(page, judgements, strict=True)
    ]
    return _tally([pair for pair in pairs if pair[0] != pair[1]])


def _labels(page: Sequence[Judged]) -> Mapping[int, str]:
    return {each.id: each.label for each in page}


def _moved(before: Mapping[int, str], changed: Sequence[StoredResult]) -> Mapping[str, int]:
    """Count the actual changes; `before` maps ids to the labels until now."""
    return _tally([(before[each.id], each.label) for each in changed])


def _tally(pairs: Sequence[tuple[str, str]]) -> Mapping[str, int]:
    return Counter({"changed": len(pairs)}) + Counter(f"{before}_to_{after}" for before, after in pairs)
