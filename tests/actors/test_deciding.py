"""Every process follows the desired rules and models; the shadow only counts; old results are judged again."""

import json
import random
import time
from itertools import groupby, pairwise

import gevent
import pytest

from actors.bodies import CLASSIFY, FETCH, ClassifyBody, FetchBody, encode
from actors.classifier import ClassifierActor
from actors.deciding import Deciders, classifier_of
from actors.fetcher import Fetcher
from actors.reprocessing import KIND, judge_again, reprocess
from actors.tasks import TaskRunner
from classification import weights
from classification.feedback import Corrected, retrain
from classification.model import Classifier, Email
from engine.control import Control
from engine.errors import DependencyTrouble
from engine.events import Bus
from engine.mailbox import Envelope
from storage.database import Database
from storage.desired import Desired
from storage.model_files import FEEDBACK, ModelStore
from storage.records import Content, Look
from storage.reprocessing import Judged, Reprocessing
from storage.results import ResultStore
from storage.rules import NewRule, RuleCondition, RuleStore
from storage.tasks import Tasks
from tests.actors.conftest import eventually

MEETING = Email("Lunch", "Shall we meet on Monday at 10 for lunch?", "anna@example.org")


@pytest.fixture(scope="session")
def packaged():
    return Classifier.load()


@pytest.fixture(scope="session")
def other():
    """A model trained to call MEETING an introduction: (file, version)."""
    trained = retrain(weights.PACKAGED, [Corrected(MEETING, "intro")] * 3, [])
    return trained.file, trained.version


def result_of(results, key):
    found = results.get(key, "main")
    assert found is not None
    return found


@pytest.fixture
def rules(database):
    return RuleStore(database)


@pytest.fixture
def models(database):
    return ModelStore(database)


@pytest.fixture
def process(database, mailboxes, packaged):
    """What each process of a node has: its own deciders on its own connection, following the desired state."""
    made = []

    def start(reread=5.0):
        own = Database(f"sqlite:///{database.driver.path}")
        deciders = Deciders(packaged, rules=RuleStore(own), models=ModelStore(own), shard="test")
        control = Control(Desired(own).all, mailboxes, bus=Bus(), reread=reread)
        made.append((own, deciders, control))
        deciders.start(control)
        control.start()
        return deciders

    yield start
    for own, deciders, control in made:
        control.stop()
        deciders.stop()
        own.close()


def subject_rule(word, **changes):
    return NewRule(**{"name": word, "conditions": (RuleCondition("subject", "literal", word),), **changes})


def test_a_change_of_the_rules_is_in_force_in_every_process_when_it_is_called(process, rules, mailboxes):
    processes = [process(), process()]
    assert [each.judge([MEETING]) for each in processes] == [[None], [None]]
    rule = rules.create(subject_rule("lunch", classification="promotion"))
    mailboxes.call("control")
    eventually(lambda: all(each.judge([MEETING])[0] for each in processes))
    assert processes[1].judge([MEETING])[0].classification == "promotion"
    rules.delete(rule.id)
    mailboxes.call("control")
    eventually(lambda: not any(each.judge([MEETING])[0] for each in processes))


def test_it_is_found_without_the_call_too_and_a_rule_switched_off_is_none(process, rules):
    deciders = process(reread=0.05)
    rules.create(subject_rule("lunch", priority="high", enabled=False))
    rules.create(subject_rule("lunch", priority="low"))
    eventually(lambda: deciders.lanes([MEETING]) == ["low"])


@pytest.mark.parametrize(("kind", "pattern"), [("regex", "[ab]*a[ab]{300}c"), ("glob", f"*a{'?' * 300}c*")])
def test_a_pattern_that_takes_long_leaves_the_hub_alone(process, rules, kind, pattern):
    deciders = process(reread=0.05)
    condition = RuleCondition("body", kind, pattern)
    rules.create(NewRule(name="slow", conditions=(condition,), classification="intro"))
    eventually(lambda: deciders.ruleset)
    beats = []

    def beat():
        while True:
            beats.append(time.perf_counter())
            gevent.sleep(0.002)

    heart = gevent.spawn(beat)
    hostile = "".join(random.Random(1).choices("ab", k=16_000))
    began = time.perf_counter()
    deciders.judge([Email("", hostile)] * 40)
    ended = time.perf_counter()
    heart.kill()
    gaps = [after - before for before, after in pairwise([began, *beats, ended])]
    assert max(gaps) < (ended - began) / 2


def test_a_promoted_model_is_live_in_every_process_and_so_is_the_old_one_again(
    process, models, mailboxes, packaged, other
):
    processes = [process(), process()]
    file, version = other
    models.add(version, file, origin=FEEDBACK, parent=packaged.version)
    models.promote(version, packaged.version)
    mailboxes.call("control")
    eventually(lambda: [each.version for each in processes] == [version, version])
    assert [each.classify([MEETING])[0].label for each in processes] == ["intro", "intro"]
    models.promote(packaged.version, packaged.version)
    mailboxes.call("control")
    eventually(lambda: [each.classify([MEETING])[0].label for each in processes] == ["meeting", "meeting"])


