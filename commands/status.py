"""`run.py status`: the running system in a few lines."""

import argparse
import json
from typing import Any

from commands.client import Server
from settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of the command."""
    parser.add_argument("--json", action="store_true", help="for machines: one JSON document")


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print health, statistics and books; exit code 1 when it is unhealthy or the books do not balance."""
    server = Server(settings.base_url, settings.api_token)
    health = server.request("GET", "/health").json()
    stats, audit = server.get("/stats"), server.get("/audit")
    if args.json:
        print(json.dumps({"health": health, "stats": stats, "audit": audit}))
    else:
        print("\n".join(_lines(server.base_url, health, stats, audit)))
    return int(health["status"] == "unhealthy" or audit["unaccounted"] != 0)


def _lines(url: str, health: dict[str, Any], stats: dict[str, Any], audit: dict[str, Any]) -> list[str]:
    parts = ", ".join(f"{name} {part['status']}" for name, part in health["components"].items())
    classes = ", ".join(f"{name} {number}" for name, number in stats["emails_by_classification"].items())
    return [
        f"{url}  {health['status']}  (version {health['version']}; {parts})",
        f"processed {stats['total_emails_processed']}  ({classes})",
        f"queue {stats['queue_depth']}  dead letters {stats['dead_letters']}  {stats['emails_per_minute']} emails a minute",
        (
            f"books: listed {audit['listed']} = results {audit['results']} + queued {audit['queued']} + retrying {audit['retrying']}"
            f" + dead {audit['dead']} + discarded {audit['discarded']} + erased {audit['erased']}; unaccounted {audit['unaccounted']}"
        ),
    ]
