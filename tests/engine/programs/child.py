"""A child process for tests: `child.py FOLDER NAME BEHAVIOUR...`; it logs its starts and the signals it receives.

Behaviours: beat (keeps running, with heartbeats), silent (one heartbeat, then none), mute (none at all), crash, refuse,
taken, leave (once), stubborn (ignores SIGTERM), orphan (leaves a child of its own behind).
"""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from engine.child import child_started


class Child:
    """One child and its log, the diary."""

    def __init__(self, folder: Path, name: str, behaviours: list[str]) -> None:
        self.diary, self.name, self.behaviours = folder / "diary", name, behaviours
        self.start = child_started(os.environ)
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.signal(number, lambda number, _frame: self.write(f"got {signal.Signals(number).name}"))
        signal.signal(signal.SIGTERM, self.stop)
        self.write(f"started {os.getpid()} after_crash={self.start.after_crash} restarts={self.start.restarts}")

    def write(self, text: str) -> None:
        with self.diary.open("a") as diary:
            diary.write(f"{self.name} {text}\n")

    def stop(self, _number: int, _frame: object) -> None:
        self.write("asked to stop")
        if "stubborn" not in self.behaviours:
            os._exit(0)

    def run(self) -> int:
        if "crash" in self.behaviours:
            os.kill(os.getpid(), signal.SIGKILL)
        if "refuse" in self.behaviours:
            return 78
        if "taken" in self.behaviours:
            return 75
        if "leave" in self.behaviours and not self.start.restarts:
            return 0
        if "orphan" in self.behaviours:
            subprocess.Popen(["sh", "-c", "sleep 0.5 & true"])
        return self.live()

    def live(self) -> int:
        while True:
            if "mute" not in self.behaviours:
                os.write(self.start.heartbeat or -1, b".")
            if "silent" in self.behaviours:
                time.sleep(1000)
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(Child(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]).run())
