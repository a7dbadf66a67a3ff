"""`run.py drill`: starts a system and its FakeMail in a temporary folder, loads it, injects faults, and counts.

`run` reads as a table of contents. The exit code is 0 only if nothing was lost or counted twice, and nothing but the
planted poison died. The drill ends everything that it starts.
"""

import argparse
import json
import random
import shutil
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from commands.arguments import add_json, database_url, number, url, whole
from commands.client import CommandError
from commands.drill.evidence import Evidence
from commands.drill.faults import Faults
from commands.drill.follower import Follower
from commands.drill.load import Load, SentLog
from commands.drill.plan import FAULTS, Planned, choose, draw
from commands.drill.poison import VARIABLE
from commands.drill.proxy import Proxy
from commands.drill.report import text_of
from commands.drill.system import DrillError, FakeMail, System, fakemail, system
from commands.drill.verdict import DrillReport, judge
from settings import Settings

DRAIN_S = 60.0
POISON_S = 120.0
"""Seconds without progress after which the last emails count as failed; longer while poison is on its way to its dead
letter, through three hung processes of ten seconds each and their restarts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("--seed", type=whole(0), default=None, help="the plan's seed (default: random, and printed)")
    parser.add_argument(
        "--minutes", type=number(0, 100_000), default=5.0, help="how long faults strike (default %(default)s)"
    )
    parser.add_argument(
        "--emails", type=whole(0), default=10_000, help="how many emails are sent (default %(default)s)"
    )
    parser.add_argument(
        "--pace",
        type=number(0.1, 100_000),
        default=2.5,
        help="seconds between two faults on average (default %(default)s)",
    )
    parser.add_argument("--poison", type=whole(0), default=3, help="how many emails are poison (default %(default)s)")
    parser.add_argument(
        "--faults", default="default", help=f"default, kills, or some of {', '.join(FAULTS)} with commas between"
    )
    parser.add_argument(
        "--redis",
        type=url("redis", "rediss", "unix"),
        metavar="URL",
        help="a Redis for the drill alone (default: the embedded Valkey)",
    )
    parser.add_argument(
        "--database",
        type=database_url,
        metavar="URL",
        help="an empty database for the drill alone (default: SQLite)",
    )
    add_json(parser)
    parser.add_argument("--keep", action="store_true", help="keep the temporary folder, with data and logs")


def run(args: argparse.Namespace, _settings: Settings) -> int:
    """Run the drill; return 0 if the books balance."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what was started is ended
    seed = random.SystemRandom().randrange(1_000_000) if args.seed is None else args.seed
    folder = Path(tempfile.mkdtemp(prefix="drill-"))
    try:
        verdict = _drill(args, seed, folder)
    except DrillError as error:
        raise CommandError(f"the drill with seed {seed} was aborted: {error}; its logs are in {folder}") from error
    if verdict.passed and not args.keep:
        shutil.rmtree(folder, ignore_errors=True)
    kept = folder if folder.exists() else None
    print(json.dumps({"seed": seed, **verdict.as_dict()}) if args.json else text_of(verdict, seed, kept))
    return 0 if verdict.passed else 1


def _drill(args: argparse.Namespace, seed: int, folder: Path) -> DrillReport:
    began = time.monotonic()
    rng = random.Random(seed)
    with ExitStack() as stack:
        mail = fakemail(folder / "fakemail")
        stack.callback(mail.stop)
        mail.start()
        mail.ready()
        proxy = _proxy(args.redis, stack)
        drilled = _system(args, folder, mail, proxy)
        evidence = Evidence(drilled.environ.get("DATABASE_URL") or f"sqlite:///{folder}/system/data/emails.db")
        if not evidence.is_new():
            raise CommandError("--database: it is not empty, and a drill needs one of its own")
        kinds = choose(args.faults, {"url" if args.redis else "embedded", evidence.kind})
        stack.callback(drilled.stop)
        drilled.start()
        drilled.ready()
        sent_log = SentLog(folder / "sent.jsonl")
        stack.callback(sent_log.close)
        follower = Follower(drilled.url)
        stack.callback(follower.stop)
        load = Load(mail, sent_log, rng, emails=args.emails, seconds=args.minutes * 60, poison=args.poison)
        faults = Faults(drilled, mail, evidence, redis_url=args.redis, proxy=proxy, rng=rng)
        follower.start()
        load.start()
        _strike(draw(kinds, args.minutes * 60, args.pace, rng), faults, sent_log)
        faults.end_all()
        load.finish(600)
        drain = _drain(drilled, sent_log, faults)
        _catch_up(follower, sent_log)
        verdict = judge(drilled, evidence, sent_log, follower, faults.struck, events="flush" not in kinds)
        verdict.problems += faults.complaints
        verdict.drain_s = round(drain, 1)
    verdict.seconds = round(time.monotonic() - began, 1)
    return verdict


def _proxy(url: str | None, stack: ExitStack) -> Proxy | None:
    if url is None:
        return None
    proxy = Proxy(url)
    stack.callback(proxy.stop)
    return proxy


def _system(args: argparse.Namespace, folder: Path, mail: FakeMail, proxy: Proxy | None) -> System:
    urls = {"REDIS_URL": proxy.url if proxy else "", "DATABASE_URL": args.database or ""}
    return system(folder / "system", mail.url, **urls, **{VARIABLE: "1" if args.poison else ""})


def _strike(plan: list[Planned], faults: Faults, sent_log: SentLog) -> None:
    """Carry out the plan; after each fault check the cursor, and restart what has ended by itself."""
    began = time.monotonic()
    for nth, each in enumerate(plan, 1):
        while (left := began + each.at - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))
            faults.mend()
        faults.strike(each.kind)
        cursor, rows = faults.evidence.cursor()
        known = sent_log.known_up_to(cursor)
        if rows < known:
            faults.complaints.append(
                f"the cursor at {cursor} had passed {known - rows} emails that the books did not know"
            )
        if sys.stderr.isatty():
            print(
                f"\r{nth} of {len(plan)} faults, {len(sent_log.ids)} emails, last: {each.kind:<16}",
                end="",
                file=sys.stderr,
            )


def _drain(drilled: System, sent_log: SentLog, faults: Faults) -> float:
    """Wait until everything accepted has ended, and return the seconds that took. A time-out is left to the verdict."""
    began = moved = time.monotonic()
    limit, ended = DRAIN_S + (POISON_S if sent_log.poison else 0.0), 0
    while time.monotonic() - moved < limit:
        faults.mend()
        audit = drilled.get("/audit")
        if audit and audit["results"] + audit["dead"] > ended:
            ended, moved = audit["results"] + audit["dead"], time.monotonic()
        if audit and ended >= len(sent_log.ids) and audit["unaccounted"] == 0:
            return time.monotonic() - began
        time.sleep(0.2)
    spent = time.monotonic() - began
    faults.complaints.append(f"not drained {spent:.0f} s after the last fault: /audit says {drilled.get('/audit')}")
    return spent


def _catch_up(follower: Follower, sent_log: SentLog) -> None:
    """Give our follower time to read the events, which are all in the log by now."""
    end = time.monotonic() + 30
    while len(follower.processed) + len(follower.dead) < len(sent_log.ids) and time.monotonic() < end:
        time.sleep(0.1)
    time.sleep(1.0)  # for events published twice, if any
