"""The drill's verdict: compares the log of accepted ids with the database's own tables, the API and the event log.

Lost: accepted, but neither a result nor a dead letter. Duplicated: counted, shown or published more than once. Called
once all faults are over and the system has drained.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from commands.drill.evidence import BOOKS, DEAD, RESULTS, Evidence
from commands.drill.faults import Struck
from commands.drill.follower import Follower
from commands.drill.load import SentLog
from commands.drill.plan import FAULTS
from commands.drill.system import System

PAGE = 100


@dataclass
class DrillReport:
    """The outcome. `lost`, `duplicated`, `wrongly_dead` and `unknown` list ids; `problems` are complete statements."""

    accepted: int = 0
    results: int = 0
    dead: int = 0
    poison: int = 0
    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrongly_dead: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)
    kills: int = 0
    recovery_s: dict[str, float] = field(default_factory=dict)
    new_mail_s: dict[str, float] = field(default_factory=dict)
    drain_s: float = 0.0
    seconds: float = 0.0

    @property
    def passed(self) -> bool:
        """Whether nothing was lost or counted twice, and nothing but poison died."""
        return not (self.lost or self.duplicated or self.wrongly_dead or self.unknown or self.problems)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for machines, with the first hundred ids of each kind."""
        cut = {name: value[:100] if isinstance(value, list) else value for name, value in asdict(self).items()}
        return {**cut, "passed": self.passed}


def judge(
    system: System, evidence: Evidence, sent_log: SentLog, follower: Follower, struck: Sequence[Struck], *, events: bool
) -> DrillReport:
    """Check every source of evidence.

    `events` is False if Redis lost data in this run, so that the event log may not be exact.
    """
    results = evidence.rows(RESULTS)
    counts = Counter(str(key) for key, _, _ in results)
    dead = {str(key) for (key,) in evidence.rows(DEAD)}
    books = {str(key): int(count) for key, count in evidence.rows(BOOKS)}
    found = DrillReport(accepted=len(sent_log.ids), results=len(counts), dead=len(dead), poison=len(sent_log.poison))
    found.lost = sorted(sent_log.ids - counts.keys() - dead)
    twice = {key for counted in (counts, books) for key, count in counted.items() if count > 1} | counts.keys() & dead
    found.duplicated = sorted(twice)
    found.wrongly_dead = sorted(dead - sent_log.poison)
    found.unknown = sorted(books.keys() - sent_log.ids)
    _poison(found, sent_log, dead)
    _api(found, system, counts, dead)
    if events:
        _events(found, follower, counts, dead)
    _times(found, struck, results)
    return found


def _poison(found: DrillReport, sent_log: SentLog, dead: set[str]) -> None:
    alive = sent_log.poison - dead
    if alive:
        found.problems.append(f"planted poison that is not a dead letter: {', '.join(sorted(alive)[:5])}")


def _api(found: DrillReport, system: System, counts: Counter[str], dead: set[str]) -> None:
    audit, stats = system.get("/audit"), system.get("/stats")
    expected = {"listed": found.accepted, "results": len(counts), "dead": len(dead), "queued": 0, "retrying": 0}
    expected |= {"discarded": 0, "erased": 0, "unaccounted": 0}
    wrong = {name: (audit or {}).get(name) for name, value in expected.items() if (audit or {}).get(name) != value}
    if wrong:
        found.problems.append(f"/audit says {wrong}, the database { ({name: expected[name] for name in wrong}) }")
    classes = sum(stats["emails_by_classification"].values()) if stats else None
    total = stats["total_emails_processed"] if stats else None
    if not total == classes == len(counts):
        found.problems.append(f"/stats says {total} processed, {classes} over all classes; the database {len(counts)}")
    shown = _all_of(system, "/results")
    _compare(found, "/results", shown, set(counts))
    _compare(found, "/dead-letters", _all_of(system, "/dead-letters"), dead)


def _compare(found: DrillReport, where: str, shown: Counter[str], expected: set[str]) -> None:
    twice = [key for key, count in shown.items() if count > 1]
    found.duplicated += sorted(set(twice) - set(found.duplicated))
    if shown.keys() != expected:
        missing, more = len(expected - shown.keys()), len(shown.keys() - expected)
        found.problems.append(f"{where} lacks {missing} ids and has {more} too many")


def _all_of(system: System, path: str) -> Counter[str]:
    shown: Counter[str] = Counter()
    cursor: dict[str, Any] = {}
    while True:
        page = system.get(path, timeout=30, limit=PAGE, **cursor) or {"items": [], "next_cursor": None}
        shown.update(item["email_id"] for item in page["items"])
        if not page["next_cursor"]:
            return shown
        cursor = {"cursor": page["next_cursor"]}


def _events(found: DrillReport, follower: Follower, counts: Counter[str], dead: set[str]) -> None:
    if follower.gaps or follower.backwards:
        found.problems.append(f"the event log had {follower.gaps} gaps, and went back {follower.backwards} times")
    for kind, told, expected in (("process", follower.processed, set(counts)), ("dead", follower.dead, dead)):
        lost, doubled = expected - told.keys(), [key for key, count in told.items() if count > 1]
        if lost:
            found.problems.append(f"{len(lost)} `{kind}` events were lost, such as that of {min(lost)}")
        if doubled:
            found.problems.append(f"{len(doubled)} `{kind}` events were told twice, such as that of {min(doubled)}")


def _times(found: DrillReport, struck: Sequence[Struck], results: Sequence[tuple[Any, ...]]) -> None:
    """Measure the times from each kill to the next result, and to the first result of mail that came after it."""
    found.kinds = dict(Counter(each.kind for each in struck).most_common())
    kills = [each for each in struck if FAULTS[each.kind].kill]
    found.kills = len(kills)
    ends = sorted(float(at) for _, at, _ in results)
    arrivals = sorted((float(at) - float(total) / 1000, float(at)) for _, at, total in results if total is not None)
    earliest = _earliest_from([at for _, at in arrivals])
    begins = [began for began, _ in arrivals]
    found.recovery_s = _spread([_after(each.at, ends, ends) for each in kills])
    found.new_mail_s = _spread([_after(each.at, begins, earliest) for each in kills])


def _after(moment: float, keys: Sequence[float], values: Sequence[float]) -> float | None:
    place = bisect_right(keys, moment)
    return values[place] - moment if place < len(keys) else None


def _earliest_from(values: Sequence[float]) -> list[float]:
    """Return for each position the least value at or after it."""
    least, found = math.inf, []
    for value in reversed(values):
        least = min(least, value)
        found.append(least)
    return found[::-1]


def _spread(values: Sequence[float | None]) -> dict[str, float]:
    known = sorted(value for value in values if value is not None)
    if not known:
        return {}
    places = {"median": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {name: round(known[min(len(known) - 1, int(len(known) * share))], 2) for name, share in places.items()}
