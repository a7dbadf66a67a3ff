"""The fetcher forwards fetched emails, waits for missing ones, and buries those that can never be fetched."""

import json
import time
from itertools import groupby

import gevent
import msgspec
import pytest

import actors.fetcher
from actors.bodies import CLASSIFY, FETCH, ClassifyBody, FetchBody, decode, encode
from actors.fetcher import FAILING_PAUSE, FORGET_S, LONGEST_PAUSE, FailureTracker, Fetcher
from actors.ledger import SqlLedger
from engine.errors import DependencyTrouble, Permanent
from engine.events import Bus
from engine.mailbox import DEAD, Envelope
from engine.mailbox_actor import Context, RetryPolicy
from fakemail.client import FakeMailClient
from storage.records import Look
from tests.actors.conftest import Account, eventually
from tests.fakemail.serving import serving


@pytest.fixture
def feed(books, mailboxes):
    """Put ids into the books and the fetch mailbox, as the lister and the feeder would."""

    def put(*ids, missing_since=None):
        rows = books.enter(books.source("main"), ids, Look("poll", time.time()), lane="normal")
        body = b"" if missing_since is None else encode(FetchBody(missing_since))
        mailboxes.put(FETCH, [Envelope("main", key, ref=ref, body=body) for ref, key in rows])

    return put


@pytest.fixture
def fetcher(started, context, account):
    return started(Fetcher, context, clients={"main": account}, gone_after=60.0)


def fails(account, failing, error):
    """From now on, fetching this id fails with `error`."""
    original = account.get_email
    account.get_emails = lambda ids: [error if email_id == failing else original(email_id) for email_id in ids]


def waiting(mailboxes, mailbox):
    return mailboxes.depths(mailbox)["normal"].messages


def taken(mailboxes, mailbox):
    return mailboxes.take(mailbox, "node/test/x", count=10, max_bytes=10**7, block=2.0)


def test_an_email_goes_to_the_classifiers_whole(fetcher, feed, account, mailboxes):
    account.receive("a/ä")
    feed("a/ä")
    (delivery,) = taken(mailboxes, CLASSIFY)
    content = decode(delivery.envelope.body, ClassifyBody)
    assert (delivery.envelope.key, content.subject) == ("a/ä", "subject of a/ä")
    assert delivery.envelope.times["fetched"] == pytest.approx(time.time(), abs=5)
    eventually(lambda: waiting(mailboxes, FETCH) == 0)


def test_a_simulated_email_may_say_how_urgent_it_is(fetcher, feed, account, mailboxes):
    account.receive("a")
    original = account.get_email
    account.get_email = lambda email_id: msgspec.structs.replace(original(email_id), priority="low")
    feed("a")
    (delivery,) = taken(mailboxes, CLASSIFY)
    assert delivery.lane == "low"


def test_a_missing_email_is_retried_and_no_attempt_is_spent(fetcher, feed, books, mailboxes):
    feed("a")
    eventually(lambda: books.audit().retrying == 1)
    (row,) = books.find("a")
    assert (row.attempts, row.state) == (0, "open")
    assert row.next_attempt_at == pytest.approx(time.time() + 1, abs=1)


def test_an_email_missing_for_long_is_buried_as_gone(fetcher, feed, mailboxes):
    feed("a", missing_since=time.time() - 61)
    (delivery,) = taken(mailboxes, DEAD)
    assert b"gone" in delivery.envelope.body


def test_while_the_clock_may_just_have_been_set_none_is_buried_as_gone(fetcher, feed, mailboxes, books, monkeypatch):
    monkeypatch.setattr("engine.clock.steady_s", lambda: 59.0)
    feed("a", missing_since=time.time() - 61)
    eventually(lambda: books.audit().retrying == 1)
    assert books.find("a")[0].next_attempt_at == pytest.approx(time.time() + 1, abs=0.8)


def test_trouble_with_fakemail_spends_nothing_and_passes(fetcher, feed, account, books, mailboxes):
    account.receive("a")
    account.down = True
    feed("a")
    eventually(lambda: fetcher.describe().state == "waiting")
    assert "fakemail" in fetcher.describe().reason
    account.down = False
    assert len(taken(mailboxes, CLASSIFY)) == 1
    assert books.find("a")[0].attempts == 0


