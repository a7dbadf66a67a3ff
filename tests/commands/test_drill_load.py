"""The drill's load: what was not sent breaks the drill off, instead of passing for sent."""

import random
import threading

import pytest

from commands.drill.load import Load
from commands.drill.system import DrillError


def load(send):
    made = Load(None, None, random.Random(1), emails=3, seconds=0.1, poison=0)
    made._send = send
    made.start()
    return made


def test_it_is_finished_when_all_is_sent():
    sent = []
    load(sent.extend).finish(10)
    assert len(sent) == 3


def test_an_error_breaks_the_drill_off():
    def fail(_emails):
        raise RuntimeError("the disk is full")

    with pytest.raises(DrillError, match="0 of 3 emails were sent: the disk is full"):
        load(fail).finish(10)


def test_a_fakemail_that_takes_no_more_breaks_the_drill_off():
    over = threading.Event()
    stuck = load(lambda _emails: over.wait(10))
    try:
        with pytest.raises(DrillError, match="FakeMail took no more within"):
            stuck.finish(0.05)
    finally:
        over.set()
