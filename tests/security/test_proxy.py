"""deploy/haproxy.cfg, with only ports and certificate changed: a TLS proxy in front of a real system."""

import contextlib
import json
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
import websocket

from engine.listening import free_port
from fakemail.signature import new_secret, sign
from tests.conftest import missing
from tests.flow.system import ROOT, System
from tests.servers import wait_until

CONFIGURATION = ROOT / "deploy" / "haproxy.cfg"
CLIENT = ("127.0.0.77", 0)
TOKEN = "proxied-token"
SECRET = new_secret()


class Proxy:
    """A running HAProxy."""

    def __init__(self, folder: Path, behind: str) -> None:
        program = shutil.which("haproxy") or ("/usr/sbin/haproxy" if Path("/usr/sbin/haproxy").exists() else None)
        if program is None:
            missing("HAProxy (apt-get install haproxy)")
        self.tls, self.plain = free_port(), free_port()
        self._certificate(folder)
        text = CONFIGURATION.read_text()
        for old, new in (
            ("bind :80 ", f"bind 127.0.0.1:{self.plain} "),
            ("bind :443 ", f"bind 127.0.0.1:{self.tls} "),
            ("/etc/haproxy/certs/mail.pem", str(folder / "mail.pem")),
            ("127.0.0.1:8005", behind.removeprefix("http://")),
        ):
            assert text.count(old) == 1 or "8005" in old, old
            text = text.replace(old, new)
        (folder / "haproxy.cfg").write_text(text)
        check = subprocess.run(
            [str(program), "-c", "-f", "haproxy.cfg"], cwd=folder, capture_output=True, text=True, check=False
        )
        assert check.returncode == 0, check.stderr
        assert "WARNING" not in check.stderr, check.stderr
        self.process = subprocess.Popen(
            [str(program), "-db", "-f", "haproxy.cfg"], cwd=folder, stderr=subprocess.DEVNULL
        )
        wait_until(self._answers, "the proxy")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError):
            return bool(self.ask("GET", "/health/live").status == 200)
        return False

    @staticmethod
    def _certificate(folder: Path) -> None:
        command = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=mail.example",
        ]
        subprocess.run([*command, "-keyout", "key.pem", "-out", "crt.pem"], cwd=folder, check=True, capture_output=True)
        (folder / "mail.pem").write_text((folder / "crt.pem").read_text() + (folder / "key.pem").read_text())

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """Make one request over TLS, from an address of its own; return the answer with its `body` and `names`."""
        context = ssl._create_unverified_context()
        connection = HTTPSConnection("127.0.0.1", self.tls, timeout=10, context=context, source_address=CLIENT)
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        given = {
            "Host": "mail.example",
            "Content-Type": "application/json",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        connection.request(method, path, raw, given)
        answer: Any = connection.getresponse()
        answer.body = answer.read()
        connection.close()
        return answer

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(10)


@pytest.fixture(scope="module")
def behind(tmp_path_factory, short_tmp) -> Iterator[tuple[System, Proxy]]:
    settings = {"API_TOKEN": TOKEN, "WEBHOOK_SECRET": SECRET, "TRUSTED_PROXIES": "127.0.0.1"}
    yield from _running(short_tmp / "proxied", tmp_path_factory.mktemp("proxy"), settings)


@pytest.fixture(scope="module")
def open_system(tmp_path_factory, short_tmp) -> Iterator[tuple[System, Proxy]]:
    yield from _running(short_tmp / "tunnelled", tmp_path_factory.mktemp("tunnel"), {})


def _running(folder: Path, proxy_folder: Path, settings: dict[str, str]) -> Iterator[tuple[System, Proxy]]:
    system = System(folder, {"PROCESSOR_PROCESSES": "0", **settings}).start()
    try:
        proxy = Proxy(proxy_folder, system.url)
        yield system, proxy
        proxy.stop()
    finally:
        system.stop()


def test_plain_http_is_led_to_tls(behind):
    connection = HTTPConnection("127.0.0.1", behind[1].plain, timeout=10)
    connection.request("GET", "/login", headers={"Host": "mail.example"})
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Location")) == (308, "https://mail.example/login")
    connection.close()


def test_a_session_through_it_is_secure_and_named_by_its_own_address(behind):
    _, proxy = behind
    answer = proxy.ask(
        "POST", "/login", {"token": TOKEN}, X_Forwarded_For="9.9.9.9", Forwarded="for=9.9.9.9", X_Forwarded_Proto="http"
    )
    cookie = answer.getheader("Set-Cookie")
    assert answer.status == 200
    assert cookie.startswith("__Host-emailproc_session=")
    assert "; Secure" in cookie
    assert answer.getheader("Strict-Transport-Security")
    session = cookie.partition(";")[0]
    assert proxy.ask("GET", "/stats", Cookie=session).status == 200
    assert proxy.ask("POST", "/actors/resume", Cookie=session, Origin="https://mail.example").status == 200
    assert proxy.ask("POST", "/actors/resume", Cookie=session, Origin="https://evil.example").status == 403
    acts = json.loads(proxy.ask("GET", "/actions", Cookie=session).body)["items"]
    assert {act["address"] for act in acts} == {CLIENT[0]}


@pytest.mark.parametrize("path", ["/subscriptions", "/simulator/subscribe", "/setup"])
def test_who_comes_through_it_cannot_have_this_machine_s_own_services_called(behind, path):
    _, proxy = behind
    body = {"url" if path == "/subscriptions" else "webhook_url": "http://127.0.0.1:9/"}
    answer = proxy.ask("POST", path, body, Authorization=f"Bearer {TOKEN}")
    assert answer.status == 422
    assert b"EGRESS_ALLOW" in answer.body


def test_webhooks_come_through_signed(behind):
    _, proxy = behind
    body, now = b'{"history_id": 3}', int(time.time())
    headers = {"webhook_id": "m1", "webhook_timestamp": str(now), "webhook_signature": sign(SECRET, "m1", now, body)}
    assert proxy.ask("POST", "/webhook", body, **headers).status == 202
    assert proxy.ask("POST", "/webhook", body).status == 401


def test_websockets_come_through_with_the_session_and_from_our_own_pages_alone(behind):
    _, proxy = behind
    session = proxy.ask("POST", "/login", {"token": TOKEN}).getheader("Set-Cookie").partition(";")[0]

    def connect(**options: Any) -> Any:
        return websocket.create_connection(
            f"wss://127.0.0.1:{proxy.tls}/ws/emails/a",
            sslopt={"cert_reqs": ssl.CERT_NONE},
            host="mail.example",
            timeout=10,
            **options,
        )

    live = connect(cookie=session, origin="https://mail.example")
    live.send('{"command": "ping"}')
    assert json.loads(live.recv())["type"] == "pong"
    live.close()
    for options in ({"origin": "https://mail.example"}, {"cookie": session, "origin": "https://evil.example"}):
        with pytest.raises(websocket.WebSocketBadStatusException):
            connect(**options)


def test_what_could_be_read_in_two_ways_does_not_get_through(behind):
    _, proxy = behind
    context = ssl._create_unverified_context()
    for smuggled in (
        b"Content-Length: 4\r\nTransfer-Encoding: chunked",
        b"Content-Length: 4\r\nContent-Length: 5",
        b"Content-Length: +4",
    ):
        with socket.create_connection(("127.0.0.1", proxy.tls), 5) as plain, context.wrap_socket(plain) as client:
            client.sendall(
                b"POST /webhook HTTP/1.1\r\nHost: x\r\n"
                + smuggled
                + b"\r\n\r\n0\r\n\r\nGET /stats HTTP/1.1\r\nHost: x\r\n\r\n"
            )
            client.settimeout(5)
            answers = b""
            with contextlib.suppress(TimeoutError, OSError):
                while part := client.recv(65536):
                    answers += part
                    if answers.count(b"HTTP/1.1 ") > 1:
                        break
            assert b" 200 " not in answers.partition(b"\r\n")[0]
            assert b"total_emails_processed" not in answers


def test_without_a_token_a_tunnel_reaches_webhooks_and_health_alone(open_system):
    _, proxy = open_system
    assert proxy.ask("POST", "/webhook", {"history_id": 1}).status == 202
    assert proxy.ask("GET", "/health").status == 200
    for path in (
        "/",
        "/stats",
        "/emails",
        "/static/icon.svg",
        "/login",
        "/simulator/status",
        "/docs",
        "/openapi.json",
        "/metrics",
        "/nothing",
    ):
        assert proxy.ask("GET", path).status == 403, path
        assert proxy.ask("GET", path, Host="localhost").status == 403, path
    for path in ("/actors/pause", "/simulator/send_email", "/setup"):
        assert proxy.ask("POST", path, {}).status == 403, path
