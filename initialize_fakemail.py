"""Prepares FakeMail for a running server: watches the account and subscribes the webhook; --test sends an email."""

from commands import venv

if __name__ == "__main__":
    venv.enter()

import argparse

from commands.arguments import url
from commands.initializing import initialize
from commands.script import run


def main() -> None:
    """Read the arguments and do the work."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--fakemail",
        metavar="URL",
        type=url("http", "https"),
        help="FakeMail's base URL (default: FAKEMAIL_API_URL, else the server's simulator)",
    )
    parser.add_argument(
        "--webhook",
        metavar="URL",
        type=url("http", "https"),
        help="the webhook to subscribe (default: WEBHOOK_URL, else the server's); without a path, its /webhook",
    )
    parser.add_argument(
        "--source", metavar="NAME", help="only this account of FAKEMAIL_SOURCES (or `main`); without it, each of them"
    )
    parser.add_argument(
        "--test", action="store_true", help="then notify the webhook, and send an email through where that is possible"
    )
    args = parser.parse_args()
    run(lambda: initialize(args.fakemail, args.webhook, args.source, test=args.test))


if __name__ == "__main__":
    main()
