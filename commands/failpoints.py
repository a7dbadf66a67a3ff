"""`run.py failpoints`: the points at which a test may kill a process, and what has happened when each is reached."""

import argparse

from engine.failpoints import POINTS, VARIABLE
from settings import Settings


def run(_args: argparse.Namespace, _settings: Settings) -> None:
    """Print the table."""
    print(f"armed by {VARIABLE}=ROLE:NAME[:HIT], with ROLE front, worker or all\n")
    for name, text in POINTS.items():
        print(f"{name:<22} {text}")
