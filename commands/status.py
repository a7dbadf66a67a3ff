"""`run.py status`: the state of the running system in a few lines."""

import argparse
import json
from typing import Any

from commands.arguments import add_json
from commands.client import Server
from settings import Settings


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_json(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Print health, statistics and books; exit with 1 if the system is unhealthy or an email is unaccounted for."""
    server = Server(settings.base_url, settings.api_token)
    health = server.health()
    if not args.json:
        print("\n".join(_health(server.base_url, health)), flush=True)  # early: the figures need Redis
    stats, audit, paused = server.get("/stats"), server.get("/audit"), server.get("/actors")["paused"]
    if args.json:
        print(json.dumps({"health": health, "stats": stats, "audit": audit, "paused": paused}))
    else:
        print("\n".join(_figures(stats, audit, paused=paused)))
    return int(health["status"] == "unhealthy" or audit["unaccounted"] != 0)


def _health(url: str, health: dict[str, Any]) -> list[str]:
    parts = ", ".join(f"{name} {part['status']}" for name, part in health["components"].items())
    reasons = [f"{name}: {part['reason']}" for name, part in health["components"].items() if part.get("reason")]
    return [f"{url}  {health['status']}  (version {health['version']}; {parts})", *reasons]


def _figures(stats: dict[str, Any], audit: dict[str, Any], *, paused: bool) -> list[str]:
    classes = ", ".join(f"{name} {number}" for name, number in stats["emails_by_classification"].items())
    return [
        *(["paused: no new work starts until POST /actors/resume"] if paused else []),
        f"processed {stats['total_emails_processed']}  ({classes})",
        f"queue {stats['queue_depth']}  dead letters {stats['dead_letters']}  {stats['emails_per_minute']} emails a minute",
        (
            f"books: listed {audit['listed']} = results {audit['results']} + queued {audit['queued']} + retrying {audit['retrying']}"
            f" + dead {audit['dead']} + discarded {audit['discarded']} + erased {audit['erased']}; unaccounted {audit['unaccounted']}"
        ),
    ]
