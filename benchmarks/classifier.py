"""Compares the classifier with a minimal reading of the same text: `python -m benchmarks.classifier FILE.jsonl`.

Development only. The yardstick finds the words with a regular expression and looks each up in a dict. Both are
measured in turns, as CPU time in one process, after a warm-up on other mail if a second file is given.
"""

import argparse
import json
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

from classification import corpus
from classification.model import Classifier
from classification.records import Email

BATCH = 256
ROUNDS = 12
_WORD = re.compile(r"[a-z0-9$%']+")


def ratios(classifier: Classifier, emails: Sequence[Email], rounds: int = ROUNDS) -> dict[str, float]:
    """Return µs per email for the yardstick, in batches and one by one, and both as multiples of the yardstick."""
    texts = [f"{email.subject} {email.body}" for email in emails]
    known = {word: 1 for text in texts for word in _WORD.findall(text.lower())}

    def yardstick() -> None:
        look = known.get
        for text in texts:
            for word in _WORD.findall(text.lower()):
                look(word)

    def batches() -> None:
        for start in range(0, len(emails), BATCH):
            classifier.classify(emails[start : start + BATCH])

    def one_by_one() -> None:
        for email in emails:
            classifier.classify([email])

    runs = [[_seconds(work) for work in (yardstick, batches, one_by_one)] for _ in range(rounds)]
    plain, many, single = (1e6 / len(emails) * median(column) for column in zip(*runs, strict=True))
    return {
        "us_yardstick": round(plain, 1),
        "us_batches": round(many, 1),
        "us_one_by_one": round(single, 1),
        "times_batches": round(median(run[1] / run[0] for run in runs), 2),
        "times_one_by_one": round(median(run[2] / run[0] for run in runs), 2),
    }


def _seconds(work: Callable[[], None]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="JSON lines of labelled mail to measure on")
    parser.add_argument("--warm-up", type=Path, help="other mail to classify before")
    given = parser.parse_args()
    classifier = Classifier.load()
    if given.warm_up:
        classifier.classify([item.email for item in corpus.read_lines(given.warm_up)])
    print(json.dumps(ratios(classifier, [item.email for item in corpus.read_lines(given.file)])))


if __name__ == "__main__":
    main()
