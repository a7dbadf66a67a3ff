"""Watches the disk that our stores write to, and stops intake before a full disk makes a write fail.

Runs once in each process that keeps data on this machine, and closes only that process's gate (engine/control.py). What
waits stays in the mailboxes and in the books; the gate reopens by itself.
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
"""The gate reopens only at this multiple of the minimum, so that it does not flap."""

MIB = 1024 * 1024


class DiskWatch(ServiceActor):
    """`minimum` is in bytes; tests replace `free` (a folder → bytes)."""

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
        """Start watching."""
        self.every(self.every_s, self.look)

    def look(self) -> None:
        """Close or open the gate."""
        folder, free = min(((each, self._free(each)) for each in self.folders), key=lambda pair: pair[1])
        shut = bool(self.control.obstacle)
        if free < self.minimum * (ENOUGH if shut else 1.0):
            self.control.obstacle = (
                f"{free // MIB} MB are free where {folder} is: no work is taken until there are "
                f"{self.minimum // MIB + 1} MB (MIN_FREE_DISK_MB)"
            )
            if not shut:
                log.error("%s", self.control.obstacle)
        elif shut:
            self.control.obstacle = ""
            log.info("there is room on the disk again: %d MB", free // MIB)

    def _free(self, folder: Path) -> int:
        """Return the free bytes, or plenty if they cannot be read: the store itself will report what is wrong."""
        try:
            return self.free(folder)
        except OSError as error:
            log.warning("the free space of %s cannot be asked: %s", folder, error)
            return self.minimum * 2
