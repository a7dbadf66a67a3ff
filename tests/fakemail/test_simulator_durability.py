"""Whatever the simulator has acknowledged survives a kill -9 at any moment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from fakemail.client import FakeMailClient
from fakemail.simulator import open_simulator
from fakemail.simulator_http import simulator_app
from tests.fakemail.serving import serving

_SENDER = """
from gevent import monkey; monkey.patch_all()
import os, sys
from pathlib import Path
import gevent
from fakemail.simulator import open_simulator
from fakemail.simulator_requests import NewEmail
simulator = open_simulator(Path(sys.argv[1]))
def send(name):
    number = 0
    while True:
        group = [NewEmail(subject="s", body="b" * 500, id=f"{name}-{number}-{part}") for part in range(1 + number % 3)]
        sent = simulator.send(group)
        os.write(1, "".join(f"{one}\\n" for one in sent.email_ids).encode())
        number += 1
gevent.joinall([gevent.spawn(send, name) for name in "abcdefgh"])
"""


@pytest.mark.parametrize("answers", [1, 300])
def test_every_email_that_was_answered_for_is_there_after_a_kill(tmp_path: Path, answers: int) -> None:
    command = [sys.executable, "-c", _SENDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(answers)]
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.readlines()
    answered = {line.decode().strip() for line in lines if line.endswith(b"\n")}
    simulator = open_simulator(tmp_path)
    with serving(simulator_app(simulator, bare=True)) as url:
        client = FakeMailClient(url)
        listed = client.list_emails(0)
        assert answered <= set(listed)
        assert len(listed) == len(set(listed)) == client.watch()
        groups = {one.rpartition("-")[0] for one in listed}
        whole = {f"{group}-{part}" for group in groups for part in range(1 + int(group.partition("-")[2]) % 3)}
        assert whole == set(listed)
        assert all(client.get_emails(list(listed)))
        client.close()
    simulator.close()
