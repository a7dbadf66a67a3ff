"""The lister lists when notified, when a poll is due, and again for announced emails that did not show up."""

import time

import gevent
import pytest
from gevent.event import Event

from actors.bodies import LookBody, encode, look_mailbox
from actors.following import Follower
from actors.ledger import SqlLedger
from actors.lister import Lister, lister_lease
from actors.metrics import LOOK
from engine.errors import StaleError
from engine.events import DEPENDENCY_BACK, DEPENDENCY_LOST, Bus
from engine.leadership import Leadership
from engine.mailbox import Envelope
from engine.mailbox_actor import Context, RetryPolicy
from storage.books import Books
from storage.desired import Desired
from storage.notifications import Notifications
from storage.reading import Reader
from tests.actors.conftest import Account, eventually


@pytest.fixture
def bell():
    return Event()


@pytest.fixture
def start(started, context, account, books, database, bell):
    def begin(**changes):
        options = {
            "follower": Follower("main", account, books, overlap=60.0),
            "notifications": Notifications(database),
            "desired": Desired(database),
            "bell": bell,
            "subscribe": account.subscribe,
            "poll_interval": 60.0,
            "start_from": "beginning",
            "token": "t",
            "name": "lister",
        }
        return started(Lister, context, **{**options, **changes})

    return begin


def notify(mailboxes, history_id, received=None):
    body = encode(LookBody(history_id))
    envelope = Envelope("main", f"n{history_id}", times={"received": received or time.time()}, body=body)
    mailboxes.put(look_mailbox("main"), [envelope])


def listed(books):
    return books.audit().listed


def test_at_its_first_start_it_takes_what_is_there_as_low_priority_and_subscribes(start, account, books):
    account.receive("a", "b")
    start()
    eventually(lambda: listed(books) == 2)
    assert [row.key for row in books.open_rows(1, "low", 0, 10)] == ["a", "b"]
    eventually(lambda: account.subscriptions == 1)


def test_started_from_now_it_leaves_what_is_there(start, account, books):
    account.receive("old")
    start(start_from="now")
    eventually(lambda: account.subscriptions == 1)
    eventually(lambda: books.source("main").cursor == 1)
    assert listed(books) == 0


def test_a_listing_that_comes_slowly_is_no_hung_handler(start, account, books, mailboxes):
    account.receive("old")
    lister = start()
    eventually(lambda: listed(books) == 1)
    lister.proxy().handle_deadline = 0.2
    real, listings = account.list_emails, []

    def slowly(start, heard):
        listings.append(start)
        for _ in range(10):
            gevent.sleep(0.04)
            heard()
        return real(start)

    account.list_emails = slowly
    account.receive("new")
    notify(mailboxes, 2)
    eventually(lambda: listed(books) == 2)
    assert (len(listings), lister.describe().last_error) == (1, "")


def test_a_notification_brings_live_mail_at_once_and_is_noted(start, account, books, mailboxes, bell, database):
    start()
    eventually(lambda: account.listings)
    account.receive("live")
    bell.clear()
    notify(mailboxes, 1)
    eventually(lambda: listed(books) == 1)
    assert [row.key for row in books.open_rows(1, "normal", 0, 10)] == ["live"]
    assert bell.is_set(), "the feeder is woken"
    eventually(lambda: Reader(database).notifications().items)


def test_a_burst_of_notifications_is_one_look(start, account, books, mailboxes):
    start()
    eventually(lambda: account.listings)
    before = len(account.listings)
    account.receive("a")
    body = encode(LookBody(1))
    mailboxes.put(look_mailbox("main"), [Envelope("main", str(number), body=body) for number in range(200)])
    eventually(lambda: mailboxes.depths(look_mailbox("main"))["normal"].messages == 0)
    assert len(account.listings) - before <= 3
    assert listed(books) == 1


def test_what_was_announced_but_is_not_listed_yet_is_looked_for_again(start, account, books, mailboxes):
    start()
    eventually(lambda: account.listings)
    account.receive("late")
    account.hidden.add("late")
    notify(mailboxes, 1)
    eventually(lambda: mailboxes.depths(look_mailbox("main"))["normal"].messages == 0)
    account.hidden.clear()
    eventually(lambda: listed(books) == 1)


