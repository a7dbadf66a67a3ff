"""Training: weights by the reader's certainty, calibrated probabilities, and byte-identical files for the same mail."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import sparse  # type: ignore[import-untyped]

from classification import weights
from classification.corpus import Labelled, labelled
from classification.encoding import Vocabulary, encode
from classification.features import BLOCKS, fold, word_key
from classification.learning import training, wordvectors
from classification.model import Classifier
from classification.records import LABELS, Email

WORDS = {
    "meeting": "meet tuesday noon room agenda calendar",
    "promotion": "sale discount offer buy coupon shop",
    "intro": "hello introduce myself joined welcome greetings",
    "unknown": "report bug patch release kernel log",
}


def _mails(count: int, *, source: str = "made up") -> list[Labelled]:
    """Emails of a few words of their label, in varying order, from many senders."""
    rng = np.random.default_rng(count)
    mails = []
    for number in range(count):
        label = LABELS[number % 4]
        words = rng.permutation(WORDS[label].split())
        record = {"subject": words[0], "body": " ".join(words[1:]), "label": label}
        mails.append(labelled({**record, "sender": f"p{number}@example.org", "source": source}))
    return mails


@pytest.fixture(autouse=True)
def _small_vectors(monkeypatch):
    """Replaces the language model's package, which only `make train` has, with a few made-up numbers per word."""
    words = [fold(word) for text in WORDS.values() for word in text.split()]
    rows = np.random.default_rng(0).normal(size=(len(words), 8)).astype(np.float32)
    known = [
        ({word_key(word, BLOCKS.index(name)): row for row, word in enumerate(words)}, rows) for name in ("own", "head")
    ]
    monkeypatch.setattr(wordvectors, "vectors_by_key", lambda: known)


def test_a_second_choice_takes_a_part_of_the_weight_of_a_doubtful_mail():
    clear = labelled({"subject": "", "body": "", "label": "meeting", "second": "intro", "sure": 3})
    toss_up = labelled({"subject": "", "body": "", "label": "meeting", "second": "intro", "sure": 1})
    labels, trust = training.answers([clear, toss_up])
    meeting, intro = LABELS.index("meeting"), LABELS.index("intro")
    assert list(labels) == [meeting, meeting]
    assert trust[0, meeting] == 1
    assert trust[0, intro] == 0
    assert 0 < trust[1, intro] < trust[1, meeting]
    assert trust[1].sum() == pytest.approx(training.SURE_WEIGHT[1])


def test_further_readings_count_less_than_mail_of_the_corpus():
    (mail,) = _mails(1)
    _, _, trust, _ = training.together([mail], [mail], [mail])
    assert trust[2].sum() == pytest.approx(training.READING_WEIGHT * trust[0].sum())
    assert (trust[0] == trust[1]).all()


def test_scenes_count_less_than_other_written_mail():
    (mail,) = _mails(1)
    _, _, trust, _ = training.together([], [mail, replace(mail, source=training.SCENES)], [])
    assert trust[1].sum() == pytest.approx(training.SCENE_WEIGHT * trust[0].sum())


def test_where_written_and_real_mail_differ_real_mail_is_followed():
    """The word is in all written meetings, but in real mail only in what is unknown."""
    says = {True: "meeting", False: "unknown"}
    kinds = [(made_up, label, float(label == says[made_up])) for made_up in says for label in LABELS] * 20
    inputs = sparse.csr_matrix(np.array([[has] for _, _, has in kinds]))
    trust = np.array([[float(label == name) for name in LABELS] for _, label, _ in kinds])
    written = np.array([made_up for made_up, _, _ in kinds])

    def push(made_up):
        table = training.linear(inputs, trust, made_up).table
        return table[0, LABELS.index("meeting")] - table[0, LABELS.index("unknown")]

    assert abs(push(np.zeros(len(kinds), bool))) < 0.01
    assert push(written) < -0.5


def test_an_introduction_is_learned_from_written_and_real_mail_alike():
    mails = _mails(80)
    inputs = training.matrix(*_encoded(mails))
    trust = training.answers(mails)[1]
    intro = LABELS.index("intro")
    others = np.arange(len(LABELS)) != intro

    def lead(made_up):
        table = training.linear(inputs, trust, made_up).table
        return table[:, intro] - table[:, others].mean(axis=1)

    assert np.allclose(lead(np.arange(80) < 40), lead(np.zeros(80, bool)))


def test_calibration_finds_the_scale_and_the_shares_that_were_there():
    rng = np.random.default_rng(1)
    true = rng.normal(size=(20_000, 4)) * 2 + np.array([0.5, 0.0, -1.0, 0.0])
    chances = np.exp(true) / np.exp(true).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=row) for row in chances])
    scale, shift = training.calibrate(true / 3, labels)
    assert scale == pytest.approx(np.full(4, 3.0), rel=0.05)
    assert shift == pytest.approx(np.zeros(4), abs=0.1)


def test_what_pushes_all_labels_alike_is_left_out_of_the_weights():
    mails = _mails(80)
    inputs = training.matrix(*_encoded(mails))
    model = training.linear(inputs, training.answers(mails)[1], np.arange(80) < 40)
    assert np.allclose(model.table.sum(axis=1), 0)
    assert model.bias.sum() == pytest.approx(0)


def _encoded(mails):
    features = training.choose(mails)
    return encode([mail.email for mail in mails], Vocabulary(features.keys)), features


def test_the_same_mail_makes_the_same_file_which_labels_it_right(tmp_path):
    real, written, further = _mails(120), _mails(40, source=""), _mails(60, source="other")
    for name in ("a.npz", "b.npz"):
        weights.save(training.fit(real, written, further), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()

    classifier = Classifier.load(tmp_path / "a.npz")
    found = classifier.classify([Email(words, words) for words in WORDS.values()])
    assert [each.label for each in found] == list(WORDS)
    assert all(each.confidence > 0.6 for each in found)
