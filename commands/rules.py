"""`run.py rules list|show|test|add|change|delete`: the user's rules, as JSON; `test` tries one on stored mail."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from commands.arguments import Actions, add_id
from commands.client import CommandError, Server
from commands.terminal import table
from settings import Settings

COLUMNS = ("place", "id", "name", "does", "state")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = Actions(parser)
    actions.add("list", "list all, in their order")
    add_id(actions.add("show", "show one, with its history"))
    add_id(actions.add("delete", "delete one"))
    for name, text in (("test", "show what a rule would change in stored mail"), ("add", "add a rule")):
        _file(actions.add(name, text))
    change = actions.add("change", "replace rule ID")
    add_id(change)
    _file(change)


def _file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE.json", help="the rule, as in POST /rules; - reads standard input")


def run(args: argparse.Namespace, settings: Settings) -> None:
    """Perform the action over REST and print the answer."""
    answer = _ask(Server(settings.base_url, settings.api_token), args)
    print(json.dumps(answer, ensure_ascii=False) if args.json else _text(answer))


def _ask(server: Server, args: argparse.Namespace) -> Any:
    match args.action:
        case "list":
            return server.get("/rules")
        case "show":
            return server.get(f"/rules/{args.id}")
        case "delete":
            return server.delete(f"/rules/{args.id}")
        case "test":
            return server.post("/rules/test", {"rule": _rule(args.file)})
        case "add":
            return server.post("/rules", _rule(args.file))
        case _:
            return server.put(f"/rules/{args.id}", _rule(args.file))


def _rule(name: str) -> Any:
    try:
        text = sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8")
        return json.loads(text)
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror or error}") from None
    except ValueError as error:
        raise CommandError(f"{name} is not JSON: {error}") from None


def _text(answer: Any) -> str:
    if answer is None:
        return "done"
    if "items" not in answer:
        return json.dumps(answer, indent=2, ensure_ascii=False)
    return table([_row(each) for each in answer["items"]], COLUMNS) if answer["items"] else "no rules"


def _row(rule: dict[str, Any]) -> dict[str, Any]:
    does = ", ".join(str(rule[name]) for name in ("classification", "priority") if rule.get(name))
    return {**rule, "does": does, "state": "" if rule["enabled"] else "(off)"}
