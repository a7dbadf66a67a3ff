"""Locating a PostgreSQL: every address of its host is tried, as libpq would do."""

import socket

import gevent
import psycopg
import pytest
from gevent import monkey
from gevent.server import StreamServer

from engine.errors import SettingsError
from storage import drivers
from storage.database import Database
from storage.statements import execute

ADDRESSES = {"one": ["10.0.0.1"], "two": ["2001:db8::2", "10.0.0.2"]}


@pytest.fixture
def names(monkeypatch):
    """A name server that knows only these names."""

    def known(addresses):
        def look_up(host, *_args, **_how):
            if host not in addresses:
                raise socket.gaierror("unknown")
            return [(None, None, None, "", (each, 0)) for each in (*addresses[host], addresses[host][0])]

        original = monkey.get_original
        monkeypatch.setattr(
            monkey, "get_original", lambda *name: look_up if name[1] == "getaddrinfo" else original(*name)
        )

    return known


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"host": "one"}, {"host": "one", "hostaddr": "10.0.0.1"}),
        ({"host": "two"}, {"host": "two,two", "hostaddr": "2001:db8::2,10.0.0.2"}),
        ({"host": "two", "port": 5433}, {"host": "two,two", "hostaddr": "2001:db8::2,10.0.0.2", "port": 5433}),
        (
            {"host": "two,one", "port": "1,2"},
            {"host": "two,two,one", "hostaddr": "2001:db8::2,10.0.0.2,10.0.0.1", "port": "1,1,2"},
        ),
        (
            {"host": "one,two", "port": ",2"},
            {"host": "one,two,two", "hostaddr": "10.0.0.1,2001:db8::2,10.0.0.2", "port": ",2,2"},
        ),
    ],
)
def test_every_address_of_a_host_has_its_place_with_its_port(names, given, expected):
    names(ADDRESSES)
    assert drivers._resolved({**given, "dbname": "emails"}) == {**expected, "dbname": "emails"}


@pytest.mark.parametrize(
    "given",
    [
        {"host": "/run/postgresql"},
        {},
        {"host": "one", "hostaddr": "10.0.0.9"},
        {"host": "two", "port": "1,2"},  # of different lengths: left to libpq to report
    ],
)
def test_what_needs_no_looking_up_stays_as_it_is(names, given):
    names(ADDRESSES)
    assert drivers._resolved(given) == given


def test_a_host_that_nobody_knows_is_a_trouble(names):
    names(ADDRESSES)
    with pytest.raises(psycopg.OperationalError, match="cannot resolve nobody: unknown"):
        drivers._resolved({"host": "nobody"})


@pytest.mark.postgres
def test_a_host_whose_first_address_is_dead_is_reached_at_its_second(names, postgres):
    names({"db.example": ["127.0.0.2", "127.0.0.1"]})
    folder = postgres.url.partition("host=")[2]

    def pass_on(client, _address):
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(f"{folder}/.s.PGSQL.5432")
            ways = [gevent.spawn(_pour, client, server), gevent.spawn(_pour, server, client)]
            gevent.joinall(ways)

    door = StreamServer(("127.0.0.1", 0), pass_on)
    door.start()
    database = Database(f"postgresql://postgres@db.example:{door.server_port}/postgres")
    try:
        assert database.read(execute, "SELECT 1") == [(1,)]
    finally:
        database.close()
        door.stop()


def _pour(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://me:hunter2%ss@db/emails", "invalid percent-encoded token"),
        ("postgresql://me:hunter2%00@db/emails", "forbidden value %00 in percent-encoded value"),
        ("postgresql://me:hunter2 x@db/emails", "unexpected spaces found"),
        ("postgresql://me:hunter2@[::1]x/emails", "unexpected character"),
        ("postgresql://me@db/emails?password=a&hunter2=b", "invalid URI query parameter"),
        ("postgresql://me@db/emails?password=a&hunter2", "missing key/value separator"),
    ],
)
def test_an_unreadable_url_is_refused_with_the_reason_and_without_its_password(url, says):
    with pytest.raises(SettingsError) as caught:
        drivers.PostgresDriver(url)
    assert str(caught.value).startswith(f"DATABASE_URL cannot be read: {says}")
    assert "hunter2" not in str(caught.value)
