"""The bus: subscribers receive the events, and none of them can disturb the publisher."""

from engine.events import Bus


def test_a_subscriber_hears_the_events_that_it_named():
    bus, heard = Bus(), []
    bus.subscribe(lambda name, fields: heard.append((name, fields)), "a")
    bus.emit("a", count=1)
    bus.emit("b", count=2)
    assert heard == [("a", {"count": 1})]


def test_a_subscriber_without_names_hears_all():
    bus, heard = Bus(), []
    bus.subscribe(lambda name, _fields: heard.append(name))
    bus.emit("a")
    bus.emit("b")
    assert heard == ["a", "b"]


def test_a_subscriber_that_raises_hurts_nobody(caplog):
    bus, heard = Bus(), []

    def broken(_name, _fields):
        raise ValueError("mine")

    bus.subscribe(broken, "a")
    bus.subscribe(lambda name, _fields: heard.append(name), "a")
    bus.emit("a")
    assert heard == ["a"]
    assert "a subscriber of a raised" in caplog.text