def test_a_model_that_is_broken_or_nowhere_or_of_another_release_leaves_the_packaged_one_live(
    process, models, packaged, other, caplog
):
    deciders = process(reread=0.02)
    models.add("broken", b"no model", origin=FEEDBACK, parent=packaged.version)
    models.add("older", other[0], origin=FEEDBACK, parent="shipped-before")
    for version in ("broken", "nowhere", "older"):
        models.promote(version, packaged.version)
        gevent.sleep(0.1)
        assert deciders.version == packaged.version
    assert deciders.classify([MEETING])[0].label == "meeting"
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [sum(version in line for line in said) for version in ("broken", "older")] == [1, 1]


@pytest.fixture
def put(books, mailboxes):
    def into(*emails):
        ids = [f"{number}-{email.subject}" for number, email in enumerate(emails)]
        rows = books.enter(books.source("main"), ids, Look("poll", time.time()), lane="normal")
        bodies = [encode(ClassifyBody(email.subject, email.body, email.sender)) for email in emails]
        envelopes = [
            Envelope("main", key, ref=ref, times={"listed": time.time()}, body=body)
            for (ref, key), body in zip(rows, bodies, strict=True)
        ]
        mailboxes.put(CLASSIFY, envelopes)
        return [ref for ref, _ in rows]

    return into


def test_a_rule_goes_before_the_model_and_both_are_kept(process, rules, started, context, database, put):
    deciders, results = process(reread=0.05), ResultStore(database)
    rule = rules.create(subject_rule("lunch", classification="promotion"))
    eventually(lambda: deciders.ruleset)
    started(ClassifierActor, context, classifier=deciders, results=results, name="classifier-1", rules=deciders.judge)
    put(MEETING, Email("Other", MEETING.body))
    eventually(lambda: results.get("1-Other", "main"))
    ruled, other = result_of(results, "0-Lunch"), result_of(results, "1-Other")
    assert (ruled.label, ruled.decided_by, ruled.model_label) == ("promotion", "rule", "meeting")
    assert (other.label, other.decided_by) == ("meeting", "model")
    assert (ruled.rule_id, other.rule_id) == (rule.id, None)


def test_a_rule_sets_the_lane(process, rules, started, context, account, mailboxes, books):
    deciders = process(reread=0.05)
    rules.create(subject_rule("of a", priority="high"))
    eventually(lambda: deciders.ruleset)
    account.receive("a", "b")
    rows = books.enter(books.source("main"), ["a", "b"], Look("poll", time.time()), lane="normal")
    mailboxes.put(FETCH, [Envelope("main", key, ref=ref, body=encode(FetchBody())) for ref, key in rows])
    started(Fetcher, context, clients={"main": account}, gone_after=60.0, lanes=deciders.lanes)
    eventually(lambda: mailboxes.depths(CLASSIFY)["high"].messages == 1)
    eventually(lambda: mailboxes.depths(CLASSIFY)["normal"].messages == 1)


def test_the_shadow_counts_and_names_what_it_says_otherwise(
    process, models, started, context, database, put, packaged, other
):
    file, version = other
    models.add(version, file, origin=FEEDBACK, parent=packaged.version)
    models.set_shadow(version)
    deciders, results = process(reread=0.05), ResultStore(database)
    eventually(lambda: deciders.shadow.version == version)
    started(
        ClassifierActor, context, classifier=deciders, results=results, name="classifier-1", offer=deciders.shadow.offer
    )
    refs = put(MEETING, Email("Sale", "50 % off, buy now, click here to unsubscribe", "shop@example.com"))
    eventually(lambda: len(models.differences(version)) == 1, 10.0)
    assert sum(models.agreement(packaged.version, version).values()) == 2
    (found,) = models.differences(version)
    assert (found.ref, found.live_label, found.shadow_label) == (refs[0], "meeting", "intro")
    assert result_of(results, "0-Lunch").label == "meeting"


def test_a_shadow_that_cannot_keep_up_leaves_mail_out(models, packaged):
    from actors.shadow import WAITING, Shadow

    shadow = Shadow(models, "test")
    shadow.use(packaged)
    said = packaged.classify([MEETING])
    for ref in range(WAITING * 2):
        shadow.offer([ref], [MEETING], said)
    assert len(shadow._waiting) == WAITING


