"""`/health`: whether each part works, how fast, and if not, why; answered within two seconds even if a part hangs.

Each component has a probe, which runs beside the others and at most twice a second (FakeMail, which belongs to others,
every five seconds). Redis or all actors away: unhealthy; the database or FakeMail away: degraded. If everything answers
and yet no canary comes through the mailboxes (connected, but not consuming), that is unhealthy too.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from engine.canary import Pulse
from engine.errors import EngineError
from engine.timestamps import timestamp
from web.auth import Gate
from web.cached import Probe
from web.dispatch import Answer, Call
from web.problems import RETRY_AFTER_S
from web.server_body import Environ
from web.server_problems import retry_after
from web.services import Services

KEEP_S, KEEP_FAKEMAIL_S = 0.5, 5.0
PATIENCE_S = 1.5
HEALTHY, DEGRADED, UNHEALTHY, NOT_READY = "healthy", "degraded", "unhealthy", "not ready"
CANARY_LATE_S = 30.0
COMPONENTS = ("redis", "database", "fakemail", "actors")
VITAL = ("redis", "actors")
HEALTH_PATHS = ("/health", "/health/live", "/health/ready")


class Unwell(Exception):
    """A check found something wrong that is not a failure of the check itself; the text is the reason."""

    def __init__(self, reason: str, status: str = DEGRADED) -> None:
        super().__init__(reason)
        self.status = status


class Health:
    """The probes of this process, and the state that they add up to."""

    def __init__(self, services: Services) -> None:
        self.services = services
        checks: dict[str, tuple[Callable[[], float], float]] = {
            "redis": (services.mailboxes.ping, KEEP_S),
            "database": (services.database.ping, KEEP_S),
            **{_of(name): (partial(self._account, name), KEEP_FAKEMAIL_S) for name in services.sources},
            "actors": (self._actors, KEEP_S),
        }
        self.probes = {name: Probe(check, keep=keep, patience=PATIENCE_S) for name, (check, keep) in checks.items()}
        self.well_since: float | None = time.monotonic()
        self.waits: dict[str, str] = {}
        self.seen_unwell: dict[str, float] = {}

    def components(self) -> dict[str, dict[str, Any]]:
        """Return name → status and latency in milliseconds; of the unwell also `reason` and `since`, as seen here."""
        found = self._found()
        accounts = found["fakemail"].get("sources")
        if accounts:
            found["fakemail"]["sources"] = {name: self._dated(_of(name), each) for name, each in accounts.items()}
        return {name: self._dated(name, each) for name, each in found.items()}

    def look_again(self) -> None:
        """Look again every few seconds while anything is unwell, or `since` would span a recovery that nobody saw."""
        if self.seen_unwell:
            self.components()

    def _dated(self, name: str, component: dict[str, Any]) -> dict[str, Any]:
        if component["status"] == HEALTHY:
            self.seen_unwell.pop(name, None)
            return component
        return {**component, "since": timestamp(self.seen_unwell.setdefault(name, time.time()))}

    def _found(self) -> dict[str, dict[str, Any]]:
        for probe in self.probes.values():
            probe.start()
        each = {name: component(*probe.latest()) for name, probe in self.probes.items()}
        accounts = {name: each[_of(name)] for name in self.services.sources}
        found = {name: accounts_together(accounts) if name == "fakemail" else each[name] for name in COMPONENTS}
        for name, reason in self.waits.items():
            if name in found and found[name]["status"] == HEALTHY:  # a lock or a full disk stops only writers
                found[name] |= {"status": DEGRADED, "reason": reason}
        obstacle = self.services.obstacle()
        if obstacle and found["database"]["status"] == HEALTHY:
            found["database"] |= {"status": DEGRADED, "reason": obstacle}
        if not self._consuming(all(each["status"] == HEALTHY for each in found.values())):
            found["actors"] |= {
                "status": UNHEALTHY,
                "reason": "connected, but not consuming: no canary gets through the mailboxes",
            }
        return found

    def _consuming(self, well: bool) -> bool:
        """Return False if everything has been well for a while and the canary has been missing for as long."""
        now = time.monotonic()
        if not well:
            self.well_since = None
            return True
        self.well_since = now if self.well_since is None else self.well_since
        return min(self.services.pulse.overdue(now), now - self.well_since) <= CANARY_LATE_S

    def redis_trouble(self) -> str | None:
        """Return why Redis cannot be used now, or None if it can."""
        _, error = self.probes["redis"].latest()
        return None if error is None else _reason(error)

    def _account(self, name: str) -> float:
        """Ask an account for its newest history id, as every look does; return the seconds it took."""
        began = time.perf_counter()
        self.services.sources[name].client.watch()
        return time.perf_counter() - began

    def _actors(self) -> float:
        began = time.perf_counter()
        try:
            alive = self.services.mailboxes.alive()
        except EngineError:
            self.waits = {}  # unknown while Redis is away
            raise
        self.waits = {name: reason for info in alive.values() for name, reason in _waits(info)}
        if not alive:
            raise Unwell("no process has sent a heartbeat for 5 seconds", UNHEALTHY)
        failed = [name for info in alive.values() for name in _failed(info)]
        if failed:
            raise Unwell(f"failed: {', '.join(sorted(failed)[:5])}")
        if not sum(int(info.get("workers") or 0) for info in alive.values()):
            raise Unwell("no classifier is running")
        return time.perf_counter() - began


def accounts_together(accounts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the component `fakemail`: of several accounts, unhealthy if all are away, degraded if some are."""
    if len(accounts) == 1:
        return dict(next(iter(accounts.values())))
    away = [name for name, each in accounts.items() if each["status"] != HEALTHY]
    latencies = [each["latency_ms"] for each in accounts.values() if each["latency_ms"] is not None]
    together: dict[str, Any] = {"status": HEALTHY, "latency_ms": max(latencies, default=None)}
    if away:
        reason = "; ".join(f"{name}: {accounts[name]['reason']}" for name in away)
        together |= {"status": UNHEALTHY if len(away) == len(accounts) else DEGRADED, "reason": reason[:300]}
    return {**together, "sources": {name: dict(each) for name, each in accounts.items()}}


