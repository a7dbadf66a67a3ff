"""The webhook: durable before the 202, whatever the content type; otherwise refused with a reason, and not kept."""

import json
import time

import msgspec
import pytest

from actors.bodies import LookBody, decode, look_mailbox
from engine.errors import DependencyTrouble
from engine.mailbox import Room
from fakemail.answers import MAX_HISTORY_ID
from fakemail.signature import sign
from fakemail.unset import NoFakeMail
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.services import SourceConfig

SECRET = "whsec_" + "c2VjcmV0" * 6


def hints(system, source="main"):
    """Return what waits in the mailbox for looks."""
    found = system.services.mailboxes.take(look_mailbox(source), "test/test/1", count=100, max_bytes=1 << 20, block=0)
    return [(each.envelope, decode(each.envelope.body, LookBody)) for each in found]


def post(client, body, target="/webhook", **headers):
    return client.send("POST", target, body, {"Content-Type": "application/json", **headers})


def test_a_notification_is_in_the_sources_mailbox_before_the_202(system):
    reply = post(system.client, b'{"history_id": 42}')
    assert reply.status == 202
    assert reply.json == {"status": "accepted", "history_id": 42}
    [(envelope, body)] = hints(system)
    assert (envelope.source, body.history_id, body.webhook_id) == ("main", 42, None)
    assert abs(envelope.times["received"] - time.time()) < 10


@pytest.mark.parametrize("media", ["application/json", "text/plain", "application/x-www-form-urlencoded", ""])
def test_any_content_type_will_do(system, media):
    assert system.client.send("POST", "/webhook", b'{"history_id":1}', {"Content-Type": media}).status == 202


@pytest.mark.parametrize(
    "body",
    [
        b'{"history_id":0}',
        b' \n{ "history_id" : 7 } ',
        b'{"history_id":7,"email_ids":["a","b"]}',
        b'{"email_ids":null,"more":{"a":[]},"history_id":7}',
        b'{"history_id":%d}' % MAX_HISTORY_ID,
        b'{"history_id":7,"thread":123456789012345678901234567890,"size":1e400}',
        b'{"history_id":7,"more":"\\ud800","deep":' + b"[" * 400 + b"]" * 400 + b"}",
    ],
)
def test_bodies_that_are_accepted(system, body):
    reply = post(system.client, body)
    assert reply.status == 202
    assert reply.json["history_id"] == json.loads(body)["history_id"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"42",
        b"null",
        b'{"history_id":"42"}',
        b'{"history_id":true}',
        b'{"history_id":4.0}',
        b'{"history_id":-1}',
        b'{"history_id":-0.0}',
        b'{"history_id":null}',
        b'{"history_id":01}',
        b'\x0b{"history_id":1}',
        b'{"history_id":\x0c1}',
        b'{"history_id":1e3}',
        b'{"history_id":%d}' % (MAX_HISTORY_ID + 1),
        b'{"history_id":123456789012345678901234567890}',
        b'{"history_id":1e400}',
        b'{"history_id":1,"history_id":2}',
        b'{"history_id":NaN}',
        b'{"history_id":1',
        b'\xff{"history_id":1}',
        '{"history_id":\uff11}'.encode(),
        b"[" * 10_000,
    ],
)
def test_bodies_that_cannot_be_read_are_400_and_leave_nothing(system, body):
    reply = post(system.client, body)
    assert reply.status == 400
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.json["request_id"] == "test-request"
    assert hints(system) == []


def test_long_webhook_ids_that_begin_alike_are_two_and_each_is_known_again(system):
    for end in "aba":
        assert post(system.client, b'{"history_id": 1}', **{"webhook-id": "x" * 300 + end}).status == 202
    found = [envelope.key for envelope, _ in hints(system)]
    assert len(found) == len(set(found)) == 2
    assert max(map(len, found)) <= 256


@pytest.mark.parametrize("path", ["/%77ebhook", "/webhoo%6B/%6dain", "/webhook/"])
def test_a_path_with_needless_escapes_is_the_same_path(system, path):
    assert post(system.client, b'{"history_id": 1}', path).status == 202
    assert len(hints(system)) == 1


def test_a_repetition_known_by_its_webhook_id_is_202_and_no_new_work(system):
    headers = {"webhook-id": "msg_1"}
    assert [post(system.client, b'{"history_id":5}', **headers).status for _ in range(3)] == [202, 202, 202]
    [(envelope, body)] = hints(system)
    assert (envelope.key, body.webhook_id) == ("msg_1", "msg_1")


