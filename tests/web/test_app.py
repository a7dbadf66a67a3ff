"""Every route in the table responds with a status and a shape that its description declares."""

import json
import re

import jsonschema  # type: ignore[import-untyped]  # it ships no types, and its stubs are not among our tools
import pytest
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from classification import weights
from fakemail.client import FakeMailClient
from tests.web.server_clients import serving
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.routes import ROUTES
from web.services import SourceConfig

PAGES = {"text/html", "text/plain", "text/css", "text/javascript", "image/svg+xml"}
RULE = {"name": "r", "conditions": [{"field": "subject", "pattern": "subject"}], "classification": "intro"}
REQUESTS = {
    "/webhook": {"history_id": 1},
    "/webhook/{source}": {"history_id": 1},
    "/classify": {"subject": "Offer", "body": "Buy now"},
    "/emails/{email_id}/label": {"classification": "intro"},
    "/actors/resize": {"workers": 2},
    "/dead-letters/replay": {"reason": "classifier_error", "dry_run": True},
    "/subscriptions": {"url": "http://127.0.0.1:9/hook"},
    "/subscriptions/{subscription_id}/enable": {"after": "beginning"},
    "/subscriptions/{subscription_id}/rotate": {},
    "/setup": {"webhook_url": "http://127.0.0.1:9/webhook"},
    "/login": {"token": "x"},
    "/erase": {"sender": "nobody@example.com", "dry_run": True},
    "/resync": {"from": "beginning"},
    "/rules": RULE,
    "/rules/test": {"rule": RULE, "limit": 10},
    "/rules/{rule_id}": RULE,
    "/reprocess": {"filter": {"classification": "meeting"}, "dry_run": True},
}
QUERIES = {
    "/results": "?limit=1&q=subject&min_confidence=0.1",
    "/results/{email_id}": "?include_content=true&explain=true",
    "/emails": "?limit=1&state=processed",
    "/stats/timeseries": "?step=minute&from=2026-01-01T00:00:00Z&to=2026-01-01T01:00:00Z",
}
NAMES = {
    "email_id": "mail%2F1",
    "source": "main",
    "client_id": "me",
    "name": "swagger-ui.css",
    "path": "index.html",
    "task_id": "1",
    "rule_id": "1",
    "subscription_id": "1",
    "version": weights.load(weights.PACKAGED)[1],
}


def id_of(route):
    return f"{route.method} {route.path}"


@pytest.fixture
def filled(system, index):
    """A system with something of everything."""
    system.process("mail/1", "mail/2")
    system.bury("bad/1", "bad/2", "bad/3")
    system.enter("new/1")
    system.services.classifier.keep_packaged()
    system.client.post("/rules", RULE)
    index()
    return system


class Contract:
    """The API description, used to check answers."""

    def __init__(self, document):
        self.document = document
        resource = DRAFT202012.create_resource(document)
        self.registry = Registry().with_resource("urn:api", resource)

    def judge(self, route, reply):
        responses = self.document["paths"][route.path][route.method.lower()]["responses"]
        assert str(reply.status) in responses, f"{reply.status} is not described: {reply.body[:300]!r}"
        response = responses[str(reply.status)]
        if "$ref" in response:
            response = self.document["components"]["responses"][response["$ref"].rpartition("/")[2]]
        media = reply.headers.get("content-type", "").partition(";")[0]
        content = response.get("content", {})
        if media.endswith("json") and "openapi" not in route.path:
            schema = content[media]["schema"]
            target = {"$ref": "urn:api#" + schema["$ref"].removeprefix("#")}
            jsonschema.Draft202012Validator(target, registry=self.registry).validate(reply.json)
        elif reply.body:
            assert media in PAGES | {"application/json"}


@pytest.fixture
def contract(system):
    return Contract(json.loads(system.app.openapi))


def target_of(route, letter_id):
    path = re.sub(r"\{(\w+)\}", lambda match: NAMES.get(match[1], str(letter_id)), route.path)
    return path + QUERIES.get(route.path, "")


def of_all(routes, judge):
    """Return what `judge` finds wrong, by route."""
    found = {id_of(route): judge(route) for route in routes}
    return {name: wrong for name, wrong in found.items() if wrong}


