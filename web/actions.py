"""The action log in SQL: successful unsafe calls with full access, logins and logouts. `GET /actions` shows it.

web/dispatch.py calls `note` after the action. The request is recorded in short, and what could be a secret is masked.
"""

import logging
import re
import time
from typing import Any

import msgspec

from engine.errors import DependencyTrouble
from engine.timestamps import timestamp
from storage.actions import Action, Actions
from web.auth import Gate
from web.clients import address_of
from web.dispatch import Answer, Call, page_answer, request_id
from web.server_body import Environ, raw_path
from web.validation import make_cursor, read_cursor, read_time

log = logging.getLogger(__name__)

SECRET = re.compile(r"secret|token|password|authorization|cookie|key", re.IGNORECASE)
URL = re.compile(r"(https?://)(?:[^/@\s]*@)?([^/?#\s]+)[^\s]*")
MASK = "********"
MAX_TEXT, MAX_ITEMS, MAX_TARGET = 200, 20, 300


class ActionLog:
    """Records what was done; an action is not undone if the log is unavailable."""

    def __init__(self, store: Actions, gate: Gate) -> None:
        self.store, self.gate = store, gate

    def note(self, call: Call, status: int) -> None:
        """Record a call that was answered with `status`; failures and dry runs, which did nothing, are left out."""
        if status < 400 and not getattr(call.body, "dry_run", False):
            self.write(call.environ, call.route.path, _short(call.body), status)

    def write(
        self, environ: Environ, path: str, detail: Any, status: int, by: tuple[str | None, str] | None = None
    ) -> None:
        """Record an action. `by`: role and name, if the request does not give them yet."""
        role, who = by or self.gate.caller(environ)
        action = Action(
            at=time.time(),
            who=who,
            role=role or "",
            address=address_of(environ, self.gate.access.trusted_proxies),
            action=f"{environ['REQUEST_METHOD']} {path}",
            target=raw_path(environ)[:MAX_TARGET],
            detail=detail if isinstance(detail, dict) else {},
            status=status,
            request_id=request_id(environ),
        )
        try:
            self.store.add(action)
        except DependencyTrouble as trouble:
            log.error("not written down (%s): %s %s by %s", trouble, action.action, action.target, who)  # noqa: TRY400  (one line says it)


def all_actions(call: Call) -> Answer:
    """Return who replayed, corrected, deleted, paused, logged in, newest first: the last 100,000 actions."""
    query = call.query
    items, following = call.app.actions.store.page(
        read_cursor("actions", query.cursor),
        query.limit,
        who=query.who,
        action=query.action,
        since=read_time("since", query.since),
        until=read_time("until", query.until),
    )
    shown = [{**msgspec.structs.asdict(each), "at": timestamp(each.at)} for each in items]
    return page_answer(call, shown, make_cursor("actions", following))


def _short(value: Any, depth: int = 0) -> Any:
    """Return a body as it is recorded: cut, with secrets masked and only the host of URLs."""
    if isinstance(value, msgspec.Struct):
        value = {name: item for name, item in msgspec.structs.asdict(value).items() if item is not None}
    if isinstance(value, dict) and depth < 3:
        pairs = list(value.items())[:MAX_ITEMS]
        return {
            str(name)[:MAX_TEXT]: MASK if SECRET.search(str(name)) else _short(item, depth + 1) for name, item in pairs
        }
    if isinstance(value, list | tuple | set | frozenset) and depth < 3:
        return [_short(item, depth + 1) for item in list(value)[:MAX_ITEMS]]
    if value is None or isinstance(value, bool | int | float):
        return value
    return URL.sub(r"\1\2", str(value))[:MAX_TEXT]
