"""Watches the disk that our stores write to: when little is free nothing more is taken, before a store fails in the middle of a write.

One for each process that keeps data on this machine. It only shuts the gate (engine/control.py) of its own process; what waits goes on
waiting in the mailboxes and in the books, and opens again by itself.
"""

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.actor import ServiceActor
from engine.control import Control
from engine.events import Bus

log = logging.getLogger(__name__)

EVERY_S = 1.0
ENOUGH = 1.1
"""It opens again only when so many times the minimum is free, so that it does not flutter."""

MIB = 1024 * 1024


class DiskWatch(ServiceActor):
    """`minimum` is in bytes; `free` (a folder → bytes) is for tests."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        control: Control,
        folders: Sequence[Path],
        minimum: int,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        every: float = EVERY_S,
    ) -> None:
        super().__init__(name=name, kind="disk", bus=bus)
        self.control, self.folders, self.minimum, self.free, self.every_s = control, folders, minimum, free, every

    def on_start(self) -> None:
        """Begin to look."""
        self.every(self.every_s, self.look)

    def look(self) -> None:
        """Shut or open the gate."""
        folder, free = min(((each, self._free(each)) for each in self.folders), key=lambda pair: pair[1])
        shut = bool(self.control.obstacle)
        if free < self.minimum * (ENOUGH if shut else 1.0):
            self.control.obstacle = (
                f"{free // MIB} MB are free where {folder} is: nothing is taken before there are "
                f"{self.minimum // MIB + 1} MB (MIN_FREE_DISK_MB)"
            )
            if not shut:
                log.error("%s", self.control.obstacle)
        elif shut:
            self.control.obstacle = ""
            log.info("there is room on the disk again: %d MB", free // MIB)

    def _free(self, folder: Path) -> int:
        """A folder that cannot be asked is no reason to stop: its store will say what is wrong."""
        try:
            return self.free(folder)
        except OSError as error:
            log.warning("the free space of %s cannot be asked: %s", folder, error)
            return self.minimum * 2