def test_an_announcement_of_what_never_comes_does_not_hide_later_ones(start, account, books, mailboxes, monkeypatch):
    monkeypatch.setattr("actors.announced.TRIES", 4)
    lister = start()
    eventually(lambda: account.listings)
    notify(mailboxes, 2**63 - 1)
    account.receive("listed")
    notify(mailboxes, 1)  # steady mail must not keep the bogus one alive
    eventually(lambda: listed(books) == 1)
    eventually(lambda: lister.proxy().announced.get(timeout=20).history_id == 0)
    account.receive("late")
    account.hidden.add("late")
    notify(mailboxes, 2)
    eventually(lambda: mailboxes.depths(look_mailbox("main"))["normal"].messages == 0)
    account.hidden.clear()
    eventually(lambda: listed(books) == 2)


def test_what_a_new_leader_finds_at_first_is_no_lost_notification(start, account, books, context):
    looks = []
    context.bus.subscribe(lambda _event, fields: looks.append((fields["kind"], fields["new"])), LOOK)
    first = start()
    eventually(lambda: looks == [("start", 0), ("takeover", 0)])
    first.stop()
    account.receive("a", "b")
    start(poll_interval=0.1, name="lister-2")
    eventually(lambda: ("takeover", 2) in looks and ("poll", 0) in looks)
    account.receive("c")
    eventually(lambda: ("poll", 1) in looks)
    assert sum(new for _kind, new in looks) == 3


def test_mail_found_by_a_poll_without_its_notification_makes_it_subscribe_again(start, account, books):
    start(poll_interval=0.1)
    # The start and the takeover do not count as polls.
    eventually(lambda: account.subscriptions == 1 and len(account.listings) >= 3)
    account.receive("unannounced")
    eventually(lambda: listed(books) == 1)
    eventually(lambda: account.subscriptions == 2)


def test_a_fakemail_that_refuses_our_webhook_is_polled_all_the_same_and_asked_again(start, account, books, caplog):
    account.refuses_webhook = True
    lister = start(poll_interval=0.1)
    account.receive("a")
    eventually(lambda: listed(books) == 1)
    account.receive("b")
    eventually(lambda: listed(books) == 2)
    assert lister.describe().state != "waiting"
    eventually(lambda: "does not notify us" in (lister.describe().last_error or ""))
    eventually(lambda: any("polls find its mail meanwhile" in record.message for record in caplog.records))
    account.refuses_webhook = False
    eventually(lambda: account.subscriptions == 1)


def test_what_came_before_a_late_subscription_is_listed_at_once(start, account, books):
    account.refuses_webhook = True
    start(poll_interval=60.0)
    eventually(lambda: len(account.listings) == 2)  # the start and the takeover
    account.receive("in between")
    account.refuses_webhook = False
    eventually(lambda: listed(books) == 1)


def test_a_poll_that_fails_is_tried_again_with_growing_pauses_and_is_one_outage(start, account, monkeypatch, context):
    tried, told_of = [], []
    context.bus.subscribe(lambda name, _fields: told_of.append(name), DEPENDENCY_LOST, DEPENDENCY_BACK)
    watch = account.watch

    def noted():
        tried.append(time.monotonic())
        return watch()

    monkeypatch.setattr(account, "watch", noted)
    account.down = True
    lister = start()
    eventually(lambda: len(tried) >= 6)
    assert lister.describe().state == "waiting"
    assert tried[5] - tried[4] > tried[1] - tried[0]
    account.down = False
    eventually(lambda: account.subscriptions == 1)
    eventually(lambda: lister.describe().state == "running")
    assert told_of == [DEPENDENCY_LOST, DEPENDENCY_BACK]


def test_while_fakemail_is_away_it_waits_and_keeps_the_hint(start, account, books, mailboxes):
    lister = start()
    eventually(lambda: account.listings)
    account.receive("a")
    account.down = True
    notify(mailboxes, 1)
    eventually(lambda: lister.describe().state == "waiting")
    account.down = False
    eventually(lambda: listed(books) == 1)


