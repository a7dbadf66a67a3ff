"""The system itself: what it is, its actors and their control, the audit of the books, setup, metrics.

Handlers of web/routes.py's table. Control is desired state in SQL, announced in Redis; every process of every node
reads it.
"""

import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from engine.mailbox import MAIN, Depth
from engine.timestamps import timestamp
from fakemail.egress import EgressRefused
from web.assets import PAGE_POLICY, folder, html
from web.dispatch import Answer, Call
from web.health import overall
from web.problems import Problem, misfit
from web.services import NAME, SourceConfig
from web.sources import no_source

METRICS_MEDIA = "text/plain; version=0.0.4; charset=utf-8"


def index(call: Call) -> Answer:
    """Return the dashboard to a browser, else a description of this server in JSON.

    The page carries the role of the browser's session.
    """
    if call.wants_html:
        found = folder(call.services.dashboard).files.get("index.html")
        if found is not None:
            role, who = call.app.gate.caller(call.environ)
            session = f"<body data-session={role}>" if who.startswith("session:") else "<body>"
            return html(found.body.replace(b"<body>", session.encode(), 1), PAGE_POLICY)
    services = call.services
    routes = [{"method": each.method, "path": each.path, "summary": each.summary} for each in call.app.routes]
    status = overall(call.app.health.components())
    body = {"name": NAME, "version": services.version, "status": status, "routes": routes}
    return Answer(body, headers=(("Vary", "Accept"),))


def metrics(call: Call) -> Answer:
    """Return all metrics of this node's processes, for Prometheus."""
    return Answer(call.services.metrics(), media=METRICS_MEDIA)


def audit(call: Call) -> dict[str, Any]:
    """Count all emails ever listed, by state, in one snapshot (with `source`, one account's).

    `unaccounted` must be 0.
    """
    found = call.services.books.audit(call.query.source)
    return {
        "listed": found.listed,
        "results": found.results,
        "queued": found.queued,
        "retrying": found.retrying,
        "dead": found.dead,
        "discarded": found.discarded,
        "erased": found.erased,
        "unaccounted": found.unaccounted,
        "as_of": timestamp(found.as_of),
    }


# -- actors


def actors(call: Call) -> dict[str, Any]:
    """Return the supervision tree of every node, and what waits in each mailbox."""
    services = call.services
    nodes: dict[str, list[dict[str, Any]]] = {}
    for process, info in sorted(services.mailboxes.alive().items()):
        nodes.setdefault(str(info.get("node") or process), []).append(_process_item(process, info))
    return {
        **_control(call),
        "nodes": [{"node": node, "processes": processes} for node, processes in sorted(nodes.items())],
        "mailboxes": {
            name: {lane: _lane_item(depth) for lane, depth in services.mailboxes.depths(name).items()}
            for name in services.mailbox_names
        },
    }


def _process_item(process: str, info: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "process": process,
        "role": info.get("role"),
        "pid": info.get("pid"),
        "started_at": timestamp(info.get("started")),
        "workers": info.get("workers"),
        "busy": info.get("busy"),
        "actors": [_actor_item(actor) for actor in info.get("actors", ())],
    }


def _actor_item(actor: Mapping[str, Any]) -> dict[str, Any]:
    """Return one actor, with the fields that its snapshot leaves out because they have their defaults."""
    busy_since = actor.get("busy_since")
    return {
        "name": actor.get("name", ""),
        "kind": actor.get("kind", ""),
        "parent": actor.get("parent") or None,
        "state": actor.get("state", ""),
        "reason": actor.get("reason") or None,
        "mailbox": actor.get("mailbox") or None,
        "handled": actor.get("handled", 0),
        "failures": actor.get("failures", 0),
        "restarts": actor.get("restarts", 0),
        "last_error": actor.get("last_error") or None,
        "busy_seconds": None if busy_since is None else round(max(0.0, time.time() - busy_since), 3),
    }


def _lane_item(depth: Depth) -> dict[str, Any]:
    return {
        "messages": depth.messages,
        "bytes": depth.bytes,
        "in_hand": depth.in_hand,
        "oldest_age_seconds": round(depth.oldest_age, 3),
    }


def pause(call: Call) -> dict[str, Any]:
    """Pause all nodes: they take nothing more from any mailbox until they are resumed. Kept across restarts.

    Webhooks are still accepted. New mail is not listed meanwhile: it waits at FakeMail, and no figure here counts it.
    """
    return _desire(call, "paused", True)


def resume(call: Call) -> dict[str, Any]:
    """Resume all nodes after a pause. Kept across restarts."""
    return _desire(call, "paused", False)


def resize(call: Call) -> dict[str, Any]:
    """Set the number of classifier actors that each process runs. Kept across restarts."""
    return _desire(call, "workers", call.body.workers)


def _desire(call: Call, name: str, value: Any) -> dict[str, Any]:
    call.services.desired.set(name, value)
    call.services.call_out()
    return _control(call)


def _control(call: Call) -> dict[str, Any]:
    services = call.services
    return {"paused": services.paused, "workers": services.desired.get("workers") or services.default_workers}


# -- FakeMail


def setup(call: Call) -> dict[str, Any]:
    """Have FakeMail watch the account and notify this URL from now on. Kept across restarts."""
    source = the_source(call, call.query.source)
    url = _webhook_url(call, source.name)
    history_id = source.client.watch()
    source.client.subscribe(url)
    call.services.desired.set(setup_name(source.name), {"webhook_url": url, "source": source.name})
    return {"status": "ok", "source": source.name, "webhook_url": url, "history_id": history_id}


def setup_name(source: str) -> str:
    """Return the name of the desired state that keeps the /setup of a source."""
    return "setup" if source == MAIN else f"setup:{source}"


def _webhook_url(call: Call, source: str) -> str:
    """Return the URL to subscribe with; raises Problem 422 if it may not be called.

    A URL without a path means its /webhook, and for a source other than `main`, /webhook means /webhook/SOURCE.
    """
    text: str = call.body.webhook_url
    try:
        call.services.egress.check(text)
    except EgressRefused as refused:
        raise misfit("webhook_url", str(refused)) from None
    if urlsplit(text).path in ("", "/"):
        text = text.rstrip("/") + "/webhook"
    bare = urlsplit(text).path.rstrip("/") == "/webhook" and not urlsplit(text).query
    return f"{text.rstrip('/')}/{source}" if bare and source != MAIN else text


def the_source(call: Call, name: str | None) -> SourceConfig:
    """Return the source of that name, else `main`, else the only one; raises Problem 404 or 409."""
    sources = call.services.sources
    if name is None:
        if MAIN not in sources and len(sources) > 1:
            raise Problem(
                409,
                f"several sources are configured: choose one with ?source= ({', '.join(sorted(sources))})",
                sources=sorted(sources),
            )
        name = MAIN if MAIN in sources else next(iter(sources))
    if name not in sources:
        raise no_source(call.services, name)
    return sources[name]