def _of(source: str) -> str:
    return f"fakemail:{source}"


def overall(components: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the status that the components add up to."""
    if any(components[name]["status"] == UNHEALTHY for name in VITAL):
        return UNHEALTHY
    return HEALTHY if all(each["status"] == HEALTHY for each in components.values()) else DEGRADED


def health(call: Call) -> Answer:
    """Return for each component whether it works, how fast it answered, and if not, why.

    Only callers with read access are told the reasons.
    """
    services = call.services
    components = call.app.health.components()
    more = {"websocket_clients": len(services.hub.clients), **_canary(services.pulse)}
    body = health_body(components, version=services.version, node=services.node, since=services.started_at, **more)
    return stated(body, why=call.app.gate.may_read(call.environ))


def health_body(
    components: Mapping[str, Mapping[str, Any]], *, version: str, node: str, since: float, **more: Any
) -> dict[str, Any]:
    """Return the body of /health. `since` is when this process began; `more` is added to the metrics."""
    metrics = {"node": node, "uptime_seconds": round(time.time() - since, 1), **more}
    return {"status": overall(components), "version": version, "components": components, "metrics": metrics}


def _canary(pulse: Pulse) -> dict[str, float | None]:
    age, trip = pulse.age(time.monotonic()), pulse.round_trip
    return {
        "canary_age_seconds": None if age is None else round(age, 1),
        "canary_round_trip_ms": None if trip is None else round(trip * 1000, 1),
    }


def stated(body: dict[str, Any], *, why: bool) -> Answer:
    """Return a state as an answer: if unhealthy or not ready, a 503 that says when to ask again.

    `why`: the caller has read access. Others get no reasons, since these name hosts and files.
    """
    shown = body if why else _without_reasons(body)
    well = body["status"] not in (UNHEALTHY, NOT_READY)
    return Answer(shown) if well else Answer(shown, 503, (retry_after(RETRY_AFTER_S),))


def _without_reasons(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {name: _without_reasons(each) for name, each in value.items() if name != "reason"}


def readiness(reason: str | None, *, why: bool) -> Answer:
    """Return the answer of /health/ready. `reason`: why it is not ready, or None; `why` as in `stated`."""
    return stated({"status": NOT_READY, "reason": reason} if reason else {"status": "ready"}, why=why)


def live(_call: Call | None = None) -> dict[str, str]:
    """Answer 200 as long as the process can answer at all."""
    return {"status": "alive"}


def ready(call: Call) -> Answer:
    """Answer 200 if the system has started, is not shutting down and can reach Redis, else 503."""
    reason = call.services.ready() or call.app.health.redis_trouble()
    return readiness(reason, why=call.app.gate.may_read(call.environ))


def health_answer(
    environ: Environ, gate: Gate, body: Callable[[], dict[str, Any]], unready: Callable[[], str | None]
) -> Answer:
    """Answer one of HEALTH_PATHS where there is no Application; `unready` returns why this is not ready, or None."""
    path = environ["PATH_INFO"].rstrip("/")
    if path == "/health/live":
        return Answer(live())
    why = gate.may_read(environ)
    return stated(body(), why=why) if path == "/health" else readiness(unready(), why=why)


def _failed(info: Mapping[str, Any]) -> list[str]:
    return [str(actor.get("name")) for actor in info.get("actors", ()) if actor.get("state") == "failed"]


def _waits(info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (dependency, reason) of the waiting actors; engine/actor.py puts the dependency before the colon."""
    reasons = [str(actor.get("reason")) for actor in info.get("actors", ()) if actor.get("state") == "waiting"]
    return [(name, f"actors wait: {why.strip()[:300]}") for name, _, why in (each.partition(":") for each in reasons)]


def component(seconds: float | None, error: BaseException | None) -> dict[str, Any]:
    """Return the outcome of a check as /health shows it."""
    if error is None:
        return {"status": HEALTHY, "latency_ms": None if seconds is None else round(seconds * 1000, 3)}
    status = error.status if isinstance(error, Unwell) else UNHEALTHY
    return {"status": status, "latency_ms": None, "reason": _reason(error)}


def _reason(error: BaseException) -> str:
    """Return a line for people. An unexpected error is named by its class only: its text may hold anything."""
    if isinstance(error, EngineError | Unwell | TimeoutError | msgspec.MsgspecError):
        return str(error)[:300]
    return type(error).__name__
