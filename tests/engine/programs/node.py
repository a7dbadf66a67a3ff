"""A launcher of tiny children, for tests: `node.py FOLDER OPTIONS CHILD...`, each child given as `name=behaviour`."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine.errors import SettingsError
from engine.launcher import Launcher, ProcessSpec

CHILD = Path(__file__).with_name("child.py")


class Sleeper:
    """A service: a process that does nothing."""

    def __init__(self, diary: Path) -> None:
        self.diary = diary
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(["sleep", "1000"])
        with self.diary.open("a") as diary:
            diary.write(f"service started {self.process.pid}\n")

    def stop(self, timeout: float) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(timeout)
            with self.diary.open("a") as diary:
                diary.write(f"service stopped {self.process.pid}\n")


def main(folder: Path, options: dict[str, Any], children: list[str]) -> int:
    service = [Sleeper(folder / "diary")] if options.pop("service", False) else []
    specs = []
    for child in children:
        name, _, behaviour = child.partition("=")
        argv = [sys.executable, "-S", str(CHILD), str(folder), name, *behaviour.split(",")]
        if behaviour == "missing":
            argv = [str(folder / "no such program")]
        if behaviour.startswith("worker"):
            argv = [sys.executable, str(CHILD.with_name("worker.py")), *behaviour.split(",")[1:]]
        specs.append(ProcessSpec(name, argv, {"OWN": name}, essential=not name.startswith("extra")))
    launcher = Launcher(specs, lock=folder / "lock", environ=lambda: os.environ, services=service, **options)
    try:
        return launcher.run()
    except SettingsError as error:
        sys.stderr.write(f"node: {error}\n")
        return error.code


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, filename=sys.argv[1] + "/log")
    sys.exit(main(Path(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:]))