def test_while_nobody_looks_so_many_hints_wait_and_one_that_stands_for_the_others(system):
    system.services.mailboxes.rooms[look_mailbox("main")] = Room(messages=3)
    for history_id in (5, 1, 2, 9, 4, 7):
        reply = post(system.client, b'{"history_id":%d}' % history_id, **{"webhook-id": f"msg_{history_id}"})
        assert (reply.status, reply.json["history_id"]) == (202, history_id)
    assert [body.history_id for _, body in hints(system)] == [5, 1, 2, 9]


def test_another_source_has_its_own_mailbox(system):
    system.services.sources = {**system.services.sources, "a/ b": SourceConfig("a/ b", "x", NoFakeMail())}
    client = WsgiClient(Application(system.services))
    assert post(client, b'{"history_id":5}', "/webhook/a%2F%20b").status == 202
    assert len(hints(system, "a/ b")) == 1
    assert hints(system) == []
    assert post(client, b'{"history_id":5}', "/webhook/other").status == 404


def signed(secret, body, at=None, msg_id="msg_1"):
    at = int(time.time()) if at is None else at
    return {"webhook-id": msg_id, "webhook-timestamp": str(at), "webhook-signature": sign(secret, msg_id, at, body)}


@pytest.fixture
def guarded(system):
    system.services.sources = {"main": SourceConfig("main", "x", NoFakeMail(), (SECRET, "old-secret"))}
    return WsgiClient(Application(system.services))


def test_a_signature_by_any_of_the_secrets_lets_it_in(guarded):
    body = b'{"history_id":5}'
    assert post(guarded, body, **signed(SECRET, body)).status == 202
    assert post(guarded, body, **signed("old-secret", body)).status == 202


@pytest.mark.parametrize(
    "headers",  # evaluated when the test runs, since a signature's time matters
    [
        dict,
        lambda: signed("another", b'{"history_id":5}'),
        lambda: signed(SECRET, b'{"history_id":6}'),
        lambda: signed(SECRET, b'{"history_id":5}', at=int(time.time()) - 400),
        lambda: signed(SECRET, b'{"history_id":5}', at=int(time.time()) + 400),
        lambda: {**signed(SECRET, b'{"history_id":5}'), "webhook-id": "msg_2"},
    ],
)
def test_other_signatures_are_401_and_leave_nothing(system, guarded, headers):
    assert post(guarded, b'{"history_id":5}', **headers()).status == 401
    assert hints(system) == []


def test_the_signature_is_checked_before_the_body_is_read(guarded):
    assert post(guarded, b"[" * 10_000).status == 401


def test_what_could_not_be_made_durable_is_503_with_retry_after(system, monkeypatch):
    def put(*_args, **_options):
        raise DependencyTrouble("refused", dependency="redis", retry_after=2.5)

    monkeypatch.setattr(system.services.mailboxes, "put", put)
    reply = post(system.client, b'{"history_id":5}')
    assert (reply.status, reply.headers["retry-after"]) == (503, "3")
    assert "refused" not in reply.body.decode()


def test_a_fault_of_ours_is_500_without_its_text(system, monkeypatch, caplog):
    def put(*_args, **_options):
        raise RuntimeError("secret detail")

    monkeypatch.setattr(system.services.mailboxes, "put", put)
    reply = post(system.client, b'{"history_id":5}')
    assert reply.status == 500
    assert "secret detail" not in reply.body.decode()
    assert "secret detail" in caplog.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_other_methods_are_405(system, method):
    reply = system.client.send(method, "/webhook", b"{}")
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


def test_it_is_logged_with_its_history_id(system, caplog):
    caplog.set_level("INFO")
    post(system.client, b'{"history_id":77}')
    [record] = [each for each in caplog.records if each.getMessage().startswith("Received webhook")]
    assert (record.history_id, record.source) == (77, "main")


def test_webhooks_need_no_token_and_no_loopback_host(system):
    client = system.with_access(api_token="secret")
    assert post(client, b'{"history_id":5}', Host="mail.example", **{"X-Forwarded-For": "1.2.3.4"}).status == 202


def test_the_hint_is_readable_by_any_msgpack_reader(system):
    post(system.client, b'{"history_id":9}')
    [(envelope, _)] = hints(system)
    assert msgspec.msgpack.decode(envelope.body)["history_id"] == 9
