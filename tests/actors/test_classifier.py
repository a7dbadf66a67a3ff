"""A classifier saves a batch at once, then settles it; saved results are announced again, but not saved again."""

import json
import time
from functools import partial

import pytest

import storage.database
import storage.results
from actors.bodies import CLASSIFY, ClassifyBody, encode
from actors.classifier import ClassifierActor
from actors.slices import SLICE, SLICE_SIZE, text_size
from classification.model import LABELS, Classification
from engine.errors import DependencyTrouble
from engine.mailbox import DEAD, Envelope
from storage.drivers import native_sleep
from storage.records import Look
from storage.results import ResultStore
from tests.actors.conftest import eventually


class Obliging:
    """A classifier that answers `meeting`, unless the subject tells it to fail."""

    version = "test-1"

    def classify(self, emails):
        if any(email.subject == "raise" for email in emails):
            raise ValueError("this one I cannot read")
        probabilities = dict.fromkeys(LABELS, 0.0) | {"meeting": 1.0}
        return [Classification("meeting", 0.97, probabilities, self.version, False, "unknown", ()) for _ in emails]


class Noting(Obliging):
    """Also records the size of each batch."""

    def __init__(self):
        self.asked: list[tuple[int, int]] = []

    def classify(self, emails):
        self.asked.append((len(emails), sum(map(text_size, emails))))
        return super().classify(emails)


class Hasty(ClassifierActor):
    """A classifier actor with a short deadline for its batches."""

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.handle_deadline = 1.5


@pytest.fixture
def results(database):
    return ResultStore(database)


@pytest.fixture
def put(books, mailboxes):
    def into(*subjects, body="b"):
        ids = [f"{number}-{subject}" for number, subject in enumerate(subjects)]
        rows = books.enter(books.source("main"), ids, Look("poll", time.time()), lane="normal")
        envelopes = [
            Envelope(
                "main",
                key,
                ref=ref,
                times={"listed": time.time()},
                body=encode(ClassifyBody(subject=subject, body=body)),
            )
            for (ref, key), subject in zip(rows, subjects, strict=True)
        ]
        mailboxes.put(CLASSIFY, envelopes)
        return envelopes

    return into


@pytest.fixture
def classifier(started, context, results):
    return started(ClassifierActor, context, classifier=Obliging(), results=results, name="classifier-1")


def told(mailboxes, start):
    return [json.loads(entry.data) for entry in mailboxes.read_log(start, count=100).entries]


def test_a_batch_becomes_results_and_events(classifier, put, books, results, mailboxes):
    start = mailboxes.read_log(None, count=1).last
    put("one", "two", "three")
    eventually(lambda: books.audit().results == 3)
    result = results.get("0-one", "main")
    assert (result.label, result.confidence, result.processor_id) == ("meeting", 0.97, "node/front/classifier-1")
    eventually(lambda: len(told(mailboxes, start)) == 3)
    event = told(mailboxes, start)[0]
    assert (event["event"], event["data"]["email_id"], event["data"]["subject"]) == ("process", "0-one", "one")
    eventually(lambda: mailboxes.depths(CLASSIFY)["normal"].messages == 0)


def test_the_one_that_fails_is_retried_then_buried_and_its_mates_are_not_blamed(classifier, put, books, mailboxes):
    put("good", "raise", "fine")
    eventually(lambda: books.audit().results == 2)
    eventually(lambda: books.audit().retrying == 1)
    assert books.find("1-raise")[0].attempts == 1
    assert "cannot read" in books.find("1-raise")[0].last_error


def test_after_its_last_attempt_it_is_buried(classifier, put, books, mailboxes):
    (envelope,) = put("raise")
    eventually(lambda: books.audit().retrying == 1)
    for spent in (1, 2, 3):
        books.due(time.time() + 3600, 10)
        mailboxes.put(CLASSIFY, [Envelope("main", envelope.key, ref=envelope.ref, attempts=spent, body=envelope.body)])
        expected = min(spent + 1, 3)
        eventually(partial(_has_spent, books, envelope.key, expected))
    eventually(lambda: mailboxes.depths(DEAD)["normal"].messages == 1)


def _has_spent(books, key, attempts):
    return books.find(key)[0].attempts == attempts


