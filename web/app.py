"""The web application: every route in one table, and the WSGI callable that serves it.

commands/front.py builds `Application(services)` and calls `serve`, which puts it into the hardened server (web/server.py). The webhook goes before bottle's router, the simulator beside it; everything else is a Route.
"""

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any
from urllib.parse import unquote_to_bytes

import bottle
import gevent
import msgspec

from engine.errors import DependencyTrouble
from storage.actions import Actions
from storage.sessions import EndedSessions
from web import (
    actions,
    dead_letters,
    docs,
    emails,
    erasing,
    figures,
    health,
    live_client,
    login,
    models,
    results,
    review,
    rules,
    schemas,
    schemas_access,
    schemas_learning,
    schemas_subscriptions,
    schemas_system,
    subscriptions,
    system,
    tasks,
)
from web.assets import static_file
from web.auth import SMALL_BODY, Gate, cap_before_reading
from web.dispatch import SAFE, Answer, App, Call, Headers, Route, endpoint, raw_path, refuse, send
from web.figures import Figures, queue_of, settled
from web.health import Health
from web.live import QUEUE, STATS
from web.openapi import NUMBERS, document
from web.problems import Problem
from web.server import HardenedServer, serve
from web.server_body import Environ, StartResponse, cap_by_path
from web.services import Access, Services
from web.webhook import Webhook
from web.websocket import LiveSocket
from web.websocket_frames import POLICY

log = logging.getLogger("emailproc.web")

API_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
COMMON: Headers = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Frame-Options", "DENY"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
DEFAULTS: Headers = (("Cache-Control", "no-store"), ("Content-Security-Policy", API_POLICY))
PUSH_EVERY_S = 1.0
SESSIONS_EVERY_S = 2.0
HEALTH_EVERY_S = 5.0
SOCKETS_AT_ONCE = 50
SOCKET_PATH = re.compile(r"/ws/emails/[^/]+")
FILTERS = {"path": "rest", **dict.fromkeys(NUMBERS, "number")}
"""What a path's parameter may be; where it is a number, a word beside it is a path of its own."""
PARAMETER = re.compile(r"\{(\w+)\}")
NOTED_OF_SIMULATOR = {"/simulator/reset", "/simulator/faults"}
UNRESERVED = re.compile(r"%(2[dDeE]|3[0-9]|4[1-9a-fA-F]|5[0-9aAfF]|6[1-9a-fA-F]|7[0-9aAeE])")
PREFLIGHT: Headers = (
    ("Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"),
    ("Access-Control-Allow-Headers", "Authorization, Content-Type, X-Request-Id"),
    ("Access-Control-Max-Age", "600"),
)
KIB, MIB = 1024, 1024 * 1024
BODY_CAP = cap_by_path(
    SMALL_BODY, {"/login": 8 * KIB, "/classify": 4 * MIB, "/dead-letters": MIB, "/simulator": 64 * MIB}
)


def openapi(call: Call) -> Answer:
    """This description."""
    return Answer(call.app.openapi)


def webhook(_call: Call, **_arguments: str) -> None:
    """FakeMail says that there is news: 202 once that is durable, also for a repetition known by its `webhook-id`.

    Any content type. Where a secret is set, the request must bear a Standard Webhooks signature.
    """
    raise Problem(405, "only POST", headers=(("Allow", "POST"),))


