"""`run.py train --from-feedback` trains a shadow model on people's corrections; `run.py label` corrects an email.

Training reads the database directly and needs neither corpus nor server. Running processes follow the desired state
that it writes.
"""

import argparse
import json
from contextlib import closing
from typing import Any
from urllib.parse import quote

from actors.deciding import to_email
from classification import weights
from classification.feedback import Corrected, Trained, retrain
from classification.records import LABELS
from commands.arguments import add_json
from commands.books import open_books
from commands.client import CommandError, Server, UsageError
from commands.terminal import counted
from settings import Settings
from storage.corrections import Corrections
from storage.model_files import FEEDBACK, ModelStore

MOST_CORRECTIONS = 5_000
SAMPLE = 1_000
DAY_S = 86_400


def add_train_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `train`."""
    parser.add_argument(
        "--from-feedback",
        action="store_true",
        help="learn from the corrections in the database, with the shipped model as the prior",
    )
    parser.add_argument("--dry-run", action="store_true", help="only print the outcome")
    add_json(parser)


def train(args: argparse.Namespace, settings: Settings) -> None:
    """Train a model, store it in the database, and make it the shadow."""
    if not args.from_feedback:
        raise UsageError("--from-feedback is required (developers retrain with `make train`)")
    with closing(open_books(settings)) as database:
        database.migrate()
        trained = _trained(Corrections(database))
        if not args.dry_run:
            _, prior = weights.load(weights.PACKAGED)
            models = ModelStore(database)
            models.add(trained.version, trained.file, origin=FEEDBACK, parent=prior, figures=trained.figures)
            models.set_shadow(trained.version)
    print(
        json.dumps({"version": trained.version, **trained.figures})
        if args.json
        else _text(trained, settings, dry_run=args.dry_run)
    )


def _trained(corrections: Corrections) -> Trained:
    given = corrections.newest(MOST_CORRECTIONS)
    if not given:
        raise CommandError("nobody has corrected an email yet: there is nothing to learn from")
    learned = [Corrected(to_email(each.content), each.label, int(each.at // DAY_S)) for each in given]
    return retrain(weights.PACKAGED, learned, [to_email(each) for each in corrections.sample(SAMPLE)])


def _text(trained: Trained, settings: Settings, *, dry_run: bool) -> str:
    figures: Any = trained.figures
    labels = ", ".join(f"{label} {count}" for label, count in figures["by_label"].items())
    right = f"{figures['right_before']:.0%} before, {figures['right_after']:.0%} after"
    if figures["right_held_out"] is not None:
        right += f", {figures['right_held_out']:.0%} by models that had not seen them"
    kept = "" if figures["strength"] == 1 else f"; for that {figures['strength']:.0%} of the change was kept"
    lines = [
        f"model {trained.version}",
        f"  learned from  {counted(figures['corrections'], 'correction')} of {counted(figures['days'], 'day')}: {labels}",
        f"  right on them {right}",
        f"  other mail    no label's share moves by more than {figures['share_moved']:.1%}, on a sample of {counted(figures['sample'], 'email')}{kept}",
    ]
    return "\n".join(lines if dry_run else [*lines, *_next_steps(trained.version, settings)])


def _next_steps(version: str, settings: Settings) -> list[str]:
    curl = """curl -s -H "Authorization: Bearer $API_TOKEN\"""" if settings.api_token else "curl -s"
    return [
        "it now runs as the shadow. To compare it with the live one, and to make it live:",
        f"  {curl} {settings.base_url}/models",
        f"  {curl} -X POST {settings.base_url}/models/{version}/promote",
    ]


def add_label_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `label`."""
    parser.add_argument("email_id", metavar="ID", help="the id that FakeMail gave the email")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("classification", metavar="CLASS", nargs="?", choices=LABELS, help=", ".join(LABELS))
    wanted.add_argument("--undo", action="store_true", help="undo the correction")
    parser.add_argument("--source", help="the FakeMail account, if several have this id")


def label(args: argparse.Namespace, settings: Settings) -> None:
    """Correct an email's label on the running server, or undo the correction."""
    server = Server(settings.base_url, settings.api_token)
    path = f"/emails/{quote(args.email_id, safe='')}/label" + (f"?source={quote(args.source)}" if args.source else "")
    answer: Any = server.delete(path) if args.undo else server.post(path, {"classification": args.classification})
    print(f"{args.email_id}: {answer['classification']} (decided by {answer['decided_by']})")
