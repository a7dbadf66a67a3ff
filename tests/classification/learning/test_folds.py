"""A model is tested only on senders, threads and sources that it has not learned from."""

import numpy as np
import pytest
from joblib import parallel_config  # type: ignore[import-untyped]
from scipy import sparse  # type: ignore[import-untyped]

from classification.corpus import Labelled, labelled
from classification.learning import folds, training
from classification.learning.grouping import groups
from classification.records import LABELS

SOURCES = ("list/one", "list/two", "office/one", "office/two", "shop", "school", "town", "club")
SENDERS = 12
REAL, FURTHER = 320, 160


def _mail(number: int, *, label: str) -> Labelled:
    """An email from one of its source's few senders; every fifth belongs to a thread that several senders share."""
    source = SOURCES[number % len(SOURCES)]
    sender = f"sender {number // len(SOURCES) % SENDERS} of {source}"
    subject = f"a thread of many letters {number % 40}" if number % 5 == 0 else f"{number}"
    return labelled({"subject": subject, "body": "", "sender": sender, "source": source, "label": label})


@pytest.fixture(scope="module")
def setup() -> folds.Setup:
    real = [_mail(number, label=LABELS[number % 4]) for number in range(REAL)]
    written = [labelled({"subject": "w", "body": "", "label": label}) for label in LABELS]
    further = [_mail(number * 3, label="unknown") for number in range(FURTHER)]
    items, labels, trust, made_up = training.together(real, written, further)
    return folds.Setup(items, [str(number) for number in range(REAL)], REAL, len(written), 2, labels, trust, made_up)


@pytest.mark.parametrize("senders", [True, False])
def test_each_real_mail_is_tried_once_and_no_group_stands_on_both_sides(setup, senders):
    made = setup.random_folds(senders=senders)
    assert sorted(np.concatenate([fold.test for fold in made])) == list(range(REAL))
    owners = groups(setup.items[:REAL], senders=senders)
    for fold in made:
        assert not set(owners[fold.train]) & set(owners[fold.test])
        assert len(fold.train) + len(fold.test) == REAL


def test_no_sender_of_tested_mail_is_learned_from_in_the_further_readings_either(setup):
    learned = 0
    for fold in setup.random_folds():
        tested = {setup.items[row].email.sender for row in fold.test}
        others = {setup.items[row].email.sender for row in fold.further}
        assert not tested & others
        assert all(row >= REAL + setup.written for row in fold.further)
        learned += len(fold.further)
    assert learned, "no fold learns from further readings: the test shows nothing"


def test_a_source_left_out_is_nowhere_learned_from_nor_its_like(setup):
    made = setup.source_folds()
    assert len(made) == folds.SOURCES_LEFT_OUT
    for fold in made:
        (left_out,) = {setup.items[row].source for row in fold.test}
        assert left_out not in {setup.items[row].source for row in fold.train}
        family = left_out.partition("/")[0]
        assert family not in {setup.items[row].source.partition("/")[0] for row in fold.further}


def test_less_training_mail_means_fewer_groups_and_the_same_tests(setup):
    whole = setup.random_folds()
    owners = groups(setup.items[:REAL])
    for fold, thin in zip(whole, setup.thinned(whole, 0.5), strict=True):
        assert (thin.test == fold.test).all()
        assert 0 < len(thin.train) < len(fold.train)
        assert not set(owners[thin.train]) & set(owners[np.setdiff1d(fold.train, thin.train)])


def test_log_odds_come_from_a_model_that_learned_from_the_other_rows(setup):
    inputs = sparse.csr_matrix(np.arange(len(setup.items))[:, None].astype(float))
    made = setup.random_folds()
    with parallel_config("sequential"):  # joblib's processes do not work with a patched interpreter
        said = folds.log_odds(setup, inputs, made, fit=_Rows, written=2)
    for fold in made:
        written = [REAL, REAL + 1]
        assert set(said[fold.test, 0]) == {float(len(fold.train) + len(written) + len(fold.further))}
        assert not said[fold.test, 1].any(), "a tested row was learned from"


class _Rows:
    """A model that reports how many rows it learned from, and whether a row it is asked about was among them."""

    def __init__(self, known, trust, written):
        assert known.shape[0] == len(trust) == len(written)
        assert written.sum() == 2, "which of the rows are written mail's"
        self.known = set(known.toarray()[:, 0])

    def decision_function(self, asked):
        seen = [float(row in self.known) for row in asked.toarray()[:, 0]]
        return np.stack([np.full(len(seen), float(len(self.known))), seen, seen, seen], axis=1)


def test_a_fold_is_calibrated_without_its_own_labels(setup):
    rng = np.random.default_rng(0)
    made, labels = setup.random_folds(), setup.labels[:REAL]
    scores = rng.normal(size=(REAL, 4)) + 2 * np.eye(4)[labels]
    before = folds.calibrated(scores, labels, made)
    first = made[0].test
    changed = labels.copy()
    changed[first] = (changed[first] + 1) % 4
    after = folds.calibrated(scores, changed, made)
    assert np.allclose(before.sum(axis=1), 1)
    assert (before[first] == after[first]).all()
    assert (before[made[1].test] != after[made[1].test]).any()
