"""What callers may rely on: labels, probabilities that add up to 1, the threshold, and no text that makes it fail."""

import time
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classification.corpus import read_lines
from classification.model import LABELS, Classifier, Email

TRIAL_MAIL = Path(__file__).parents[1] / "data" / "trial_mail.jsonl"

PLAIN = {
    "meeting": Email(
        "Lunch on Thursday?",
        "Hi Bob,\n\nCould we meet for lunch at 12:30 on Thursday? Let me know if that works.\n\nAnn",
    ),
    "promotion": Email(
        "50% OFF everything",
        "Shop now and save! Use code SAVE50 for free shipping. Limited time offer. Unsubscribe here.",
    ),
    "intro": Email(
        "New team member",
        "Hi all, my name is Dana and I just joined the team. I look forward to meeting everyone. Nice to meet you!",
    ),
    "unknown": Email(
        "build failure", "The compile of driver.c fails with error 2 since the last commit. See the log below."
    ),
}

HOSTILE = {
    "ten megabytes of one letter": "a" * 10_000_000,
    "a hundred thousand emoji": "\U0001f600" * 100_000,
    "zero-width and bidi tricks": "a\u200b\u202eb\u2066" * 50_000,
    "ten thousand nested quotes": "\n".join(">" * min(depth, 300) + " hi" for depth in range(10_000)),
    "all NUL": "\0" * 1_000_000,
    "lone surrogates": "\ud800\udfff" * 50_000,
    "combining marks": "a" + "\u0301" * 200_000,
    "open tags": "<html>" + "<script>" * 50_000 + "<a " * 50_000,
    "entities": "<html>" + "&amp" * 100_000,
    "reply headers": "From: \nTo: \n" * 50_000,
    "attributions": "\nOn it wrote" * 50_000,
}


@pytest.mark.parametrize("label", LABELS)
def test_plain_examples_get_their_label(classifier, label):
    (answer,) = classifier.classify([PLAIN[label]])
    assert answer.label == label


def test_mail_that_strangers_wrote_to_try_it_is_labelled_right(classifier):
    """240 emails, 60 per label, written by somebody who knew only what the labels mean; none was used for training."""
    mails = list(read_lines(TRIAL_MAIL))
    said = [answer.label for answer in classifier.classify([mail.email for mail in mails])]
    right = [mail.label for mail, label in zip(mails, said, strict=True) if mail.label == label]
    assert len(mails) == 240
    assert len(right) >= 210
    for label in LABELS:
        assert right.count(label) >= 42, label


def test_probabilities_have_all_labels_and_sum_to_one(classifier):
    for answer in classifier.classify(list(PLAIN.values())):
        assert tuple(answer.probabilities) == LABELS
        assert sum(answer.probabilities.values()) == pytest.approx(1)
        assert answer.confidence == pytest.approx(answer.probabilities[answer.label], abs=1e-4) != 1
        assert answer.runner_up != answer.label


def test_answers_do_not_depend_on_the_batch(classifier):
    emails = list(PLAIN.values()) * 100
    together = classifier.classify(emails)
    alone = [classifier.classify([email])[0] for email in emails[:4]]
    for one, other in zip(alone, together[:4], strict=True):
        assert one.label == other.label
        assert one.confidence == pytest.approx(other.confidence, abs=1e-6)


def test_no_emails_no_answers(classifier):
    assert classifier.classify([]) == []


def test_below_the_threshold_the_label_is_unknown_and_the_likeliest_is_runner_up():
    strict = Classifier.load(min_confidence=1.01)
    (answer,) = strict.classify([PLAIN["meeting"]])
    assert (answer.label, answer.below_threshold, answer.runner_up) == ("unknown", True, "meeting")
    assert answer.confidence == pytest.approx(answer.probabilities["unknown"], abs=1e-4)


def test_headers_and_sender_are_used_when_they_are_there(classifier):
    bare = Email("Invitation: status", "see calendar")
    with_part = msgspec.structs.replace(bare, headers={"X-Calendar-Method": "REQUEST"})
    before, after = classifier.classify([bare, with_part])
    assert after.probabilities["meeting"] > before.probabilities["meeting"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_classified_in_bounded_time(classifier, name):
    started = time.thread_time()
    (answer,) = classifier.classify([Email(HOSTILE[name], HOSTILE[name])])
    assert time.thread_time() - started < 1
    assert answer.label in LABELS
    assert answer.flags


@given(
    st.text(max_size=300),
    st.text(max_size=300),
    st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=3),
)
@settings(max_examples=60)
def test_any_text_gets_an_answer(classifier, subject, body, headers):
    (answer,) = classifier.classify([Email(subject, body, headers=headers)])
    assert answer.label in LABELS
    assert 0 <= answer.confidence <= 1


@pytest.mark.parametrize("body", ["", "   \n", "\ufffd", "您好", "."])
def test_nothing_to_read_is_unknown(classifier, body):
    (answer,) = classifier.classify([Email("", body)])
    assert answer.label == "unknown"