s, t, a, n = schemas, schemas_system, schemas_access, schemas_learning
u = schemas_subscriptions
ROUTES = (
    Route("POST", "/webhook", webhook, "Say that there is news", "webhook", {202: s.WebhookAccepted}, "public", s.WebhookRequest, any_media=True, problems=(401, 404, 429)),
    Route("POST", "/webhook/{source}", webhook, "Say that a source has news", "webhook", {202: s.WebhookAccepted}, "public", s.WebhookRequest, any_media=True, problems=(401, 404, 429)),
    Route("GET", "/notifications", system.notifications, "Webhooks that were accepted", "webhook", {200: s.NotificationPage}, query=s.NotificationQuery),
    Route("POST", "/setup", system.setup, "Watch and subscribe at FakeMail", "webhook", {200: s.SetupAnswer}, "full", s.SetupRequest, s.SourceQuery, problems=(404, 409)),
    Route("GET", "/results", results.all_results, "All results", "results", {200: s.ResultPage}, query=s.PageQuery),
    Route("GET", "/results/{email_id}", results.one_result, "One email's result", "results", {200: s.ResultAnswer}, query=s.ResultQuery, problems=(404, 409)),
    Route("POST", "/classify", results.classify, "Classify without storing", "results", {200: s.ClassifyAnswer}, "full", s.ClassifyRequest, acts=False),
    Route("GET", "/emails", emails.all_emails, "All emails", "emails", {200: s.EmailPage}, query=s.PageQuery),
    Route("GET", "/emails/{email_id}", emails.one_email, "One email", "emails", {200: s.EmailAnswer}, query=s.SourceQuery, problems=(404, 409)),
    Route("GET", "/emails/{email_id}/timeline", emails.timeline, "One email's stages", "emails", {200: s.Timeline}, query=s.SourceQuery, problems=(404, 409)),
    Route("POST", "/emails/{email_id}/label", emails.correct, "Correct a label", "emails", {200: s.ResultItem}, "full", s.LabelRequest, s.SourceQuery, problems=(404, 409)),
    Route("DELETE", "/emails/{email_id}/label", emails.undo_correction, "Undo a correction", "emails", {200: s.ResultItem}, "full", query=s.SourceQuery, problems=(404, 409)),
    Route("GET", "/rules", rules.all_rules, "All rules", "rules and models", {200: n.RuleList}),
    Route("POST", "/rules", rules.create, "A new rule", "rules and models", {201: n.RuleItem}, "full", n.RuleRequest, problems=(409,)),
    Route("POST", "/rules/test", rules.test, "What a rule would change", "rules and models", {200: n.RuleTestAnswer}, "full", n.RuleTest, problems=(404,), acts=False),
    Route("GET", "/rules/{rule_id}", rules.one_rule, "One rule", "rules and models", {200: n.RuleAnswer}, problems=(404,)),
    Route("PUT", "/rules/{rule_id}", rules.replace, "Change a rule", "rules and models", {200: n.RuleItem}, "full", n.RuleRequest, problems=(404, 409)),
    Route("DELETE", "/rules/{rule_id}", rules.delete, "Delete a rule", "rules and models", {204: None}, "full", problems=(404,)),
    Route("GET", "/models", models.all_models, "All models", "rules and models", {200: n.ModelList}),
    Route("POST", "/models/{version}/promote", models.promote, "Make a model the live one", "rules and models", {200: n.PromoteAnswer}, "full", query=n.PromoteQuery, problems=(404, 409)),
    Route("POST", "/reprocess", models.reprocess, "Judge stored mail once more", "long work", {202: t.TaskItem}, "full", n.ReprocessRequest),
    Route("GET", "/review", review.review, "What a person should look at", "rules and models", {200: n.ReviewPage}, query=n.ReviewQuery),
    Route("GET", "/stats", figures.stats, "Figures", "figures", {200: t.Stats}, query=s.SourceQuery, problems=(404,)),
    Route("GET", "/stats/timeseries", figures.timeseries, "Figures over time", "figures", {200: t.Timeseries}, query=t.TimeseriesQuery),
    Route("GET", "/audit", system.audit, "The books", "figures", {200: t.AuditAnswer}, query=s.SourceQuery, problems=(404,)),
    Route("GET", "/metrics", system.metrics, "Metrics for Prometheus", "figures", {200: None}, "metrics", media=system.METRICS_MEDIA),
    Route("GET", "/actors", system.actors, "Supervision tree", "actors", {200: t.ActorsAnswer}),
    Route("POST", "/actors/pause", system.pause, "Pause all nodes", "actors", {200: t.ControlAnswer}, "full"),
    Route("POST", "/actors/resume", system.resume, "Resume all nodes", "actors", {200: t.ControlAnswer}, "full"),
    Route("POST", "/actors/resize", system.resize, "Resize the pools", "actors", {200: t.ControlAnswer}, "full", t.ResizeRequest),
    Route("GET", "/dead-letters", dead_letters.all_letters, "All dead letters", "dead letters", {200: t.DeadLetterPage}, query=t.DeadLetterQuery),
    Route("GET", "/dead-letters/groups", dead_letters.groups, "Dead letters by cause", "dead letters", {200: t.DeadLetterGroups}),
    Route("POST", "/dead-letters/replay", dead_letters.replay_some, "Replay by filter", "dead letters", {200: t.ReplayAnswer, 202: t.TaskItem}, "full", t.DeadLetterFilter),
    Route("GET", "/dead-letters/{letter_id}", dead_letters.one_letter, "One dead letter", "dead letters", {200: t.DeadLetterAnswer}, problems=(404,)),
    Route("DELETE", "/dead-letters/{letter_id}", dead_letters.discard, "Discard one", "dead letters", {204: None}, "full", problems=(404, 409)),
    Route("POST", "/dead-letters/{letter_id}/replay", dead_letters.replay_one, "Replay one", "dead letters", {200: t.ReplayAnswer}, "full", problems=(404, 409)),
    Route("POST", "/erase", erasing.erase, "Erase a sender", "emails", {200: t.EraseAnswer}, "full", t.EraseRequest, acts=False),
    Route("POST", "/resync", tasks.resync, "List the history again", "long work", {202: t.TaskItem}, "full", t.ResyncRequest, s.SourceQuery, problems=(404, 409)),
    Route("GET", "/tasks", tasks.all_tasks, "All long work", "long work", {200: t.TaskPage}, query=t.TaskQuery),
    Route("GET", "/tasks/{task_id}", tasks.one_task, "How far it is", "long work", {200: t.TaskItem}, problems=(404,)),
    Route("DELETE", "/tasks/{task_id}", tasks.cancel, "Cancel it", "long work", {200: t.TaskItem}, "full", problems=(404, 409)),
    Route("GET", "/events", system.events, "The event log", "events", {200: t.EventPage}, query=t.EventQuery, problems=(410,)),
    Route("GET", "/ws/emails/{client_id}", system.events_socket, "Real-time updates (WebSocket)", "events", {101: None}, problems=(426,)),
    Route("GET", "/subscriptions", subscriptions.all_subscriptions, "All subscribers", "subscriptions", {200: u.SubscriptionList}),
    Route("POST", "/subscriptions", subscriptions.subscribe, "Have a URL told", "subscriptions", {201: u.NewSubscription}, "full", u.SubscriptionRequest, problems=(409, 410)),
    Route("GET", "/subscriptions/{subscription_id}", subscriptions.one_subscription, "One subscriber", "subscriptions", {200: u.SubscriptionItem}, problems=(404,)),
    Route("GET", "/subscriptions/{subscription_id}/deliveries", subscriptions.deliveries, "What was sent", "subscriptions", {200: u.DeliveryPage}, query=u.DeliveryQuery, problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/test", subscriptions.test_message, "Send a test message", "subscriptions", {200: u.TestAnswer}, "full", problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/rotate", subscriptions.rotate, "Give it a new secret", "subscriptions", {200: u.NewSubscription}, "full", u.RotateRequest, problems=(404,)),
    Route("POST", "/subscriptions/{subscription_id}/enable", subscriptions.enable, "Go on with it", "subscriptions", {200: u.SubscriptionItem}, "full", u.EnableRequest, problems=(404, 410)),
    Route("DELETE", "/subscriptions/{subscription_id}", subscriptions.unsubscribe, "Forget it", "subscriptions", {204: None}, "full", problems=(404,)),
    Route("GET", "/health", health.health, "Health", "system", {200: t.HealthAnswer, 503: t.HealthAnswer}, "public"),
    Route("GET", "/health/live", health.live, "Does it live", "system", {200: t.StateAnswer}, "public"),
    Route("GET", "/health/ready", health.ready, "Is it ready", "system", {200: t.StateAnswer, 503: t.StateAnswer}, "public"),
    Route("GET", "/", system.index, "What this is", "system", {200: t.IndexAnswer}),
    Route("GET", "/openapi.json", openapi, "This description", "system", {200: None}),
    Route("GET", "/docs", docs.docs, "A page to try the API", "system", {200: None}, media="text/html"),
    Route("GET", "/docs/{name}", docs.swagger_file, "Files of that page", "system", {200: None}, "page", media="text/css", problems=(404,)),
    Route("GET", "/static/{path}", static_file, "Files of the dashboard", "system", {200: None}, "page", media="text/css", problems=(404,)),
    Route("GET", "/login", login.login_page, "Page to log in", "access", {200: None}, "page", media="text/html"),
    Route("POST", "/login", login.login, "Begin a session", "access", {200: t.LoginAnswer, 303: None}, "page", any_media=True, form=t.LoginRequest, problems=(401, 409, 413, 415, 422)),
    Route("POST", "/logout", login.logout, "End the session", "access", {204: None, 303: None}, "page", query=a.LogoutQuery, any_media=True, problems=(401,)),
    Route("GET", "/actions", actions.all_actions, "Who did what", "access", {200: a.ActionPage}, query=a.ActionQuery),
)  # fmt: skip

