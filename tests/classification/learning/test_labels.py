"""The label files for the corpus hold ids and labels and no text of the messages, which we may not publish."""

import json
from pathlib import Path

import pytest

from classification.records import LABELS

FOLDER = Path(__file__).parents[3] / "classification" / "learning" / "labels"


@pytest.mark.parametrize("name", ["readings.jsonl", "blind.jsonl", "quick.jsonl"])
def test_a_file_of_labels_holds_no_text(name: str) -> None:
    """Each line is an id, a label, perhaps a second label and the reader's certainty; no email appears twice."""
    entries = [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]

    assert entries
    for entry in entries:
        assert {"id", "label"} <= set(entry) <= {"id", "label", "second", "sure"}
        assert len(entry["id"]) <= 12
        assert entry["label"] in LABELS
        assert entry.get("second") in {None, *LABELS}
    assert len({entry["id"] for entry in entries}) == len(entries)


def test_written_mail_is_whole_and_stands_there_once() -> None:
    """Across all files, each email has its own id and its own text."""
    folder = FOLDER.parent / "synthetic"
    mails = [json.loads(line) for path in folder.glob("*.jsonl") for line in path.read_text("utf-8").splitlines()]

    assert len(mails) > 12_000
    for mail in mails:
        assert mail["label"] in LABELS
        assert mail["subject"] or mail["body"] or mail["label"] == "unknown"
        assert mail["sure"] in {1, 2, 3}
        assert mail["second"] in {None, *LABELS} - {mail["label"]}
        assert mail["sure"] > 1 or mail["second"], "a toss-up is between two labels"
    assert len({mail["id"] for mail in mails}) == len(mails)
    assert len({(mail["subject"], mail["body"]) for mail in mails}) == len(mails)
