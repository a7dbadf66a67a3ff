"""The drill's report, for people."""

from collections import Counter
from pathlib import Path

from commands.drill.plan import FAULTS
from commands.drill.verdict import DrillReport

SHOWN = 5


def text_of(verdict: DrillReport, seed: int, folder: Path | None) -> str:
    """Format the report in some twenty lines; ids and problems that should not be there are named."""
    lines = [
        f"drill of seed {seed}: {'PASSED' if verdict.passed else 'FAILED'} after {verdict.seconds:.0f} s",
        f"  emails       {verdict.accepted} accepted by FakeMail, {verdict.poison} of them poison",
        f"  ended as     {verdict.results} results, {verdict.dead} dead letters",
        f"  faults       {sum(verdict.kinds.values())}, of which {verdict.kills} kills and freezes of our processes",
        *(f"    {count:>5}  {kind:<16} {FAULTS[kind].help}" for kind, count in verdict.kinds.items()),
        f"  lost         {_ids(verdict.lost)}",
        f"  duplicated   {_ids(verdict.duplicated)}",
        f"  dead         {_ids(verdict.wrongly_dead)} but those of planted poison",
        f"  never sent   {_ids(verdict.unknown)}",
        f"  recovery     {_times(verdict.recovery_s)} from a kill to the next processed email",
        f"               {_times(verdict.new_mail_s)} from a kill to the first result of mail that came after it",
        f"  drained      {verdict.drain_s:.1f} s after the last fault",
        *(f"  PROBLEM      {problem}{_times_over(count)}" for problem, count in Counter(verdict.problems).items()),
    ]
    if folder is not None:
        lines.append(f"  kept         {folder}")
    return "\n".join(lines)


def _times_over(count: int) -> str:
    return f" ({count} times)" if count > 1 else ""


def _ids(ids: list[str]) -> str:
    if not ids:
        return "0"
    more = f" and {len(ids) - SHOWN} more" if len(ids) > SHOWN else ""
    return f"{len(ids)}: {', '.join(ids[:SHOWN])}{more}"


def _times(spread: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.2f} s" for name, value in spread.items()) or "unknown"