OPEN = frozenset(route.path.split("/")[1] for route in ROUTES if route.access in ("public", "page"))
"""The first segments of paths whose errors need no token: /docs is among them for its files' sake, its page is not."""


class Application(App):
    """The processor over HTTP, as a WSGI application."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self.gate = Gate(services.access, EndedSessions(services.database), services.refused)
        self.actions = actions.ActionLog(Actions(services.database), self.gate)
        self.routes = ROUTES
        self.figures = Figures(services)
        self.health = Health(services)
        self.openapi = _described(services.version)
        self.bottle = self._register()
        self.webhook = Webhook(services, [*COMMON, *DEFAULTS], self.gate.limits)
        self._sockets: set[LiveSocket] = set()

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        path, method = environ["PATH_INFO"], environ["REQUEST_METHOD"]
        if method == "POST" and (path == "/webhook" or path.startswith("/webhook/")):
            return self.webhook(environ, start_response)
        start = self._with_common_headers(environ, start_response)
        if method == "OPTIONS" and "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ and self.gate.allows_origin(environ):
            start("204 No Content", list(PREFLIGHT))
            return []
        if self.services.simulator is not None and (path == "/simulator" or path.startswith("/simulator/")):
            return self._simulate(environ, start)
        environ["PATH_INFO"] = routable(environ)
        return self.bottle.wsgi(environ, start)  # type: ignore[no-any-return]  # bottle is untyped

    def serve(self, host: str, port: int) -> HardenedServer:
        """Listen, and push figures to the WebSocket clients; SettingsError when the address cannot be had."""
        server = serve(
            self, host, port, body_cap=self.body_cap, authorize_websocket=self.authorize, on_websocket=self.on_websocket
        )
        gevent.spawn(self.push, server)
        return server

    def body_cap(self, environ: Environ) -> int:
        """How large a body may be; raises Refusal, before any of it is read, for a large one of somebody who may not ask at all."""
        return cap_before_reading(environ, BODY_CAP(environ), partial(self.gate.identify, environ, "read"))

    def use(self, access: Access, secrets: Mapping[str, str]) -> None:
        """Other tokens, and other webhook secrets of each source, from now on."""
        self.services.access = access
        self.services.sources = {
            name: replace(source, secrets=secrets[name]) for name, source in self.services.sources.items()
        }
        self.gate.use(access)

    # -- WebSockets

    def authorize(self, environ: Environ) -> tuple[int, str] | None:
        """Before the handshake: None, or the status and detail of a refusal."""
        if SOCKET_PATH.fullmatch(routable(environ)) is None:
            return 404, "there is no WebSocket at this path"
        return self.gate.authorize(environ)

    def on_websocket(self, socket: LiveSocket) -> None:
        """Serve one client until it is gone."""
        self._sockets.add(socket)
        try:
            live_client.serve(self.services.hub, socket, self.figures.stats, partial(self._too_often, socket.environ))
        finally:
            self._sockets.discard(socket)

    def _too_often(self, environ: Environ) -> str | None:
        """Count a WebSocket's costly command as the call that it is."""
        try:
            self.gate.limits.check("api", environ)
        except Problem as problem:
            return problem.detail
        return None

    def _look_after_sessions(self, server: HardenedServer) -> None:
        """Every few seconds: learn what other fronts ended, and hang up on who would not be let in any more."""
        while not server.draining:
            try:
                self.gate.sessions.refresh()
            except DependencyTrouble as trouble:
                log.debug("ended sessions could not be read: %s", trouble)
            for count, socket in enumerate(list(self._sockets), start=1):
                if not self.gate.still_welcome(socket.environ):
                    socket.close(POLICY, "the session is over")
                if count % SOCKETS_AT_ONCE == 0:
                    gevent.sleep(0.001)
            gevent.sleep(SESSIONS_EVERY_S)

    def _look_after_health(self, server: HardenedServer) -> None:
        while not server.draining:
            self.health.look_again()
            gevent.sleep(HEALTH_EVERY_S)

    def push(self, server: HardenedServer) -> None:
        """Once a second: what slow clients lag behind, and the figures where they changed and somebody listens."""
        gevent.spawn(self._look_after_sessions, server)
        gevent.spawn(self._look_after_health, server)
        sent: dict[str, dict[str, Any]] = {}
        while not server.draining:
            gevent.sleep(PUSH_EVERY_S)
            self.services.hub.catch_up()
            try:
                self._push_figures(sent)
            except DependencyTrouble:
                continue
            except Exception:
                log.exception("The figures could not be made")

    def _push_figures(self, sent: dict[str, dict[str, Any]]) -> None:
        hub = self.services.hub
        wanted = [topic for topic in (STATS, QUEUE) if hub.wanted(topic)]
        stats = self.figures.stats() if wanted else {}
        for topic in wanted:
            data = stats if topic == STATS else queue_of(stats)
            if settled(data) != sent.get(topic):
                sent[topic] = settled(data)
                hub.push(topic, msgspec.json.encode(live_client.stats_message(topic, data)))

    # -- requests

    def _register(self) -> bottle.Bottle:
        app = bottle.Bottle()
        app.router.add_filter("segment", lambda _: (r"[^/]+", unquote_segment, None))
        app.router.add_filter("number", lambda _: (r"[0-9]+", unquote_segment, None))
        app.router.add_filter("rest", lambda _: (r".+", unquote_segment, None))
        app.default_error_handler = self._routing_error
        for route in ROUTES:
            rule = PARAMETER.sub(lambda match: f"<{match[1]}:{FILTERS.get(match[1], 'segment')}>", route.path)
            app.route(rule, route.method, endpoint(route, self), skip=True)
        return app

    def _routing_error(self, error: bottle.HTTPError) -> bottle.HTTPResponse:
        """What bottle's router refuses, told as a problem, and only to those who may ask at all."""
        environ = bottle.request.environ
        try:
            self.gate.limits.check("api", environ)
            if environ["PATH_INFO"].split("/")[1:2] not in [[name] for name in OPEN]:
                self.gate.identify(environ, "read")
        except Problem as problem:
            return refuse(problem, environ)
        if error.status_code == 405:
            allowed = ", ".join(sorted({*error.get_header("Allow").split(","), *_implied(error)}))
            return refuse(Problem(405, f"this path takes {allowed}", headers=(("Allow", allowed),)), environ)
        if error.status_code == 400:
            return refuse(Problem(400, "the path cannot be read"), environ)
        return refuse(Problem(404, "there is nothing at this path") if error.status_code == 404 else error, environ)

    def _simulate(self, environ: Environ, start: Callable[..., Any]) -> Iterable[bytes]:
        """Hand on to the simulator, to those who may use it."""
        try:
            self.gate.admit(environ, "read" if environ["REQUEST_METHOD"] in SAFE else "full")
        except Problem as problem:
            return send(refuse(problem, environ), environ, start)
        assert self.services.simulator is not None
        return self.services.simulator(environ, self._noting(environ, start))

    def _noting(self, environ: Environ, start: Callable[..., Any]) -> Callable[..., Any]:
        """Write down what changes the simulator for everybody, once it has succeeded."""
        path = environ["PATH_INFO"]
        if environ["REQUEST_METHOD"] in SAFE or path not in NOTED_OF_SIMULATOR:
            return start

        def noting(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if status.startswith("200"):
                role, who = self.gate.caller(environ)
                self.actions.write(environ, path, {}, 200, role or "", who)
            return start(status, headers, exc_info)

        return noting

    def _with_common_headers(self, environ: Environ, start_response: StartResponse) -> Callable[..., Any]:
        extra = list(COMMON)
        if "HTTP_ORIGIN" in environ and self.gate.allows_origin(environ):
            extra += [("Access-Control-Allow-Origin", environ["HTTP_ORIGIN"]), ("Vary", "Origin")]
            extra.append(("Access-Control-Expose-Headers", "Link, Retry-After, X-Request-Id"))

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            present = {name.lower() for name, _ in headers}
            missing = [each for each in (*extra, *DEFAULTS) if each[0].lower() not in present]
            return start_response(status, [*headers, *missing], exc_info)

        return start


@cache
def _described(version: str) -> bytes:
    return msgspec.json.encode(document(ROUTES, version))


def routable(environ: Environ) -> str:
    """The path as it was asked for, still percent-encoded, so that %2F is no slash; what needs no encoding has none."""
    path = raw_path(environ)
    return UNRESERVED.sub(lambda match: chr(int(match[1], 16)), path) if "%" in path else path


def unquote_segment(text: str) -> str:
    """A segment of a routable path as its sender meant it; ValueError (a 400) for what is no UTF-8."""
    return unquote_to_bytes(text).decode("utf-8", "surrogatepass")


def _implied(error: bottle.HTTPError) -> tuple[str, ...]:
    return ("HEAD",) if "GET" in error.get_header("Allow") else ()
