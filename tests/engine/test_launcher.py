"""The launcher with tiny real processes: none is left behind or stays down, and only seen deaths count as crashes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.child_process import ChildProcess, ProcessSpec
from tests.servers import wait_until

ROOT = Path(__file__).parents[2]
NODE = ROOT / "tests" / "engine" / "programs" / "node.py"


class Node:
    """A launcher in a folder, and the diary of its children."""

    def __init__(self, folder):
        self.folder = folder
        self.diary_file = folder / "diary"
        self.launchers = []

    def start(self, *children, **options):
        options = {"grace": 5.0, "silence": 5.0, "stop_children": 0.4, "stop_services": 1.0, "patience": 0.3, **options}
        process = subprocess.Popen(
            [sys.executable, str(NODE), str(self.folder), json.dumps(options), *children],
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}"},
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.launchers.append(process)
        return process

    def diary(self):
        return self.diary_file.read_text().splitlines() if self.diary_file.exists() else []

    def starts(self, name):
        return [line.split()[2:] for line in self.diary() if line.startswith(f"{name} started")]

    def wait_for_start(self, name, number=1):
        wait_until(lambda: len(self.starts(name)) >= number, f"start {number} of {name}")
        return int(self.starts(name)[number - 1][0])

    def close(self):
        for process in self.launchers:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.close()


def gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def ended(launcher, within=5.0):
    return launcher.wait(within)


def test_it_starts_services_and_children_and_sigterm_ends_all_with_code_0(node):
    launcher = node.start("a=beat", "b=beat", service=True)
    pids = [node.wait_for_start("a"), node.wait_for_start("b")]
    launcher.terminate()
    assert ended(launcher) == 0
    diary = node.diary()
    assert diary[0].startswith("service started")
    assert diary[-1].startswith("service stopped")
    assert {"a asked to stop", "b asked to stop"} < set(diary)
    assert all(gone(pid) for pid in pids)


def test_a_killed_child_is_restarted_at_once_and_told_that_its_predecessor_crashed(node):
    node.start("a=beat", "b=beat")
    other = node.wait_for_start("b")
    os.kill(node.wait_for_start("a"), signal.SIGKILL)
    killed_at = time.monotonic()
    node.wait_for_start("a", 2)
    assert time.monotonic() - killed_at < 10
    assert [start[1:] for start in node.starts("a")] == [
        ["after_crash=False", "restarts=0"],
        ["after_crash=True", "restarts=1"],
    ]
    assert not gone(other)


def test_a_child_that_left_in_peace_is_restarted_without_a_crash(node):
    node.start("a=leave,beat")
    node.wait_for_start("a", 2)
    assert node.starts("a")[1][1:] == ["after_crash=False", "restarts=1"]


def test_a_child_that_keeps_crashing_is_restarted_more_and_more_slowly_and_never_given_up(node):
    launcher = node.start("a=crash", "b=beat")
    node.wait_for_start("a", 3)
    began = time.monotonic()
    node.wait_for_start("a", 4)
    assert time.monotonic() - began > 0.3
    assert launcher.poll() is None
    assert len(node.starts("b")) == 1


@pytest.mark.parametrize("behaviour", ["silent", "mute"])
def test_a_silent_child_is_killed_and_restarted(node, behaviour):
    node.start(f"a={behaviour}", grace=1.0, silence=0.6)
    first = node.wait_for_start("a")
    node.wait_for_start("a", 2)
    assert gone(first)
    assert node.starts("a")[1][1] == "after_crash=True"


def test_a_stopped_child_is_killed_and_restarted(node):
    node.start("a=beat", silence=0.6)
    first = node.wait_for_start("a")
    time.sleep(0.1)
    os.kill(first, signal.SIGSTOP)
    node.wait_for_start("a", 2)
    assert gone(first)


def test_after_a_freeze_of_everything_nobody_is_killed(node):
    launcher = node.start("a=beat", late=0.3, silence=1.2)
    pid = node.wait_for_start("a")
    for process in (launcher.pid, pid):
        os.kill(process, signal.SIGSTOP)
    time.sleep(1.8)
    for process in (launcher.pid, pid):
        os.kill(process, signal.SIGCONT)
    time.sleep(0.4)
    assert len(node.starts("a")) == 1
    assert not gone(pid)


def test_a_child_that_does_not_heed_sigterm_is_killed_when_its_time_is_over(node):
    launcher = node.start("a=beat,stubborn")
    pid = node.wait_for_start("a")
    launcher.terminate()
    assert ended(launcher) == 0
    assert gone(pid)


def test_a_second_signal_ends_everything_at_once(node):
    launcher = node.start("a=beat,stubborn", service=True, stop_children=30.0)
    pid = node.wait_for_start("a")
    launcher.terminate()
    wait_until(lambda: "a asked to stop" in node.diary(), "the first signal")
    launcher.send_signal(signal.SIGINT)
    assert ended(launcher, within=1.0) == 130
    wait_until(lambda: gone(pid), "the child's end")


def test_when_the_launcher_is_killed_its_children_end_too(node):
    launcher = node.start("a=beat,stubborn")
    pid = node.wait_for_start("a")
    launcher.kill()
    wait_until(lambda: gone(pid), "the child's end", deadline=2.0)


def test_ctrl_c_at_the_terminal_lets_the_children_finish(node):
    launcher = node.start("a=beat")
    node.wait_for_start("a")
    os.killpg(launcher.pid, signal.SIGINT)
    assert ended(launcher) == 0
    assert "a asked to stop" in node.diary()


@pytest.mark.parametrize(("behaviour", "code"), [("refuse", 78), ("taken", 75)])
def test_a_child_that_refuses_its_settings_ends_the_node_with_its_code(node, behaviour, code):
    launcher = node.start(f"a={behaviour}", "b=beat")
    assert ended(launcher) == code
    assert len(node.starts("a")) == 1


def test_an_extra_child_that_refuses_its_settings_is_left_out(node):
    launcher = node.start("extra=refuse", "b=beat")
    node.wait_for_start("extra")
    time.sleep(0.3)
    assert launcher.poll() is None
    assert len(node.starts("extra")) == 1


def test_a_second_node_on_the_same_folder_is_refused_in_one_line(node):
    node.start("a=beat")
    node.wait_for_start("a")
    second = node.start("a=beat")
    assert ended(second) == 75
    said = second.stderr.read().splitlines()
    assert said == [f"node: DATA_DIR {node.folder} is in use by process {node.launchers[0].pid}: stop that one first"]


def test_the_lock_lasts_as_long_as_a_child_lives_and_needs_nobody_to_remove_it(node):
    first = node.start("a=beat")
    node.wait_for_start("a")
    os.killpg(first.pid, signal.SIGKILL)
    node.start("a=beat", patience=2.0)
    node.wait_for_start("a", 2)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_passed_on(node, number):
    launcher = node.start("a=beat")
    node.wait_for_start("a")
    launcher.send_signal(number)
    wait_until(lambda: f"a got {number.name}" in node.diary(), "the signal")


def test_a_service_that_dies_is_started_again(node):
    node.start("a=beat", service=True)
    node.wait_for_start("a")
    [line] = [line for line in node.diary() if line.startswith("service started")]
    os.kill(int(line.split()[-1]), signal.SIGKILL)
    wait_until(lambda: sum(line.startswith("service started") for line in node.diary()) == 2, "the second start")


def test_a_child_whose_program_is_missing_is_tried_again(node):
    launcher = node.start("a=missing", "b=beat")
    node.wait_for_start("b")
    wait_until(lambda: (node.folder / "log").read_text().count("a cannot be started") >= 2, "two tries")
    assert launcher.poll() is None


def test_a_process_without_a_launcher_is_left_alone():
    from engine.child import ChildStart, child_started

    assert child_started({}) == ChildStart(after_crash=False, restarts=0, heartbeat=None)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs the right to make a PID namespace")
def test_as_pid_1_it_reaps_whoever_lost_its_parent(node):
    argv = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, str(NODE), str(node.folder), "{}"]
    launcher = subprocess.Popen(
        [*argv, "a=beat,orphan"],
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{':'.join(sys.path)}"},
        start_new_session=True,
    )
    node.launchers.append(launcher)
    node.wait_for_start("a")

    def children_of(pid):
        return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()

    [inside] = children_of(launcher.pid)
    wait_until(lambda: len(children_of(inside)) == 2, "the orphan")
    wait_until(lambda: len(children_of(inside)) == 1, "the reaping")


def test_what_is_forgiven_never_makes_a_heartbeat_later_than_now():
    child = ChildProcess(ProcessSpec("a", []))
    child.started_at = child.beat_at = time.monotonic() - 5.0
    child.forgive(3.0)
    assert child.silent_for() == pytest.approx(2.0, abs=0.5)
    child.forgive(3600.0)
    assert 0.0 <= child.silent_for() < 0.5
