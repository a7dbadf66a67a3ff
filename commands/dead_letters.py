"""`run.py dead-letters list|show|groups|replay|delete`: what failed for good, and what to do about it."""

import argparse
import json
from typing import Any

from commands.client import Server
from commands.terminal import printable
from settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The sub-commands."""
    parser.add_argument("--json", action="store_true", help="for machines")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="newest first")
    listing.add_argument("--reason", help="only of this reason")
    listing.add_argument("--limit", type=int, default=20, help="how many (default %(default)s)")
    actions.add_parser("groups", help="by cause")
    for name, text in (("show", "one, with every attempt"), ("replay", "try it again"), ("delete", "discard it")):
        actions.add_parser(name, help=text).add_argument("id", type=int)
    bulk = actions.add_parser("replay-all", help="try all of a filter again")
    bulk.add_argument("--reason", help="only of this reason")
    bulk.add_argument("--dry-run", action="store_true", help="only say how many")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Do it over REST and print the answer."""
    server = Server(settings.base_url, settings.api_token)
    answer = _ask(server, args)
    print(json.dumps(answer, ensure_ascii=False) if args.json else _text(answer))


def _ask(server: Server, args: argparse.Namespace) -> Any:
    only = {"reason": args.reason} if getattr(args, "reason", None) else {}
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
            return server.post("/dead-letters/replay", {**only, "dry_run": args.dry_run})


def _text(answer: Any) -> str:
    if answer is None:
        return "done"
    items = answer.get("items") if isinstance(answer, dict) else None
    if items is None:
        return json.dumps(answer, indent=2, ensure_ascii=False)
    if not items:
        return "no dead letters"
    return "\n".join("  ".join(printable(str(value)) for value in item.values()) for item in items)
