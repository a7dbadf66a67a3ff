"""The commands that need no server: classify, evaluate, config."""

import argparse
import errno
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from classification.model import LABELS
from commands import offline
from commands.client import CommandError
from commands.terminal import printable
from settings import Settings

MEETING = b"From: a@example.org\nSubject: Sync on Thursday at 10?\n\nCan we meet on Thursday at 10:30? I will send a calendar invite.\n"
SALE = b"From: shop@example.org\nSubject: 40% off everything\n\nOur biggest sale ends Sunday. Shop now! Unsubscribe any time.\n"


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mail")
    (folder / "meeting.eml").write_bytes(MEETING)
    (folder / "sale.eml").write_bytes(SALE)
    return folder


def classify(*files: Any, **options: Any) -> None:
    offline.classify(argparse.Namespace(files=[str(file) for file in files], **{"json": False, **options}), Settings())


def test_classify_prints_a_line_for_each_message(mail, capsys):
    classify(mail / "meeting.eml", mail / "sale.eml")
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("meeting ")
    assert second.startswith("promotion ")
    assert "Sync on Thursday" in first


def test_classify_reads_a_folder(mail, capsys):
    classify(mail)
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_classify_as_json_tells_all_probabilities(mail, capsys):
    classify(mail / "meeting.eml", json=True)
    row = json.loads(capsys.readouterr().out)
    assert row["classification"] == "meeting"
    assert set(row["probabilities"]) == set(LABELS)
    assert sum(row["probabilities"].values()) == pytest.approx(1, abs=0.01)
    assert 0 <= row["confidence"] <= 1
    assert row["model_version"]


def test_classify_reads_standard_input(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(SALE)))
    classify("-")
    assert capsys.readouterr().out.startswith("promotion ")


def test_what_comes_before_an_unreadable_file_is_labelled_and_that_file_is_named(monkeypatch, capsys):
    def messages(folder: Path) -> Iterator[bytes]:
        yield SALE
        raise PermissionError(errno.EACCES, "Permission denied", str(folder / "2.eml"))

    monkeypatch.setattr(offline, "iter_messages", messages)
    with pytest.raises(CommandError, match=r"^mail/2\.eml: Permission denied$"):
        classify("mail")
    assert capsys.readouterr().out.startswith("promotion ")


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(CommandError, match=r"none\.eml: No such file or directory$"):
        classify(tmp_path / "none.eml")


def test_what_strangers_wrote_cannot_speak_to_the_terminal(tmp_path, capsys):
    (tmp_path / "evil.eml").write_bytes(b"Subject: =?utf-8?q?=1B]0;owned=07_two=0Alines?=\n\nx\n")
    classify(tmp_path / "evil.eml")
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert out.rstrip("\n").isprintable()


def test_printable_keeps_letters_of_all_alphabets():
    assert printable("Grüße 你好\x1b[31m\r\n\u202e!") == "Grüße 你好 [31m   !"


def test_a_threshold_of_the_settings_is_heeded(mail, capsys):
    args = argparse.Namespace(files=[str(mail / "meeting.eml")], json=False)
    offline.classify(args, Settings(classifier_min_confidence=1.0))
    assert capsys.readouterr().out.startswith("unknown ")


def labelled(path: Path, *rows: Any) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_evaluate_prints_figures_for_machines(tmp_path, capsys):
    rows = [
        {
            "id": "1",
            "subject": "Sync on Thursday at 10?",
            "body": "Can we meet on Thursday at 10:30?",
            "label": "meeting",
        },
        {
            "id": "2",
            "subject": "40% off everything",
            "body": "Our biggest sale ends Sunday. Shop now!",
            "label": "promotion",
        },
    ]
    offline.evaluate_file(
        argparse.Namespace(file=labelled(tmp_path / "two.jsonl", *rows), json=True, png=None), Settings()
    )
    report = json.loads(capsys.readouterr().out)
    assert {"accuracy", "macro_f1", "ece", "per_class", "confusion", "us_per_email", "n"} <= set(report)
    assert (report["n"], report["accuracy"]) == (2, 1.0)


def test_evaluate_prints_a_page_for_people(tmp_path, capsys):
    row = {"id": "1", "subject": "Hello", "body": "Can we meet at 10?", "label": "meeting"}
    offline.evaluate_file(
        argparse.Namespace(file=labelled(tmp_path / "one.jsonl", row), json=False, png=None), Settings()
    )
    out = capsys.readouterr().out
    assert "accuracy" in out
    assert "precision" in out


def test_evaluate_without_matplotlib_says_in_one_line_what_the_picture_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    row = {"id": "1", "subject": "Hello", "body": "Can we meet at 10?", "label": "meeting"}
    file = labelled(tmp_path / "one.jsonl", row)
    with pytest.raises(
        CommandError, match=f"a PNG needs matplotlib.*{sys.executable} -m pip install matplotlib"
    ) as told:
        offline.evaluate_file(argparse.Namespace(file=file, json=False, png=tmp_path / "x.png"), Settings())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    "line", ["not json", "[]", '{"subject": "x", "body": "y", "label": "spam"}', '{"label": "intro"}']
)
def test_evaluate_names_the_line_that_it_cannot_read(tmp_path, line):
    good = {"id": "1", "subject": "Hello", "body": "Hi", "label": "intro"}
    file = labelled(tmp_path / "bad.jsonl", good, line)
    with pytest.raises(CommandError, match=r"bad\.jsonl: line 2: "):
        offline.evaluate_file(argparse.Namespace(file=file, json=False, png=None), Settings())


def test_evaluate_of_a_file_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(CommandError, match=r"^\S+/none\.jsonl: No such file or directory$"):
        offline.evaluate_file(argparse.Namespace(file=tmp_path / "none.jsonl", json=False, png=None), Settings())


def test_config_shows_every_setting_and_no_secret(capsys):
    offline.show_config(argparse.Namespace(json=False), Settings(api_token="hunter2", port=8010))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:2] == ["PORT", "8010"] for line in lines)
    assert any(line.split()[:2] == ["API_TOKEN", "********"] for line in lines)
    assert "hunter2" not in "".join(lines)
