"""The client of a request: the peer, or the nearest address before our proxies; no client can choose its own."""

import pytest

from web.clients import address_of, client_of

PROXIES = ("10.0.0.0/8", "::1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("1.2.3.4", "9.9.9.9", "1.2.3.4"),
        ("10.0.0.1", "9.9.9.9", "9.9.9.9"),
        ("10.0.0.1", "6.6.6.6, 9.9.9.9", "9.9.9.9"),
        ("10.0.0.1", "6.6.6.6, 9.9.9.9, 10.1.1.1", "9.9.9.9"),
        ("::1", "2001:db8::5", "2001:db8::5"),
        ("::1", "[2001:db8::5]:4711", "2001:db8::5"),
        ("10.0.0.1", "9.9.9.9:4711", "9.9.9.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("10.0.0.1", "9.9.9.9, unknown", "10.0.0.1"),
        ("10.0.0.1", "10.2.2.2, 10.1.1.1", "10.2.2.2"),
        ("10.0.0.1", ",".join(["9.9.9.9"] * 5000), "9.9.9.9"),
        ("::ffff:10.0.0.1", "9.9.9.9", "9.9.9.9"),
        ("", "9.9.9.9", ""),
    ],
)
def test_x_forwarded_for_is_read_from_the_right_and_believed_of_our_proxies_alone(peer, forwarded, address):
    assert address_of({"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}, PROXIES) == address


def test_without_proxies_the_peer_is_the_client():
    assert address_of({"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": "9.9.9.9"}, ()) == "10.0.0.1"


def test_a_network_of_ipv6_is_one_client_and_loopback_has_one_name():
    assert client_of({"REMOTE_ADDR": "2001:db8::1"}, ()) == client_of({"REMOTE_ADDR": "2001:db8::2"}, ())
    assert client_of({"REMOTE_ADDR": "127.0.0.5"}, ()) == "loopback"
    assert client_of({"REMOTE_ADDR": "::1", "HTTP_X_FORWARDED_FOR": "1.1.1.1"}, PROXIES) == "1.1.1.1"
