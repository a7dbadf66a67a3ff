"""Which user-given URLs we may call: a table of disguised addresses; the connection goes to the checked address."""

import gevent
import pytest
from gevent import socket

from fakemail.egress import Egress, EgressRefused
from fakemail.transport import Connections, Timeouts, Unreachable

CLOSED = Egress()

INTERNAL = [
    "http://127.0.0.1/", "http://127.9.9.9/", "http://localhost/", "http://[::1]/", "http://0.0.0.0/", "http://0/", "http://10.0.0.1/",
    "http://172.16.0.1/", "http://172.31.255.255/", "http://192.168.1.1/", "http://169.254.169.254/latest/meta-data", "http://100.64.0.1/",
    "http://2130706433/", "http://0x7f000001/", "http://0x7f.1/", "http://017700000001/", "http://127.1/", "http://[::ffff:127.0.0.1]/",
    "http://[::ffff:10.0.0.1]/", "http://[::127.0.0.1]/", "http://[64:ff9b::10.0.0.1]/", "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/",
    "http://[2002:a00:1::]/", "http://[fe80::1]/", "http://[fc00::1]/", "http://[fd12:3456::1]/", "http://[ff02::1]/", "http://224.0.0.1/",
    "http://255.255.255.255/", "http://240.0.0.1/", "http://192.0.2.1/", "http://198.18.0.1/", "http://[2001:db8::1]/", "http://[::]/",
    "https://LOCALHOST:8443/", "http://localhost./", "http://192.0.0.192/", "http://192.0.0.9/", "http://192.88.99.1/", "http://168.63.129.16/",
    "http://203.0.113.1/", "http://[fec0::1]/", "http://[feff::1]/", "http://[64:ff9b:1::10.0.0.1]/", "http://[64:ff9b::192.168.0.1]/",
    "http://[2001::1]/", "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]/", "http://[2001:20::1]/", "http://[2002:101:101::1]/",
    "http://[3fff::1]/", "http://[5f00::1]/", "http://[100::1]/", "http://[4000::1]/", "http://[e000::1]/", "http://[::1.1.1.1]/",
    "http://[::ffff:0:127.0.0.1]/", "http://[2606:4700::5efe:10.0.0.1]/", "http://[2606:4700:0:0:200:5efe:7f00:1]/",
]  # fmt: skip
PUBLIC = [
    "http://93.184.216.34/",
    "https://1.1.1.1:8443/x?y",
    "http://[2606:4700::1111]/",
    "http://[::ffff:1.1.1.1]/",
    "http://[64:ff9b::1.1.1.1]/",
    "http://[2606:4700::5efe:1.1.1.1]/",
    "http://192.0.1.1/",
    "http://172.32.0.1/",
    "http://[2003::1]/",
]
NO_URL = [
    "", "x", "//host/", "ftp://1.1.1.1/", "file:///etc/passwd", "gopher://1.1.1.1/", "http:///x", "http://", "http://1.1.1.1:0/",
    "http://1.1.1.1:99999/", "http://[/", "http://user@1.1.1.1/", "http://a:b@1.1.1.1/", "http://1.1.1.1/a b", "http://1.1.1.1/\r\nX: y",
    "http://127.0.0.1%00.example/", "http://127.0.0.1%0d%0aX/", "http://[fe80::1%25eth0]/", "http://1.1.1.1\\.127.0.0.1/",
    "http://a,b/", "http://a;b/", "http://a|b/", "http://a..%2f/", "http://b\u00fccher.example/", "javascript:alert(1)", "http://%31%32%37.0.0.1@1.1.1.1/",
]  # fmt: skip


@pytest.mark.parametrize("url", INTERNAL)
def test_internal_addresses_are_closed_in_every_disguise(url):
    with pytest.raises(EgressRefused) as refused:
        CLOSED.check(url)
    assert url not in str(refused.value)


@pytest.mark.parametrize("url", PUBLIC)
def test_public_addresses_are_open(url):
    CLOSED.check(url)


@pytest.mark.parametrize("url", NO_URL)
def test_what_is_no_plain_url_is_refused(url):
    with pytest.raises(EgressRefused):
        Egress(["0.0.0.0/0", "::/0"], loopback=True).check(url)


def test_loopback_alone_can_be_opened():
    local = Egress(loopback=True)
    for url in ("http://127.0.0.1:9/", "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/"):
        local.check(url)
    for url in ("http://10.0.0.1/", "http://169.254.169.254/", "http://0.0.0.0/"):
        with pytest.raises(EgressRefused):
            local.check(url)


def test_networks_addresses_and_names_can_be_opened():
    some = Egress(["10.1.0.0/16", "fd00::/8", "192.168.7.7", "localhost"])
    for url in ("http://10.1.2.3/", "http://[fd00::1]/", "http://192.168.7.7/", "http://LocalHost:81/"):
        some.check(url)
    for url in ("http://10.2.0.1/", "http://192.168.7.8/", "http://127.0.0.1/"):
        with pytest.raises(EgressRefused):
            some.check(url)


def test_the_origins_of_the_settings_are_trusted_and_no_other_port_of_them():
    own = Egress(trusted=["http://127.0.0.1:8005/webhook", "https://10.0.0.9"])
    own.check("http://127.0.0.1:8005/other")
    own.check("https://10.0.0.9:443/x")
    for url in ("http://127.0.0.1:8006/", "http://10.0.0.9/"):
        with pytest.raises(EgressRefused):
            own.check(url)


def test_a_name_that_has_one_closed_address_among_open_ones_is_closed(monkeypatch):
    found = [(socket.AF_INET, 1, 6, "", (address, 80)) for address in ("1.1.1.1", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: found)
    with pytest.raises(EgressRefused):
        CLOSED.check("http://mixed.example/")


def test_a_name_that_cannot_be_resolved_is_looked_up_again_by_who_connects(monkeypatch):
    def unknown(*_args, **_options):
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    CLOSED.check("http://later.example/")
    with pytest.raises(OSError, match="unknown"):
        CLOSED.resolve("later.example", 80)


def test_a_name_that_changes_between_check_and_connection_reaches_nothing(monkeypatch):
    """DNS rebinding: public when the URL is checked, loopback when it is called."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    port = listener.getsockname()[1]
    answers = iter([[(2, 1, 6, "", ("1.1.1.1", port))], [(2, 1, 6, "", ("127.0.0.1", port))]])
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: next(answers))
    url = f"http://rebinding.example:{port}/"
    CLOSED.check(url)
    with pytest.raises(Unreachable):
        Connections(url, CLOSED.resolve).exchange(
            b"GET / HTTP/1.1\r\n\r\n", max_bytes=10, timeouts=Timeouts(0.5, 0.5, 1)
        )
    listener.settimeout(0.1)
    with pytest.raises(TimeoutError):
        listener.accept()
    listener.close()


def test_the_connection_goes_to_the_address_that_was_looked_at_and_follows_no_redirect(monkeypatch):
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(1)
    host, port = listener.getsockname()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: [(2, 1, 6, "", (host, port))])

    def redirect():
        sock, _ = listener.accept()
        seen.append(sock.recv(1000))
        sock.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        sock.close()

    seen: list[bytes] = []
    server = gevent.spawn(redirect)
    connections = Connections("http://any.example/", Egress(loopback=True).resolve)
    answer = connections.exchange(
        b"GET / HTTP/1.1\r\nHost: any.example\r\n\r\n", max_bytes=10, timeouts=Timeouts(1, 1, 2)
    )
    server.join()
    connections.close()
    assert (answer.status, len(seen)) == (302, 1)
    listener.close()