def test_what_a_node_without_a_way_to_fakemail_holds_goes_to_one_that_has(
    started, context, feed, account, books, mailboxes, monkeypatch
):
    monkeypatch.setattr("engine.pump.GIVE_BACK_S", 0.1)
    ids = [f"e{number}" for number in range(50)]
    account.receive(*ids)
    fetcher = started(Fetcher, context, clients={"main": Account(down=True)}, gone_after=60.0)
    feed(*ids)
    eventually(lambda: mailboxes.depths(FETCH)["normal"].in_hand == 50)
    eventually(lambda: fetcher.describe().state == "waiting")
    well = Context(mailboxes, "well/front", SqlLedger(books), bus=Bus(), policy=RetryPolicy(3, 0.01))
    started(Fetcher, well, clients={"main": account}, gone_after=60.0)
    eventually(lambda: waiting(mailboxes, CLASSIFY) == 50)
    assert books.find("e0")[0].attempts == 0


@pytest.mark.parametrize(
    "answer", [None, Permanent("FakeMail refuses this email: status 400", reason="fetch_failed")], ids=["404", "400"]
)
def test_an_outage_in_which_a_gateway_refuses_everything_buries_nothing(
    fetcher, feed, account, mailboxes, books, answer
):
    account.receive("a")
    account.down = True
    account.get_emails = lambda ids: [answer if account.down else account.get_email(each) for each in ids]
    feed("a", missing_since=time.time() - 61)
    eventually(lambda: fetcher.describe().state == "waiting")
    account.down = False
    assert len(taken(mailboxes, CLASSIFY)) == 1
    assert books.find("a")[0].attempts == 0


def test_an_email_that_asks_to_wait_is_put_off_as_long_as_it_says(fetcher, feed, account, mailboxes, books):
    account.receive("sick", "well")
    fails(account, "sick", DependencyTrouble("status 429", dependency="fakemail", retry_after=100.0))
    feed("sick", "well")
    assert [delivery.envelope.key for delivery in taken(mailboxes, CLASSIFY)] == ["well"]
    eventually(lambda: books.audit().retrying == 1)
    assert books.find("sick")[0].next_attempt_at == pytest.approx(time.time() + 100, abs=20)


def test_one_permanent_failure_does_not_hold_up_the_others(fetcher, feed, account, mailboxes):
    account.receive("good")
    fails(account, "bad", Permanent("its subject is a number", reason="invalid_email"))
    feed("bad", "good")
    assert [delivery.envelope.key for delivery in taken(mailboxes, CLASSIFY)] == ["good"]
    (dead,) = taken(mailboxes, DEAD)
    assert b"invalid_email" in dead.envelope.body


def test_an_email_whose_own_fetch_fails_does_not_hold_up_the_others(fetcher, feed, account, books, mailboxes):
    account.receive("sick", "well")
    fails(account, "sick", DependencyTrouble("500 Internal Server Error", dependency="fakemail"))
    feed("sick", "well")
    assert [delivery.envelope.key for delivery in taken(mailboxes, CLASSIFY)] == ["well"]
    eventually(lambda: books.audit().retrying == 1)
    assert books.find("sick")[0].attempts == 0


def test_a_sick_email_alone_does_not_hold_up_what_comes_after_it(fetcher, feed, account, mailboxes, books):
    account.receive("sick", "well")
    fails(account, "sick", DependencyTrouble("500", dependency="fakemail"))
    feed("sick")
    eventually(lambda: books.audit().retrying == 1)
    feed("well")
    assert [delivery.envelope.key for delivery in taken(mailboxes, CLASSIFY)] == ["well"]


def test_while_no_email_at_all_can_be_fetched_none_is_charged(started, context, feed, account, books):
    started(Fetcher, context, clients={"main": account}, gone_after=60.0, patience=0.0)
    account.receive("a")
    account.get_emails = lambda ids: [DependencyTrouble("500", dependency="fakemail") for _ in ids]
    feed("a")
    eventually(lambda: books.audit().retrying == 1)
    assert books.find("a")[0].attempts == 0


def test_a_lone_email_is_charged_too_when_fakemail_says_of_another_that_there_is_none(
    started, context, feed, account, books
):
    started(Fetcher, context, clients={"main": account}, gone_after=60.0, patience=0.0)
    account.receive("sick")
    fails(account, "sick", DependencyTrouble("500", dependency="fakemail"))
    feed("sick")
    eventually(lambda: books.find("sick")[0].attempts == 1)


def test_where_many_fail_and_none_comes_nobody_is_charged_although_there_is_an_answer_for_strangers(
    started, context, feed, account, books
):
    started(Fetcher, context, clients={"main": account}, gone_after=60.0, patience=0.0)
    trouble = DependencyTrouble("500", dependency="fakemail")
    account.get_emails = lambda ids: [trouble if email_id.startswith("m") else None for email_id in ids]
    many = [f"m{number}" for number in range(10)]
    feed(*many)
    eventually(lambda: books.audit().retrying == len(many))
    assert not any(books.find(key)[0].attempts for key in many)