def test_only_the_holder_of_the_lease_looks(start, account, mailboxes):
    assert mailboxes.lease("lister:main", "another", ttl=30.0)
    start()
    notify(mailboxes, 1)
    eventually(lambda: mailboxes.depths(look_mailbox("main"))["normal"].messages == 1)
    assert not account.listings
    mailboxes.give_up("lister:main", "another")
    eventually(lambda: account.listings)


@pytest.fixture
def overtaken(books, monkeypatch):
    """Another leader moves the cursor during the first two looks; an element for each that is still to come."""
    stale = [True, True]
    real = Books.enter

    def enter(self, *args, **options):
        if stale:
            stale.pop()
            raise StaleError("the cursor stands elsewhere")
        return real(self, *args, **options)

    Desired(books._db).set("started:main", True)
    monkeypatch.setattr(Books, "enter", enter)
    return stale


def test_a_notification_met_by_another_leader_twice_is_kept(start, account, books, mailboxes, monkeypatch, overtaken):
    account.receive("a")
    monkeypatch.setattr(Lister, "_poll", lambda self, now: setattr(self, "poll_at", now + 60))
    start()
    notify(mailboxes, 1)
    eventually(lambda: listed(books) == 1)
    assert not overtaken


def test_a_poll_met_by_another_leader_twice_is_repeated_and_no_failure(start, account, books, overtaken):
    account.receive("a")
    lister = start()
    eventually(lambda: lister.card.ended or listed(books) == 1)
    assert (overtaken, lister.describe().failures) == ([], 0)


def test_the_log_leads_from_a_notification_to_its_emails(start, account, mailboxes, books, caplog):
    caplog.set_level("INFO")
    start()
    eventually(lambda: len(account.listings) >= 2)  # the start and the takeover
    account.receive("a/1", "b")
    notify(mailboxes, 2)
    eventually(lambda: listed(books) == 2)
    eventually(lambda: any(record.message == "Listed new emails" for record in caplog.records))
    line = next(record for record in caplog.records if record.message == "Listed new emails")
    assert (line.source, line.history_id, line.count, line.email_ids) == ("main", 2, 2, ["a/1", "b"])
    assert line.look > 0


def test_a_leader_whose_polls_fail_for_long_lets_another_node_lead(
    start, started, mailboxes, books, account, database, monkeypatch
):
    monkeypatch.setattr("engine.leadership.GIVE_BACK_S", 0.1)
    monkeypatch.setattr("engine.pump.GIVE_BACK_S", 0.1)
    start(follower=Follower("main", Account(down=True), books, overlap=60.0))
    eventually(lambda: mailboxes.held(lister_lease("main")))
    notify(mailboxes, 2)
    eventually(lambda: mailboxes.depths(look_mailbox("main"))["normal"].in_hand == 1)
    account.receive("a", "b")
    well = Context(mailboxes, "well/front", SqlLedger(books), bus=Bus(), policy=RetryPolicy(3, 0.01))
    options = {"notifications": Notifications(database), "desired": Desired(database), "bell": Event()}
    follower = Follower("main", account, books, overlap=60.0)
    rest = {"poll_interval": 60.0, "start_from": "beginning", "token": "w", "name": "lister"}
    started(Lister, well, follower=follower, subscribe=account.subscribe, **options, **rest)
    eventually(lambda: listed(books) == 2)
    eventually(lambda: mailboxes.depths(look_mailbox("main"))["normal"].messages == 0)


def test_a_leader_alone_leads_on_however_long_its_polls_fail(start, mailboxes, account, monkeypatch):
    monkeypatch.setattr("engine.leadership.GIVE_BACK_S", 0.1)
    monkeypatch.setattr(Leadership, "stand_back", lambda _: pytest.fail("stood back"))
    account.down = True
    lister = start()
    eventually(lambda: lister.proxy().poll_failures.get(timeout=20) >= 3)
    account.down = False
    account.receive("a")
    eventually(lambda: account.listings)
