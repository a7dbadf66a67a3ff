"""The shipped model learns from corrections without forgetting the rest, and one busy day does not skew it."""

import numpy as np
import pytest

from classification import weights
from classification.feedback import DAY_CAP, SHARE_LIMIT, Corrected, retrain
from classification.model import Classifier, Email
from classification.records import LABELS

MEETING = Email("Lunch", "Shall we meet on Monday at 10 for lunch?", "anna@example.org")
SALE = Email("Sale", "50 % off, buy now, click here to unsubscribe", "shop@example.com")
WORDS = ("build", "budget", "garden", "server", "travel", "sales", "weather", "traffic", "music", "lunch")


@pytest.fixture(scope="module")
def sample():
    texts = (
        "The {} report of last week is attached.",
        "Can we talk about the {} on Friday at 3?",
        "Hi, I am new in {}.",
    )
    return [Email(f"{word} {number}", text.format(word)) for number, word in enumerate(WORDS) for text in texts]


@pytest.fixture
def loaded(tmp_path):
    def load(trained):
        (tmp_path / "model.npz").write_bytes(trained.file)
        return Classifier.load(tmp_path / "model.npz")

    return load


def shares(classifier, emails):
    rows = [list(each.probabilities.values()) for each in classifier.classify(emails)]
    return np.array(rows).mean(axis=0)


def test_one_correction_moves_the_next_model_and_leaves_other_mail_alone(loaded, sample):
    trained = retrain(weights.PACKAGED, [Corrected(MEETING, "intro")], sample)
    before, after = Classifier.load(), loaded(trained)
    assert before.classify([MEETING])[0].probabilities["intro"] < 0.05
    assert after.classify([MEETING])[0].probabilities["intro"] > 0.2
    assert after.classify([SALE])[0].label == before.classify([SALE])[0].label == "promotion"
    assert (trained.version, after.version != before.version) == (after.version, True)
    assert np.abs(shares(after, sample) - shares(before, sample)).max() <= SHARE_LIMIT


def test_a_few_that_agree_are_followed(loaded, sample):
    trained = retrain(weights.PACKAGED, [Corrected(MEETING, "intro", day) for day in range(3)], sample)
    assert loaded(trained).classify([MEETING])[0].label == "intro"
    figures = {name: trained.figures[name] for name in ("right_before", "right_after", "by_label", "days", "strength")}
    assert figures == {"right_before": 0.0, "right_after": 1.0, "by_label": {"intro": 3}, "days": 3, "strength": 1.0}


def test_the_same_corrections_give_the_same_bytes(sample):
    given = [Corrected(MEETING, "intro", 1), Corrected(SALE, "promotion", 2)]
    assert retrain(weights.PACKAGED, given, sample).file == retrain(weights.PACKAGED, given, sample).file


def test_a_busy_day_of_nonsense_does_not_tilt_it(loaded, sample):
    nonsense = [Corrected(Email(f"Note {n}", f"The note number {n} is attached."), "meeting", 7) for n in range(200)]
    trained = retrain(weights.PACKAGED, nonsense, sample)
    before, after = Classifier.load(), loaded(trained)
    assert np.abs(shares(after, sample) - shares(before, sample)).max() <= SHARE_LIMIT + 0.01
    assert after.classify([SALE])[0].label == "promotion"
    assert trained.figures["days"] == 1
    assert len(nonsense) > DAY_CAP


def test_with_enough_corrections_some_are_held_out():
    given = [Corrected(Email(f"{word} list", f"the {word} list is here"), LABELS[3], n) for n, word in enumerate(WORDS)]
    assert retrain(weights.PACKAGED, given, []).figures["right_held_out"] is not None
    assert retrain(weights.PACKAGED, given[:3], []).figures["right_held_out"] is None