def ask(system, route, letter_id):
    body = (
        json.dumps(REQUESTS[route.path]).encode() if route.method in ("POST", "PUT") and route.path in REQUESTS else b""
    )
    headers = {"Content-Type": "application/json"} if body else {}
    return system.client.send(route.method, target_of(route, letter_id), body, headers)


def test_every_route_answers_as_it_is_described(filled, contract):
    expected = {"/setup": 409, "POST /login": 409, "/ws/emails/{client_id}": 426}

    def judge(route):
        [letter, *_] = filled.services.dead_letters.page()[0]
        reply = ask(filled, route, letter.id)
        contract.judge(route, reply)
        wanted = expected.get(id_of(route), expected.get(route.path, min(route.answers)))
        return reply.status != wanted and f"{reply.status}, not {wanted}: {reply.body[:200]!r}"

    assert of_all(ROUTES, judge) == {}


def test_head_answers_like_get_without_the_body(filled):
    def judge(route):
        target = target_of(route, 1)
        reply = filled.client.send("HEAD", target)
        return reply.body or reply.status != filled.client.get(target).status

    assert of_all([route for route in ROUTES if route.method == "GET"], judge) == {}


def test_every_answer_bears_the_safe_headers(filled):
    def judge(route):
        headers = filled.client.send(route.method, target_of(route, 1)).headers
        policy = headers["content-security-policy"]
        referrer = "same-origin" if route.path == "/login" and route.method == "GET" else "no-referrer"
        safe = (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", referrer)
        safe = safe and "default-src 'none'" in policy and "frame-ancestors 'none'" in policy
        stored = headers["cache-control"] not in ("no-store", "no-cache")
        return not safe or stored or "access-control-allow-origin" in headers

    assert of_all(ROUTES, judge) == {}


GUARDED = [route for route in ROUTES if route.access in ("read", "full")]


def test_with_a_token_every_guarded_route_wants_it(filled):
    client = filled.with_access(api_token="full", api_token_readonly="read")

    def statuses(route):
        tokens = ({}, *({"Authorization": f"Bearer {token}"} for token in ("wrong", "read", "full")))
        return [client.send(route.method, target_of(route, 1), b"", headers).status for headers in tokens]

    def judge(route):
        none, wrong, read, full = statuses(route)
        return (none, wrong) != (401, 401) or (read == 403) is not (route.access == "full") or full in (401, 403)

    assert of_all(GUARDED, judge) == {}


def test_without_a_token_other_host_names_are_refused(filled):
    def judge(route):
        return filled.client.send(route.method, target_of(route, 1), b"", {"Host": "evil.example"}).status != 403

    assert of_all(GUARDED, judge) == {}


def test_changing_routes_are_full_and_reading_ones_are_not():
    assert {route.path for route in ROUTES if route.access == "read" and route.method != "GET"} == set()
    assert {route.path for route in ROUTES if route.access == "full" and route.method == "GET"} == set()


def test_unknown_paths_are_404_problems(system):
    for target in ("/nothing", "/results/", "/emails//timeline", "/rule", "//", "/results/a/b"):
        reply = system.client.get(target)
        assert (reply.status, reply.headers["content-type"]) == (404, "application/problem+json"), target
        assert reply.json["instance"] == target
        assert reply.json["request_id"] == "test-request"


@pytest.mark.parametrize("path", ["rules/abc", "dead-letters/abc/replay", "tasks/-1", "subscriptions/%31a/deliveries"])
def test_a_path_with_a_word_for_a_number_says_what_an_id_is(system, path):
    assert system.client.get(f"/{path}").json["detail"].endswith(f"an id in /{path.split('/')[0]} consists of digits")
    for other in ("/rules/1/more", "/rules/", "/emails/a/b/c", "/dead-letters/groups/x", "/rules/test/1"):
        assert system.client.get(other).json["detail"] == "there is nothing at this path"


def test_unknown_paths_do_not_tell_strangers_that_they_are(system):
    client = system.with_access(api_token="full")
    assert client.get("/nothing").status == 401
    assert client.send("PATCH", "/stats").status == 401
    assert client.get("/health/nothing").status == 404


def test_other_methods_are_405_with_allow(system):
    assert system.client.delete("/stats").status == 405
    assert system.client.delete("/stats").headers["allow"] == "GET, HEAD"
    assert system.client.send("PUT", "/emails/a/label").headers["allow"] == "DELETE, POST"
    assert system.client.send("OPTIONS", "/stats").status == 405


def test_paths_that_only_look_different_are_the_same(system):
    assert system.client.get("/%73tats").status == 200
    assert system.client.get("/st%61ts%2Ftimeseries").status == 404


def test_a_path_that_is_no_utf8_is_400(system):
    assert system.client.get("/results/%ff").status == 400


@pytest.mark.parametrize(
    ("media", "expected"), [("text/plain", 415), ("", 415), ("application/json; charset=utf-8", 200)]
)
def test_other_posts_need_json(system, media, expected):
    body = b'{"subject":"a","body":"b"}'
    assert system.client.send("POST", "/classify", body, {"Content-Type": media}).status == expected


def test_a_post_that_needs_no_body_may_come_without(system):
    assert system.client.send("POST", "/actors/pause").status == 200
    assert system.client.send("POST", "/actors/pause", b"x", {"Content-Type": "text/plain"}).status == 415
    assert system.client.post("/actors/pause", {}).status == 200


def test_wrong_fields_are_422_and_named(system):
    reply = system.client.post("/classify", {"subject": 1, "body": "b"})
    assert reply.status == 422
    assert reply.json["errors"] == [{"field": "subject", "message": "must be a string, not a whole number"}]


def test_a_fault_of_ours_is_500_without_its_text(system, monkeypatch, caplog):
    def audit(_source):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(system.services.books, "audit", audit)
    reply = system.client.get("/audit")
    assert reply.status == 500
    assert "secret detail" not in reply.body.decode()
    assert "Traceback" not in reply.body.decode()
    assert "secret detail" in caplog.text


def test_cors_is_for_the_listed_origins_alone(system):
    client = system.with_access(cors_origins=("https://app.example",))
    ask = {"Access-Control-Request-Method": "POST"}
    allowed = client.send("OPTIONS", "/stats", b"", {"Origin": "https://app.example", **ask})
    assert (allowed.status, allowed.headers["access-control-allow-origin"]) == (204, "https://app.example")
    assert client.send("OPTIONS", "/stats", b"", {"Origin": "https://evil.example", **ask}).status == 405
    assert "access-control-allow-origin" in client.get("/stats", Origin="https://app.example").headers
    assert "access-control-allow-origin" not in client.get("/stats", Origin="https://evil.example").headers


def test_the_index_is_a_page_for_browsers_and_json_for_programs(system, tmp_path):
    reply = system.client.get("/")
    assert (reply.json["name"], reply.json["version"]) == ("email-processor", "1.2.3")
    assert len(reply.json["routes"]) == len(ROUTES)
    (tmp_path / "index.html").write_text("<!doctype html>")
    system.services.dashboard = tmp_path
    assert system.client.get("/", Accept="application/json, text/html;q=0.5").json["name"]
    page = system.client.get("/", Accept="text/html,*/*")
    assert page.body == b"<!doctype html>"
    assert "require-trusted-types-for" in page.headers["content-security-policy"]


def test_a_browser_without_a_session_is_led_to_the_login(system):
    client = system.with_access(api_token="full")
    reply = client.get("/", Accept="text/html")
    assert (reply.status, reply.headers["location"]) == (303, "/login")
    assert client.get("/docs", Accept="text/html").status == 303
    assert client.get("/").status == 401


def test_setup_watches_and_subscribes_and_is_kept(system, tmp_path):
    from fakemail.simulator import open_simulator
    from fakemail.simulator_http import simulator_app

    simulator = open_simulator(tmp_path)
    simulator.send([])
    try:
        with serving(simulator_app(simulator)) as server:
            url = f"http://127.0.0.1:{server.port}/simulator"
            client = FakeMailClient(url)
            system.services.sources = {"main": SourceConfig("main", url, client)}
            reply = WsgiClient(Application(system.services)).post("/setup", {"webhook_url": "http://127.0.0.1:9"})
            client.close()
    finally:
        simulator.close()
    assert reply.status == 200
    assert reply.json["webhook_url"] == "http://127.0.0.1:9/webhook"
    assert system.services.desired.get("setup")["webhook_url"] == "http://127.0.0.1:9/webhook"
    assert system.client.post("/setup", {"webhook_url": "ftp://x"}).status == 422