@pytest.fixture
def run_task(started, mailboxes, database, context):
    tasks = Tasks(database)

    def run(deciders, **params):
        job = reprocess(reprocessing=Reprocessing(database), deciders=deciders, mailboxes=mailboxes)
        started(
            TaskRunner,
            name="tasks",
            bus=context.bus,
            store=mailboxes,
            tasks=tasks,
            jobs={KIND: job},
            token="t",
            tick=0.02,
        )
        task = tasks.create(KIND, {"filter": {}, "dry_run": False, **params})
        eventually(lambda: (found := tasks.get(task.id)) and found.ended_at, 10.0)
        return tasks.get(task.id)

    return run


def test_reprocessing_tells_what_would_change_then_does_it(
    process, rules, started, context, database, put, mailboxes, run_task
):
    deciders, results = process(reread=0.05), ResultStore(database)
    actor = started(ClassifierActor, context, classifier=deciders, results=results, name="classifier-1")
    put(MEETING, MEETING, Email("Other", MEETING.body))
    eventually(lambda: results.get("2-Other", "main"))
    actor.stop()
    results.label("1-Lunch", "main", "intro", "person")
    rules.create(subject_rule("lunch", classification="promotion"))
    eventually(lambda: deciders.ruleset)
    start = mailboxes.read_log(None, count=1).last
    dry = run_task(deciders, dry_run=True)
    assert (dry.state, dry.done, dry.total) == ("done", 3, 3)
    assert dry.counts == {"changed": 1, "meeting_to_promotion": 1}
    assert result_of(results, "0-Lunch").label == "meeting"
    done = run_task(deciders)
    assert (done.state, done.counts) == ("done", {"changed": 1, "meeting_to_promotion": 1})
    assert [result_of(results, key).label for key in ("0-Lunch", "1-Lunch", "2-Other")] == [
        "promotion",
        "intro",
        "meeting",
    ]
    told = [json.loads(entry.data) for entry in mailboxes.read_log(start, count=10).entries]
    assert [(each["event"], each["data"]["email_id"], each["data"]["decided_by"]) for each in told] == [
        ("label", "0-Lunch", "rule")
    ]
    assert run_task(deciders).counts == {}


def test_reprocessing_goes_by_a_rule_that_this_process_has_not_heard_of(
    process, rules, started, context, database, put, run_task
):
    deciders, results = process(reread=0.05), ResultStore(database)
    actor = started(ClassifierActor, context, classifier=deciders, results=results, name="classifier-1")
    put(MEETING)
    eventually(lambda: results.get("0-Lunch", "main"))
    actor.stop()
    deciders.stop()
    rules.create(subject_rule("lunch", classification="promotion"))
    assert run_task(deciders).counts == {"changed": 1, "meeting_to_promotion": 1}


def test_a_page_of_large_emails_is_judged_again_in_slices_with_turns_of_others_between(packaged):
    """Regression: 64 newsletters of 100 KB blocked the front's hub for half a second."""
    order: list[str] = []

    class Noting(Deciders):
        def __init__(self):
            pass

        def classify(self, emails):
            order.append(f"judged {len(emails)}")
            return packaged.classify(emails)

        def judge(self, emails):
            return [None] * len(emails)

    def others():
        while True:
            order.append("others")
            gevent.sleep(0)

    page = [
        Judged(number, str(number), "main", "meeting", "meeting", None, None, Content("s", "b" * size, "", "", None))
        for number, size in enumerate([10, 10, 90_000, 90_000, 10])
    ]
    beating = gevent.spawn(others)
    judgements, happened = judge_again(Noting(), page), [each for each, _ in groupby(order)]
    beating.kill()
    assert [each.id for each in judgements] == [0, 1, 2, 3, 4]
    assert happened == ["judged 3", "others", "judged 2"]


def test_what_reprocessing_changed_is_told_although_redis_was_away_then(
    process, rules, started, context, database, put, mailboxes, run_task, monkeypatch
):
    monkeypatch.setattr("actors.reprocessing.TELL_AGAIN_S", 0.01)
    deciders, results = process(reread=0.05), ResultStore(database)
    actor = started(ClassifierActor, context, classifier=deciders, results=results, name="classifier-1")
    put(MEETING)
    eventually(lambda: results.get("0-Lunch", "main"))
    actor.stop()
    rules.create(subject_rule("lunch", classification="promotion"))
    eventually(lambda: deciders.ruleset)
    start, tell, away = mailboxes.read_log(None, count=1).last, mailboxes.tell, [True, True]

    def tell_later(events):
        if away:
            away.pop()
            raise DependencyTrouble("away", dependency="redis")
        tell(events)

    monkeypatch.setattr(mailboxes, "tell", tell_later)
    assert run_task(deciders).counts == {"changed": 1, "meeting_to_promotion": 1}
    assert [json.loads(entry.data)["event"] for entry in mailboxes.read_log(start, count=10).entries] == ["label"]


def test_a_model_file_makes_the_classifier_that_wrote_it(other):
    file, version = other
    assert classifier_of(file, 0.3).version == version
    assert classifier_of(file, 0.3).min_confidence == 0.3
