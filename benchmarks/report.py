"""Writes RESULTS.md from results.json: one section per letter, ratios first, with goals beside the figures."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rig import spread

RESULTS = Path(__file__).with_name("RESULTS.md")
SMALL = 0.05

INTRODUCTION = """\
# Benchmark results

Written by `make bench` (`python -m benchmarks.run`): change the programs, not this file. [docs/performance.md](../docs/performance.md)
says what we learned from it. **The ratios within a run are the results**: contestants take turns, so that a noisy moment hits them all.
The absolute figures are those of one small shared machine. Figures are medians, with the minimum and the maximum in brackets.

Everybody does the same work: take a 1 KB email from Valkey (append-only, everysec), label it with a frozen function (its cost on this
machine is in (g)), commit its row to SQLite (write-ahead log, every commit flushed), and acknowledge it after the commit. Each contestant
is pinned to one core, its Valkey included; FakeMail and the clients are on the other. Files are in memory (`/dev/shm`): on a disk whose
flush takes 5 ms, a contestant that commits each message does at most 200 a second, while a batch pays for the flush only once.
"""


def write(results: dict[str, Any]) -> None:
    """Write the whole file."""
    parts = [INTRODUCTION]
    for name, section in SECTIONS.items():
        if name in results:
            found = results[name]
            parts.append("\n".join(section(found)))
            parts.append(f"*{found['machine']}; commit {found['commit']}, {found['at']}, took {found['took_s']} s*\n")
    RESULTS.write_text("\n".join(parts))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a Markdown table."""
    return ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)] + [""]


def _range(values: Sequence[float], digits: int = 0) -> str:
    found = spread(values)
    return f"{found['median']:,.{digits}f} ({found['min']:,.{digits}f} to {found['max']:,.{digits}f})"


def _share(ratio: dict[str, float]) -> str:
    """Format a ratio with its range over the rounds; a very small one gets one more digit."""
    digits = 2 if ratio["median"] >= SMALL else 3
    return f"{ratio['median']:.{digits}f} ({ratio['min']:.{digits}f} to {ratio['max']:.{digits}f})"


def _throughput(found: dict[str, Any]) -> Iterator[str]:
    rows = []
    for name, runs in found["runs"].items():
        rows.append(
            [
                name,
                _share(found["ratios"][name]),
                _range([run["per_s"] for run in runs]),
                _range([_cpu(run) for run in runs]),
            ]
        )
    yield from table(["", "relative to the loop", "emails per second", "CPU of all its processes, µs per email"], rows)


def _cpu(run: dict[str, Any]) -> float:
    """Return the CPU time of the contestant and its Valkey, which the machine's load affects less than elapsed time."""
    if "stages" in run:
        return float(sum(each["cpu_us"] for each in run["stages"].values()))
    return float(run["cpu_us"] + run["valkey_us"])


def abcd(found: dict[str, Any]) -> Iterator[str]:
    """Sections (a) to (d), and the budget (g)."""
    yield "## (a) the loop, (b) our stage, (c) the whole way, (d) the peers: the frozen work function\n"
    yield from _throughput(found)
    ratio = {name: each["median"] for name, each in found["ratios"].items()}
    goals = [["(b) the stage ÷ the loop", "≥ 0.75", f"{ratio['stage']:.2f}"]]
    goals.append(
        ["(c) the whole way ÷ the loop", "≥ 0.30", f"{max(ratio[name] for name in ratio if 'whole' in name):.2f}"]
    )
    for peer, goal in (("Dramatiq", "≥ 2.3"), ("Celery", "≥ 9")):
        if peer in ratio:
            goals.append([f"(b) the stage ÷ {peer}", goal, f"{ratio['stage'] / ratio[peer]:.1f}"])
    lags = [run["lag_p999_ms"] for name, runs in found["runs"].items() if "whole" in name for run in runs]
    goals.append(
        ["the hub's lag during a run of (c), p99.9 (upper end of its bucket)", "≤ 50 ms", f"{_range(lags)} ms"]
    )
    yield from table(["", "goal", "measured"], goals)
    yield "### (g) CPU and memory per email, by process\n"
    rows = []
    for name in ("loop", "stage"):
        last = found["runs"][name][-1]
        rows.append([name, "itself", f"{last['cpu_us']:.0f}", ""])
        if "work_us" in last:
            rows.append([name, "of which the frozen function", f"{last['work_us']:.0f}", ""])
        rows.append([name, "Valkey", f"{last['valkey_us']:.0f}", ""])
    for name, runs in found["runs"].items():
        for process, use in runs[-1].get("stages", {}).items():
            rows.append([name, process, f"{use['cpu_us']:.0f}", f"{use['peak_mib']:.0f}"])
    yield from table(["", "process", "CPU, µs per email", "peak resident, MiB"], rows)
    yield "![throughput](../docs/images/bench-throughput.png)\n"


