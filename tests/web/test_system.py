"""Actors and their control, the audit, setup, metrics."""

import pytest

from engine.errors import DependencyTrouble
from fakemail.client import RequestRefused
from fakemail.unset import NoFakeMail
from tests.web.test_health import Account
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.services import SourceConfig


def test_actors_shows_the_tree_of_every_node(system):
    answer = system.client.get("/actors").json
    [node] = answer["nodes"]
    [process] = node["processes"]
    assert (node["node"], process["process"], process["role"], process["workers"]) == (
        "node",
        "node/worker-1",
        "worker",
        3,
    )
    supervisor, classifier = process["actors"]
    assert (supervisor["parent"], classifier["parent"], classifier["mailbox"]) == (None, "supervisor", "classify")
    assert (classifier["handled"], classifier["restarts"], classifier["last_error"]) == (0, 0, None)
    assert set(answer["mailboxes"]) == {"look.main", "fetch", "classify", "dead"}
    assert set(answer["mailboxes"]["fetch"]) == {"high", "normal", "low", "quarantine"}


def test_control_is_desired_state_and_everybody_is_called(system):
    mailboxes = system.services.mailboxes
    last, _ = mailboxes.listen(None, block=0.01)
    assert system.client.post("/actors/pause").json == {"paused": True, "workers": 3}
    assert system.services.desired.get("paused") is True
    assert mailboxes.listen(last, block=0.5)[1] == ["control"]
    assert system.client.post("/actors/resize", {"workers": 5}).json == {"paused": True, "workers": 5}
    assert system.client.post("/actors/resume").json == {"paused": False, "workers": 5}
    assert system.client.get("/actors").json["workers"] == 5


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/actors/pause", None, 200),
        ("/rules", {"name": "news", "conditions": [{"field": "sender", "pattern": "x"}], "priority": "low"}, 201),
        ("/models/{live}/promote", None, 200),
    ],
)
def test_what_is_decided_while_redis_is_away_is_in_force_and_says_so(system, monkeypatch, path, body, status):
    def away(_topic):
        raise DependencyTrouble("connection refused", dependency="redis")

    monkeypatch.setattr(system.services.mailboxes, "call", away)
    path = path.format(live=system.services.classifier.packaged.version)
    assert system.client.post(path, body).status == status
    [act] = system.client.get("/actions").json["items"]
    assert (act["target"], act["status"]) == (path, status)


@pytest.mark.parametrize("workers", [0, 65, 1.5, "3", None, True])
def test_a_pool_has_1_to_64_workers(system, workers):
    assert system.client.post("/actors/resize", {"workers": workers}).status == 422


def test_the_audit_is_balanced(system):
    system.process("a")
    system.bury("b")
    system.enter("c")
    audit = system.client.get("/audit").json
    assert (
        audit["listed"]
        == 3
        == sum(audit[name] for name in ("results", "queued", "retrying", "dead", "discarded", "erased"))
    )
    assert audit["unaccounted"] == 0
    assert audit["as_of"].endswith("Z")


def with_sources(system, **clients):
    """Return a client of the same system with other sources, all in the books."""
    for name in clients:
        system.services.books.open_source(name, f"http://{name}" if name != "main" else "http://127.0.0.1:1")
    system.services.sources = {name: SourceConfig(name, "x", client) for name, client in clients.items()}
    return WsgiClient(Application(system.services))


def test_each_source_has_an_audit_of_its_own(system):
    client = with_sources(system, main=Account(), sales=Account())
    system.enter("a", "b")
    system.enter("a", source=system.services.books.source("sales"))
    assert [client.get(f"/audit{query}").json["listed"] for query in ("", "?source=main", "?source=sales")] == [3, 2, 1]
    assert client.get("/audit?source=nobody").status == 404


def test_setup_subscribes_one_source_at_its_own_webhook(system):
    client = with_sources(system, main=Account(), sales=Account())
    reply = client.post("/setup?source=sales", {"webhook_url": "http://127.0.0.1:8005/webhook"})
    assert reply.json["webhook_url"] == "http://127.0.0.1:8005/webhook/sales"
    assert system.services.sources["sales"].client.told == ["http://127.0.0.1:8005/webhook/sales"]
    assert system.services.sources["main"].client.told == []
    assert system.services.desired.get("setup:sales")["webhook_url"] == "http://127.0.0.1:8005/webhook/sales"
    assert client.post("/setup", {"webhook_url": "http://127.0.0.1:8005"}).json["source"] == "main"


class Refusing(Account):
    """A FakeMail that responds, and rejects the URL."""

    def subscribe(self, _webhook_url):
        raise RequestRefused("FakeMail refuses /subscribe: status 400", dependency="fakemail")


def test_setup_tells_a_refusal_from_an_outage_and_from_a_fakemail_that_nobody_named(system):
    body = {"webhook_url": "http://127.0.0.1:8005"}
    refused = with_sources(system, main=Refusing()).post("/setup", body)
    assert (refused.status, refused.json["detail"]) == (502, "FakeMail refuses /subscribe: status 400")
    unset = with_sources(system, main=NoFakeMail()).post("/setup", body)
    assert (unset.status, unset.json["detail"]) == (409, "FAKEMAIL_API_URL is not set and the simulator is off")
    assert [("retry-after" in reply.headers, reply.json["dependency"]) for reply in (refused, unset)] == [
        (False, "fakemail")
    ] * 2
    assert system.services.desired.get("setup") is None


def test_where_none_is_called_main_a_source_must_be_named(system):
    client = with_sources(system, sales=Account(), support=Account())
    for call in (("/setup", {"webhook_url": "http://127.0.0.1"}), ("/resync", {"from": "beginning"})):
        reply = client.post(*call)
        assert (reply.status, reply.json["sources"]) == (409, ["sales", "support"])
    assert client.post("/resync?source=support", {"from": 0}).json["params"] == {"source": "support", "from": 0}
    assert client.post("/resync?source=main", {"from": 0}).status == 404


def test_metrics_are_plain_text(system):
    reply = system.client.get("/metrics")
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert reply.body == b"emailproc_up 1\n"


def test_a_url_that_is_none_is_told_in_words(system):
    reply = system.client.post("/setup", {"webhook_url": "nonsense"})
    assert (reply.status, reply.json["errors"][0]["field"]) == (422, "webhook_url")
    assert "must be an http:// or https:// URL" in reply.json["detail"]


def test_prometheus_reads_the_metrics_by_its_own_token_under_any_name(system):
    client = system.with_access(metrics_token="scrape", allow_anonymous=True)
    asked = {"Host": "app:8005", "Authorization": "Bearer scrape"}
    assert client.get("/metrics", **asked).status == 200
    assert client.get("/stats", **asked).status in (401, 403)
