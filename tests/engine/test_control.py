"""The desired state: nothing runs before it is known, a call reads it at once, and an outage keeps the last one."""

import gevent
import pytest

from engine.control import Control
from engine.errors import DependencyTrouble
from tests.engine.helpers import Faults, until
from tests.engine.memory_mailbox import MemoryMailboxes


class Desired(dict[str, object]):
    """The desired state in SQL; `away` makes it unreachable."""

    away = False
    reads = 0

    def read(self):
        self.reads += 1
        if self.away:
            raise DependencyTrouble("refused", dependency="database")
        return dict(self)


@pytest.fixture
def desired():
    return Desired()


@pytest.fixture
def control(desired):
    control = Control(desired.read, MemoryMailboxes(), reread=10.0)
    yield control
    control.stop()


def test_until_it_is_known_nothing_is_taken(control, desired):
    desired.away = True
    control.start()
    until(lambda: desired.reads)
    assert control.paused
    assert not control.known


def test_what_is_desired_is_read_at_the_start(control, desired):
    desired.update(workers=5, model="v2")
    control.start()
    until(lambda: control.known)
    assert (control.paused, control.workers, control.versions) == (False, 5, {"rules": None, "model": "v2"})


def test_a_call_has_it_read_at_once(control, desired):
    control.start()
    until(lambda: control.known)
    gevent.sleep(0.02)
    desired["paused"] = True
    control.store.call("control")
    until(lambda: control.paused)


def test_without_a_call_it_is_read_again_after_a_while(desired):
    control = Control(desired.read, MemoryMailboxes(), reread=0.02)
    control.start()
    until(lambda: control.known)
    desired["paused"] = True
    until(lambda: control.paused)
    control.stop()


def test_listeners_are_told_of_changes_and_of_nothing_else(control, desired):
    told = []
    control.on_change(lambda state: told.append(state.workers))
    control.read()
    control.read()
    desired["workers"] = 4
    control.read()
    assert told == [None, 4]


def test_who_listens_late_is_told_what_is_known(control, desired):
    desired["workers"] = 4
    control.read()
    told = []
    control.on_change(lambda state: told.append(state.workers))
    assert told == [4]


def test_a_listener_that_raises_hurts_nobody(control):
    told: list[Control] = []
    control.on_change(lambda _state: 1 / 0)
    control.on_change(told.append)
    control.read()
    assert told == [control]


def test_in_an_outage_the_last_known_state_stays(control, desired):
    desired["workers"] = 4
    control.start()
    until(lambda: control.known)
    desired.away = True
    reads = desired.reads
    control.store.call("control")
    until(lambda: desired.reads > reads)
    assert control.workers == 4
    desired.away = False
    desired["workers"] = 6
    control.store.call("control")
    until(lambda: control.workers == 6)


def test_a_store_that_is_away_is_listened_to_again(desired):
    left = ["before"] * 3
    store = Faults(MemoryMailboxes(), lambda _name: left.pop() if left else "")
    control = Control(desired.read, store, reread=10.0)
    control.start()
    until(lambda: not left)
    gevent.sleep(0.02)
    desired["paused"] = True
    store.call("control")
    until(lambda: control.paused)
    control.stop()
