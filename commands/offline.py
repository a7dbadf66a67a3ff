"""Commands that need no running server: classify, evaluate, config."""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path

from classification.corpus import CorpusError
from classification.diagram import DiagramError, save_png
from classification.evaluation import evaluate
from classification.mailfiles import iter_messages
from classification.mime import parse_message
from classification.model import MIN_CONFIDENCE, Classifier, Email
from commands.arguments import JSON_LINES_HELP, add_json
from commands.client import CommandError
from commands.terminal import printable
from settings import Settings


def add_classify_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `classify`."""
    parser.add_argument(
        "files",
        nargs="+",
        metavar="FILE",
        help="raw messages: .eml or mbox files, folders of them, or - for standard input",
    )
    add_json(parser, JSON_LINES_HELP)


def classify(args: argparse.Namespace, settings: Settings) -> None:
    """Label raw messages."""
    classifier = load_classifier(settings)
    for name in args.files:
        for raw in _messages(name):
            parsed = parse_message(raw, settings.max_body_bytes)
            found = classifier.classify(
                [Email(parsed.subject, parsed.body, parsed.sender, parsed.recipient, parsed.headers)]
            )[0]
            if not args.json:
                print(f"{found.label:<10} {found.confidence:.2f}  {printable(parsed.subject)[:100]}")
                continue
            row = {
                "file": name,
                "subject": parsed.subject,
                "classification": found.label,
                "confidence": round(found.confidence, 4),
                "probabilities": found.probabilities,
                "runner_up": found.runner_up,
                "model_version": found.model_version,
            }
            print(json.dumps(row))


def add_evaluate_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `evaluate`."""
    parser.add_argument(
        "file", type=Path, metavar="FILE.jsonl", help='lines of {"id", "subject", "body", "label", ...}'
    )
    add_json(parser)
    parser.add_argument(
        "--png", type=Path, metavar="FILE", help="write a reliability diagram to this file (needs matplotlib)"
    )


def evaluate_file(args: argparse.Namespace, settings: Settings) -> None:
    """Report the classifier's accuracy on labelled mail."""
    try:
        report = evaluate(load_classifier(settings), args.file)
    except CorpusError as error:
        raise CommandError(f"{args.file}: {error}") from None
    except OSError as error:
        raise CommandError(f"{args.file}: {error.strerror or error}") from None
    if args.png is not None:
        try:
            save_png(report.reliability, f"{report.n} emails, calibration error {report.ece:.3f}", args.png)
        except DiagramError as error:
            raise CommandError(str(error)) from None
    print(json.dumps(report.to_dict()) if args.json else report.to_text())


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `config`."""
    add_json(parser)


def show_config(args: argparse.Namespace, settings: Settings) -> None:
    """Print the settings in force and their origins; secrets are masked."""
    if args.json:
        rows = settings.describe()
        print(json.dumps([{"name": name, "value": value, "from": source} for name, value, source in rows]))
        return
    for name, value, source in settings.describe():
        print(f"{name:<28} {value:<40} {source}")


def load_classifier(settings: Settings) -> Classifier:
    """Load the packaged model, with the threshold from the settings."""
    threshold = settings.classifier_min_confidence
    return Classifier.load(min_confidence=MIN_CONFIDENCE if threshold is None else threshold)


def _messages(name: str) -> Iterator[bytes]:
    """Yield the messages of a file or folder, one in memory at a time."""
    if name == "-":
        yield sys.stdin.buffer.read()
        return
    try:
        yield from iter_messages(Path(name))
    except OSError as error:
        raise CommandError(f"{error.filename or name}: {error.strerror or error}") from None