def test_an_email_whose_own_fetch_goes_on_failing_is_charged(started, context, feed, account, books, mailboxes):
    started(Fetcher, context, clients={"main": account}, gone_after=60.0, patience=0.0)
    account.receive("sick", "well")
    fails(account, "sick", DependencyTrouble("500 Internal Server Error", dependency="fakemail"))
    feed("sick", "well")
    eventually(lambda: books.find("sick")[0].attempts == 1)


def fakemail(environ, start_response):
    """A healthy FakeMail, except for emails whose ids begin with "sick"."""
    name = environ["PATH_INFO"].rpartition("/")[2]
    if name.startswith("sick"):
        start_response("500 Internal Server Error", [])
        return [b"{}"]
    if name.startswith("email-processor"):
        start_response("404 Not Found", [])
        return [b"{}"]
    start_response("200 OK", [("Content-Type", "application/json")])
    found = {"history_id": 1} if name == "watch" else {"id": name, "subject": "s", "body": "b"}
    return [json.dumps(found).encode()]


@pytest.mark.parametrize("count", [5, 40])
def test_emails_that_fail_together_open_the_breaker_and_hold_up_nobody(started, context, feed, books, mailboxes, count):
    with serving(fakemail) as url:
        client = FakeMailClient(url)
        started(Fetcher, context, clients={"main": client}, gone_after=60.0)
        feed(*(f"sick{number}" for number in range(count)))
        eventually(lambda: books.audit().retrying == count)
        feed("good")
        assert [delivery.envelope.key for delivery in taken(mailboxes, CLASSIFY)] == ["good"]
        assert client.breaker.state(time.monotonic()) == "closed"
        client.close()


def test_while_the_place_of_emails_is_out_of_order_all_are_held_and_come_with_it(
    started, context, feed, account, books, mailboxes
):
    fetcher = started(Fetcher, context, clients={"main": account}, gone_after=60.0)
    keys = [f"m{number}" for number in range(10)]
    account.receive(*keys)
    get, account.get_emails = (
        account.get_emails,
        lambda ids: [DependencyTrouble("500", dependency="fakemail")] * len(ids),
    )
    feed(*keys)
    eventually(lambda: fetcher.describe().state == "waiting")
    account.get_emails = get
    assert len(taken(mailboxes, CLASSIFY)) == len(keys)
    assert books.audit().retrying == 0


def test_the_more_fail_the_longer_each_waits(monkeypatch):
    failures, clock = FailureTracker(30.0), [1000.0]
    monkeypatch.setattr("actors.fetcher.time.monotonic", lambda: clock[0])
    pauses = [failures.pause(str(number)) for number in range(10_000)]
    assert pauses[0] == pauses[99] == FAILING_PAUSE
    assert pauses[-1] == LONGEST_PAUSE


def test_others_have_their_turn_while_large_emails_are_handed_on(
    started, context, feed, account, mailboxes, monkeypatch
):
    """Regression: judging and encoding 256 emails of 200 KiB blocked the front's hub."""
    order: list[str] = []

    def noting(body):
        order.append("encoded")
        return encode(body)

    def lanes(emails):
        order.append(f"judged {len(emails)}")
        return ["high"] * len(emails)

    def others():
        while True:
            order.append("others")
            gevent.sleep(0)

    original = account.get_email
    account.get_email = lambda email_id: msgspec.structs.replace(original(email_id), body="b" * 60_000)
    monkeypatch.setattr(actors.fetcher, "BREATH_S", 0.0)
    monkeypatch.setattr(actors.fetcher, "encode", noting)
    ids = ["a", "b", "c"]
    account.receive(*ids)
    feed(*ids)
    beating = gevent.spawn(others)
    started(Fetcher, context, clients={"main": account}, gone_after=60.0, lanes=lanes)
    eventually(lambda: mailboxes.depths(CLASSIFY)["high"].messages == 3)
    beating.kill()
    happened = [each for each, _ in groupby(order)]
    assert happened.count("judged 1") == happened.count("encoded") == 3
    first = happened.index("judged 1")
    assert happened[first : first + 4] == ["judged 1", "encoded", "others", "judged 1"]


def test_what_is_asked_for_no_more_is_not_counted_among_those_that_fail(monkeypatch):
    failures, clock = FailureTracker(0.0), [1000.0]
    monkeypatch.setattr("actors.fetcher.time.monotonic", lambda: clock[0])
    for number in range(10):
        failures.pause(f"buried{number}")
    clock[0] += FORGET_S + 1
    failures.pause("new")
    assert failures.count == 1