def test_a_result_that_was_saved_before_the_acknowledgement_is_told_once(
    started, context, put, books, results, mailboxes
):
    start = mailboxes.read_log(None, count=1).last
    real_save, saves = results.save, []

    def save_then_lose_the_answer(rows, *, shard):
        saved = real_save(rows, shard=shard)
        saves.append(len(rows))
        if len(saves) == 1:
            from engine.errors import DependencyTrouble

            raise DependencyTrouble("the answer was lost", dependency="database")
        return saved

    results.save = save_then_lose_the_answer
    put("one")
    started(ClassifierActor, context, classifier=Obliging(), results=results, name="classifier-1")
    eventually(lambda: len(told(mailboxes, start)) == 1)
    eventually(lambda: mailboxes.depths(CLASSIFY)["normal"].messages == 0)
    assert (saves, books.audit().results) == ([1, 1], 1)
    assert results.stats(time.time()).total_emails_processed == 1


def test_a_database_that_gives_no_answer_for_longer_than_the_deadline_costs_no_try_and_no_event(
    started, context, put, books, results, mailboxes, monkeypatch
):
    """The save hangs, is abandoned as database trouble, commits after all, and is found by the next try."""
    start, hangs, real = mailboxes.read_log(None, count=1).last, [2.0], storage.results._save

    def hang(*args):
        if hangs:
            native_sleep(hangs.pop())
        return real(*args)

    monkeypatch.setattr(storage.results, "_save", hang)
    monkeypatch.setattr(storage.database, "ANSWER_S", 0.2)
    started(Hasty, context, classifier=Obliging(), results=results, name="classifier-1")
    put("one")
    eventually(lambda: mailboxes.depths(CLASSIFY)["normal"].messages == 0)
    assert (hangs, books.audit().results, books.find("0-one")[0].attempts) == ([], 1, 0)
    assert [each["event"] for each in told(mailboxes, start)] == ["process"]


def test_an_email_that_was_erased_or_replayed_meanwhile_is_dropped_silently(classifier, put, books, mailboxes):
    start = mailboxes.read_log(None, count=1).last
    (envelope,) = put("one")
    mailboxes.put(CLASSIFY, [Envelope("main", envelope.key, ref=envelope.ref, generation=7, body=envelope.body)])
    eventually(lambda: mailboxes.depths(CLASSIFY)["normal"].messages == 0)
    assert len(told(mailboxes, start)) == 1
    assert books.audit().results == 1


def test_the_log_names_what_was_processed(classifier, put, caplog):
    caplog.set_level("INFO")
    put("a")
    eventually(lambda: any(record.message == "Processed" for record in caplog.records))
    line = next(record for record in caplog.records if record.message == "Processed")
    assert (line.source, line.email_id) == ("main", "0-a")


class DownOnce:
    """A result store whose first save fails as in an outage, before or after its commit."""

    def __init__(self, results, after):
        self.results, self.after, self.failures = results, after, 1

    def save(self, rows, **options):
        failing, self.failures = self.failures > 0, 0
        saved = [] if failing and not self.after else self.results.save(rows, **options)
        if failing:
            raise DependencyTrouble("no route", dependency="database")
        return saved


@pytest.mark.parametrize(("after", "seen"), [(False, ["0-one", "1-two"]), (True, [])])
def test_an_email_is_offered_to_the_shadow_once_it_is_stored_and_never_again(
    after, seen, started, context, results, put, books
):
    offered: list[tuple[int, object, Classification]] = []

    def offer(refs, emails, labels):
        offered.extend(zip(refs, emails, labels, strict=True))

    once_down = DownOnce(results, after)
    started(ClassifierActor, context, classifier=Obliging(), results=once_down, name="classifier-1", offer=offer)
    keys = {envelope.ref: envelope.key for envelope in put("one", "two")}
    eventually(lambda: books.audit().results == 2)
    eventually(lambda: context.store.depths(CLASSIFY)["normal"].messages == 0)
    assert [keys[ref] for ref, _email, _label in offered] == seen
    assert all(label.label == "meeting" for _ref, _email, label in offered)


@pytest.mark.parametrize(("size", "at_once"), [(2_000, SLICE), (40_000, 2), (250_000, 1)])
def test_of_large_emails_fewer_are_judged_before_others_have_their_turn(
    size, at_once, started, context, results, put, books
):
    """Regression: a slice of 32 large newsletters blocked the hub for seconds."""
    noting = Noting()
    put(*map(str, range(SLICE)), body="b" * size)
    started(ClassifierActor, context, classifier=noting, results=results, name="classifier-1")
    eventually(lambda: books.audit().results == SLICE)
    assert max(emails for emails, _ in noting.asked) == at_once
    assert max(text for _, text in noting.asked) <= max(SLICE_SIZE, size + 2)
