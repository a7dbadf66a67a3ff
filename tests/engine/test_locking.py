"""The lock on a data folder, when recording its holder fails."""

import errno
import os

import pytest

from engine.errors import InUseError
from engine.locking import locked


def test_a_full_disk_keeps_nobody_from_taking_the_lock(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(errno.ENOSPC, "No space left on device")

    with locked(tmp_path / "lock", 0.0):
        pass
    monkeypatch.setattr(os, "pwrite", refuse)
    with locked(tmp_path / "lock", 0.0), pytest.raises(InUseError), locked(tmp_path / "lock", 0.0):
        pass


def test_who_holds_it_is_said_whatever_stood_there(tmp_path):
    (tmp_path / "lock").write_text("12345678901234\n")
    with locked(tmp_path / "lock", 0.0):
        assert (tmp_path / "lock").read_text() == f"{os.getpid()}\n"