def model(found: dict[str, Any]) -> Iterator[str]:
    """The section on the product's own model."""
    yield "## The same with the product's own model\n"
    yield from _throughput(found)


def doors(found: dict[str, Any]) -> Iterator[str]:
    """Section (e)."""
    yield "## (e) the webhook against a bare handler (pywsgi with TCP_NODELAY, one Redis SET, no checks)\n"
    rows = []
    for name, runs in found["runs"].items():
        columns = [_range([run[key] for run in runs], 1) for key in ("p50_ms", "p99_ms", "cpu_us")]
        rows.append(
            [
                name,
                _share(found["ratios"][name]),
                _range([run["per_s"] for run in runs]),
                *columns,
            ]
        )
    yield from table(["", "relative (goal ≥ 0.6)", "accepted per second", "p50, ms", "p99, ms", "CPU, µs"], rows)


def latencies(found: dict[str, Any]) -> Iterator[str]:
    """Section (f)."""
    yield "## (f) from a new email at FakeMail to its WebSocket event\n"
    yield "Goals: p99 ≤ 50 ms at 100 emails per second, ≤ 250 ms at 1,000. The figures include FakeMail's own commit and notification."
    backlog = max(run["backlog"] for runs in found["runs"].values() for run in runs)
    yield f"The first sync is of {backlog:,} emails and still under way at the end.\n"
    rows = [
        [
            name,
            *(_range([run[key] for run in runs], 1) for key in ("p50_ms", "p99_ms", "p99.9_ms", "max_ms")),
            str(sum(run["missing"] for run in runs)),
        ]
        for name, runs in found["runs"].items()
    ]
    yield from table(["emails", "p50, ms", "p99, ms", "p99.9, ms", "longest, ms", "missing"], rows)
    yield "![latency](../docs/images/bench-latency.png)\n"


def growth(found: dict[str, Any]) -> Iterator[str]:
    """Section (h)."""
    sizes = found["sizes"]
    yield "## (h) growth: by the number of stored emails\n"
    yield "Goals: throughput at 10^6 ≥ 0.9 of that at 10^4, `/stats` flat, `q=` under 100 ms. The stored emails were indexed before the stage ran; those that the stage added are being indexed while the queries run.\n"
    runs = found["runs"].values()
    rows = [["stage, relative to the first", *(_share(ratio) for ratio in found["ratios"].values())]]
    rows.append(["stage, emails per second", *(_range([run["per_s"] for run in each]) for each in runs)])
    rows.append(["stage, CPU µs per email", *(_range([_cpu(run) for run in each]) for each in runs)])
    rows.append(["database, MiB", *(f"{each['database_mib']:,.0f}" for each in sizes)])
    for query in sizes[0]["answers"]:
        answers = [each["answers"][query] for each in sizes]
        rows.append(
            [f"`{query}`, ms", *(f"{each['median_ms']:.1f} (longest {each['max_ms']:.1f})" for each in answers)]
        )
    yield from table(["", *(f"{each['stored']:,} stored" for each in sizes)], rows)


def fans(found: dict[str, Any]) -> Iterator[str]:
    """Section (i)."""
    yield "## (i) WebSocket fan-out at 100 emails per second, with one client stuck\n"
    yield "Goal: everybody else's p99 under 1 s with 1,000 clients.\n"
    rows = [
        [
            f"{run['clients']:,}",
            *(
                f"{run[key]:,.0f}"
                for key in ("p50_ms", "p99_ms", "max_ms", "events", "kib_a_client", "kib_a_client_later")
            ),
        ]
        for run in found["clients"]
    ]
    yield from table(
        [
            "clients",
            "p50, ms",
            "p99, ms",
            "longest, ms",
            "events to each",
            "KiB per client",
            "KiB per client after the run",
        ],
        rows,
    )


def two_workers(found: dict[str, Any]) -> Iterator[str]:
    """Section (j)."""
    ratio = found["ratios"]["2"]
    yield "## (j) two worker processes against one, on the processing stage\n"
    yield f"{_share(ratio)} times as fast (goal: ≥ 1.7). Each has one core; Valkey runs wherever there is room.\n"


def million(found: dict[str, Any]) -> Iterator[str]:
    """Section (k)."""
    yield "## (k) a million emails, the whole way\n"
    yield f"{found['emails']:,} emails in {found['seconds']:,.0f} s ({found['per_s']:,.0f} per second), with FakeMail on the same two cores. Books: {found['audit']}.\n"
    rows = [[name, f"{use['cpu_us']:.0f}", f"{use['peak_mib']:.0f}"] for name, use in found["stages"].items()]
    yield from table(["process", "CPU, µs per email", "peak resident, MiB"], rows)


SECTIONS = {
    "abcd": abcd,
    "m": model,
    "e": doors,
    "f": latencies,
    "h": growth,
    "i": fans,
    "j": two_workers,
    "k": million,
}
