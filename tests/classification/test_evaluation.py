"""The figures follow their standard definitions, and a bad line is reported by its number."""

import json

import pytest

from classification.corpus import CorpusError
from classification.evaluation import evaluate
from classification.learning.wordlists import WordLists
from classification.model import LABELS

LINES = [
    {"id": "1", "subject": "meeting", "body": "", "label": "meeting"},
    {"id": "2", "subject": "offer", "body": "", "label": "promotion", "headers": {"List-Id": ["x"]}},
    {"id": "3", "subject": "hello", "body": "", "label": "unknown", "source": "here"},
    {"id": "4", "subject": "boat", "body": "", "label": "unknown"},
]


def lines(*records):
    return [json.dumps(record) for record in records]


def test_accuracy_and_f1_are_counted():
    report = evaluate(WordLists(), lines(*LINES))
    assert report.n == 4
    assert report.accuracy == 0.75
    assert report.confusion["unknown"]["intro"] == 1
    assert report.per_class["unknown"] == {"precision": 1.0, "recall": 0.5, "f1": pytest.approx(2 / 3), "support": 2}
    assert report.macro_f1 == pytest.approx((1 + 1 + 0 + 2 / 3) / 4)
    assert report.ece == pytest.approx(0.25)


def test_macro_f1_is_the_same_figure_for_the_whole_and_for_its_parts():
    report = evaluate(WordLists(), lines(LINES[0]))
    assert report.macro_f1 == report.slices["source"]["not given"]["macro_f1"] == 1.0
    [wrong] = evaluate(WordLists(), lines(LINES[2])).slices["source"].values()  # truth: unknown; answer: intro
    assert wrong["macro_f1"] == 0.0


def test_the_json_has_the_promised_keys(classifier):
    figures = evaluate(classifier, lines(*LINES)).to_dict()
    assert {"accuracy", "macro_f1", "ece", "per_class", "confusion", "us_per_email", "n"} <= set(figures)
    assert set(figures["per_class"]) == set(LABELS)
    json.dumps(figures)


def test_the_text_shows_every_label_and_slice():
    page = evaluate(WordLists(), lines(*LINES)).to_text()
    for words in (*LABELS, "by source", "here", "with headers", "by language guess", "macro-F1"):
        assert words in page


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "not JSON"),
        ("[]", "expected an object"),
        ('{"subject": 1, "body": "", "label": "intro"}', "subject must be text"),
        ('{"subject": "", "label": "intro"}', "body must be text"),
        ('{"subject": "", "body": "", "label": "spam"}', "label must be one of"),
    ],
)
def test_a_bad_line_is_named_by_number(line, words):
    with pytest.raises(CorpusError, match=f"line 3: .*{words}"):
        evaluate(WordLists(), [*lines(LINES[0]), "", line])


def test_a_file_without_mail_or_no_file_is_an_error(tmp_path):
    with pytest.raises(CorpusError, match="no labelled email"):
        evaluate(WordLists(), [])
    with pytest.raises(FileNotFoundError):
        evaluate(WordLists(), tmp_path / "none.jsonl")


def test_a_file_is_read_like_its_lines(tmp_path):
    path = tmp_path / "mail.jsonl"
    path.write_text("\n".join(lines(*LINES)))
    assert evaluate(WordLists(), path).accuracy == evaluate(WordLists(), lines(*LINES)).accuracy
