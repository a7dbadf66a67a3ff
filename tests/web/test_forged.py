"""Forged webhooks through the whole application: refused without a trace, while valid ones get through."""

import random
import time

from fakemail.unset import NoFakeMail
from tests.security import test_forgeries
from tests.security.test_forgeries import OURS, forgeries, good
from tests.web.wsgi_client import WsgiClient
from web.app import Application
from web.services import SourceConfig


def test_forgeries_leave_nothing_behind_and_good_ones_between_them_get_through(system, monkeypatch):
    monkeypatch.setattr(test_forgeries, "NOW", int(time.time()))  # that module may have been imported minutes ago
    system.services.sources = {"main": SourceConfig("main", "x", NoFakeMail(), (OURS,))}
    client = WsgiClient(Application(system.services))
    rng, statuses, good_ones = random.Random(3), set(), []
    for number, (headers, body) in enumerate(forgeries(11, 2000)):
        statuses.add(client.send("POST", "/webhook", body, headers).status)
        if number % 20 == 0:
            signed, whole = good(rng)
            good_ones.append(client.send("POST", "/webhook", whole, signed).status)
    assert statuses == {401}
    assert set(good_ones) == {202}
    assert sum(depth.messages for depth in system.services.mailboxes.depths("look.main").values()) == len(good_ones)
