"""The drill's load: what was not sent breaks the drill off, instead of passing for sent."""

import random
import threading
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest

from commands.drill.load import Load
from commands.drill.system import DrillError


class Sender(Load):
    """Sends three emails by calling `send` with each batch."""

    def __init__(self, send: Callable[[Any], Any]) -> None:
        super().__init__(Mock(), Mock(), random.Random(1), emails=3, seconds=0.1, poison=0)
        self.send = send
        self.start()

    def _send(self, emails: list[dict[str, Any]]) -> None:
        self.send(emails)


def test_it_is_finished_when_all_is_sent():
    sent: list[Any] = []
    Sender(sent.extend).finish(10)
    assert len(sent) == 3


def test_an_error_breaks_the_drill_off():
    def fail(_emails):
        raise RuntimeError("the disk is full")

    with pytest.raises(DrillError, match="0 of 3 emails were sent: the disk is full"):
        Sender(fail).finish(10)


def test_a_fakemail_that_takes_no_more_breaks_the_drill_off():
    over = threading.Event()
    stuck = Sender(lambda _emails: over.wait(10))
    try:
        with pytest.raises(DrillError, match="FakeMail took no more within"):
            stuck.finish(0.05)
    finally:
        over.set()
