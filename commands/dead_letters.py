"""`run.py dead-letters list|show|groups|replay|replay-all|delete`: inspect and handle what failed for good."""

import argparse
import json
import sys
import time
from typing import Any

from commands.arguments import Actions, add_id, whole
from commands.client import CommandError, Server
from commands.terminal import counted, table
from settings import Settings

TASK_PAUSE_S = 1.0
LETTER_COLUMNS = ("id", "email_id", "reason", "attempts", "dead_at", "error")
GROUP_COLUMNS = ("count", "reason", "last_dead_at", "example", "error")
FILTERS = {
    "reason": "only with this reason",
    "source": "only from this source",
    "email_id": "only of this email",
    "since": "only those that died at this time or later (ISO 8601)",
    "until": "only those that died before this time",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = Actions(parser)
    listing = actions.add("list", "list them, newest first")
    _add_filters(listing)
    listing.add_argument("--limit", type=whole(1, 100), default=20, help="how many to list (default %(default)s)")
    actions.add("groups", "count them by cause")
    add_id(actions.add("show", "show one dead letter with its attempts"))
    add_id(actions.add("replay", "replay one"))
    add_id(actions.add("delete", "discard one"))
    bulk = actions.add("replay-all", "replay all that match a filter")
    _add_filters(bulk)
    bulk.add_argument("--dry-run", action="store_true", help="only count")
    bulk.add_argument("--per-second", type=whole(1, 10_000), help="emails per second, for more than 500 (default 100)")


def _add_filters(parser: argparse.ArgumentParser) -> None:
    for name, text in FILTERS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=text)


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Perform the action over REST and print the answer."""
    server = Server(settings.base_url, settings.api_token)
    answer = _ask(server, args)
    print(json.dumps(answer, ensure_ascii=False) if args.json else _text(answer))


def _ask(server: Server, args: argparse.Namespace) -> Any:
    only = {name: value for name in FILTERS if (value := getattr(args, name, None))}
    match args.action:
        case "list":
            return server.get("/dead-letters", limit=args.limit, **only)
        case "groups":
            return server.get("/dead-letters/groups")
        case "show":
            return server.get(f"/dead-letters/{args.id}")
        case "replay":
            return server.post(f"/dead-letters/{args.id}/replay")
        case "delete":
            return server.delete(f"/dead-letters/{args.id}")
        case _:
            pace = {"per_second": args.per_second} if args.per_second else {}
            answer = server.post("/dead-letters/replay", {**only, **pace, "dry_run": args.dry_run})
            return _ended(server, answer) if "state" in answer else answer


def _ended(server: Server, task: Any) -> Any:
    """Wait for the task of a large replay, and print its progress."""
    while task["state"] in ("queued", "running"):
        print(f"{task['done']} of {task['total'] or '?'}", file=sys.stderr)
        time.sleep(TASK_PAUSE_S)
        task = server.get(f"/tasks/{task['id']}")
    if task["state"] != "done":
        raise CommandError(f"the replay {task['state']}: {task['error'] or 'somebody cancelled it'}")
    return {"matched": task["total"], "replayed": task["counts"].get("replayed", 0), "dry_run": False}


def _replayed(answer: dict[str, Any]) -> str:
    """Describe what a replay did, or would do."""
    matched, replayed = answer.get("matched", answer["replayed"]), answer["replayed"]
    if answer.get("dry_run"):
        return f"{counted(matched, 'dead letter')} would be replayed"
    left = f"; {counted(matched - replayed, 'dead letter')} could not be" if matched > replayed else ""
    return f"{counted(replayed, 'dead letter')} replayed{left}"


def _text(answer: Any) -> str:
    if answer is None:
        return "done"
    if "replayed" in answer:
        return _replayed(answer)
    items = answer.get("items") if isinstance(answer, dict) else None
    if items is None:
        return json.dumps(answer, indent=2, ensure_ascii=False)
    if not items:
        return "no dead letters"
    return table(items, GROUP_COLUMNS if "count" in items[0] else LETTER_COLUMNS)
