"""Too little free disk closes the process's gate, with the reason, and it reopens by itself."""

import pytest

from actors.disk import MIB, DiskWatch
from engine.control import Control
from engine.events import Bus
from tests.actors.conftest import eventually


@pytest.fixture
def control(mailboxes):
    made = Control(dict, mailboxes)
    made.read()
    return made


def test_it_stops_taking_in_time_and_goes_on_when_there_is_room(started, control, tmp_path):
    free = [1000 * MIB]
    started(
        DiskWatch,
        name="disk",
        bus=Bus(),
        control=control,
        folders=[tmp_path],
        minimum=256 * MIB,
        free=lambda _: free[0],
        every=0.01,
    )
    assert not control.paused
    free[0] = 255 * MIB
    eventually(lambda: control.paused)
    assert control.obstacle.startswith("255 MB are free")
    assert not control.desired_pause
    free[0] = 260 * MIB  # enough, but the gate must not flap
    eventually(lambda: control.obstacle.startswith("260 MB"))
    free[0] = 300 * MIB
    eventually(lambda: not control.paused)


def test_the_fullest_of_several_counts_and_one_that_cannot_be_asked_does_not(started, control, tmp_path):
    def free(folder):
        if folder.name == "gone":
            raise OSError("gone")
        return (10 if folder.name == "full" else 1000) * MIB

    folders = [tmp_path / name for name in ("roomy", "gone", "full")]
    started(
        DiskWatch, name="disk", bus=Bus(), control=control, folders=folders, minimum=20 * MIB, free=free, every=0.01
    )
    eventually(lambda: control.paused)
    assert "full" in control.obstacle


def test_a_pause_by_a_person_and_a_full_disk_do_not_lift_each_other(control):
    control.obstacle = "10 MB"
    control.read_desired = lambda: {"paused": True}
    control.read()
    control.obstacle = ""
    assert control.paused
    control.read_desired = lambda: {"paused": False}
    control.read()
    assert not control.paused
