"""`run.py serve` with the frozen work function as classifier; nothing else differs. Used by system.py."""

import argparse
import sys
from dataclasses import replace

from commands import serve
from engine.launcher import ProcessSpec
from settings import Settings

original = serve._child  # noqa: SLF001  (the one seam: which module a child runs)


def child(role: str, name: str) -> ProcessSpec:
    """Return the same child, started through benchmarks/frozen_process.py."""
    made = original(role, name)
    argv = ["benchmarks.frozen_process" if part == "commands.process" else part for part in made.argv]
    return replace(made, argv=argv)


if __name__ == "__main__":
    serve._child = child  # noqa: SLF001  (the same)
    sys.exit(serve.serve(argparse.Namespace(), Settings.from_env()))
