"""Knocks at the webhook of a running server with good and bad notifications and checks each answer. Exit code 0 or 1."""

from commands import venv

if __name__ == "__main__":
    venv.enter()

from commands.script import run
from commands.trials import webhook

if __name__ == "__main__":
    run(webhook)
