"""Delivers the event log to outgoing webhooks: each subscription in order, from its own position, at its own pace.

One front leads a subscription at a time, by lease. Its greenlet reads the log, posts message by message, and then moves
the position in SQL. A kill in between repeats a message, with the same webhook-id, and never skips one.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import gevent
import msgspec
import orjson

from actors.events import LABEL, kind_of, message
from actors.metrics import DELIVERED, DISABLED, STATES
from actors.posting import LONGEST_RETRY_AFTER_S, Posted, Poster
from engine import clock
from engine.actor import ServiceActor
from engine.backoff import backoff
from engine.errors import DependencyTrouble, StaleError
from engine.events import Bus
from engine.leadership import TTL_S
from engine.mailbox import LogEntry, MailboxStore
from engine.timestamps import timestamp
from fakemail.transport import Resolve
from storage.event_log import is_seq, told_at
from storage.subscriptions import Failure, Subscription, Subscriptions, Try

log = logging.getLogger(__name__)

PAGE = 100
HELD_AT_MOST, HELD_S = 50, 0.5
"""The position is written after this many deliveries or seconds; a kill may repeat that much."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 300.0
DISABLE_AFTER_S, DISABLE_AFTER_TRIES = 86_400.0, 20
"""A subscriber that has failed in a row for this long and this often is disabled."""

GOOD_S = 60.0
"""Trouble after this long without any starts a new back-off."""

NEWS_S = 0.5
LOOK_AGAIN_S = 1.0
GAP = "gap"

Wait = Callable[[float], None]


class Subscriber(ServiceActor):
    """Runs once in each front. `wait_for_news` returns at the log's next event, or after the given seconds."""

    def __init__(
        self,
        *,
        name: str,
        bus: Bus,
        store: MailboxStore,
        subscriptions: Subscriptions,
        wait_for_news: Wait,
        resolve: Resolve | None,
        token: str,
        tick: float = 1.0,
        first_wait: float = FIRST_WAIT_S,
        disable_after: tuple[float, int] = (DISABLE_AFTER_S, DISABLE_AFTER_TRIES),
    ) -> None:
        super().__init__(name=name, kind="subscriber", bus=bus)
        self.store, self.subscriptions, self.wait_for_news = store, subscriptions, wait_for_news
        self.resolve, self.token, self.tick = resolve, token, tick
        self.first_wait, self.disable_after = first_wait, disable_after
        self.running_for: dict[int, gevent.Greenlet[..., None]] = {}
        self.known: dict[int, Subscription] = {}

    def on_start(self) -> None:
        """Start looking for subscriptions to lead."""
        self.every(self.tick, self.look)

    def on_stop(self) -> None:
        """Give up all leases so that another node can go on at once."""
        for subscription_id in list(self.running_for):
            self._leave(subscription_id)

    def look(self) -> None:
        """Lead each active subscription that nobody else leads, and leave the others."""
        found = {each.id: each for each in self.subscriptions.all()}
        self.known = found
        self._tell(list(found.values()))
        active = {key for key, each in found.items() if each.state == "active"}
        for subscription_id in [key for key in self.running_for if key not in active]:
            self._leave(subscription_id)
        for subscription_id in sorted(active):
            self.goes_on()
            if not self.store.lease(_lease(subscription_id), self.token, ttl=TTL_S):
                self._leave(subscription_id, give_up=False)
            elif subscription_id not in self.running_for or self.running_for[subscription_id].dead:
                self.running_for[subscription_id] = self.spawn(self._lead, subscription_id)

    def _leave(self, subscription_id: int, *, give_up: bool = True) -> None:
        greenlet = self.running_for.pop(subscription_id, None)
        if greenlet is not None:
            greenlet.kill()
            if give_up:
                with suppress(DependencyTrouble):
                    self.store.give_up(_lease(subscription_id), self.token)

    def _tell(self, found: Sequence[Subscription]) -> None:
        """Publish how many subscriptions each state has, and how far behind the slowest active one is."""
        newest = self.store.log_bounds()[1] if found else ""
        behind = [_behind(each.position, newest) for each in found if each.state == "active"]
        self.bus.emit(
            STATES,
            active=sum(each.state == "active" and not each.failures for each in found),
            failing=sum(each.state == "active" and each.failures > 0 for each in found),
            disabled=sum(each.state == "disabled" for each in found),
            lag_seconds=max(behind, default=0.0),
        )

    def _lead(self, subscription_id: int) -> None:
        """Deliver while this node leads. Wait out a store's trouble; log an unexpected error and retry."""
        troubles = 0
        while True:
            began = time.monotonic()
            try:
                Course(self, subscription_id).run()
            except StaleError:
                return
            except DependencyTrouble as trouble:
                log.info("subscription %d waits for %s: %s", subscription_id, trouble.dependency, trouble)
            except Exception:
                log.exception("subscription %d", subscription_id)
            troubles = 1 if time.monotonic() - began > GOOD_S else troubles + 1
            gevent.sleep(backoff(troubles, base=0.2, cap=10.0))


class Course:
    """One run of a subscription by its leader: the place in the log, and the deliveries that are not in SQL yet."""

    def __init__(self, leader: Subscriber, subscription_id: int) -> None:
        self.leader, self.store = leader, leader.subscriptions
        found = self.store.get(subscription_id)
        if found is None or found.state != "active":
            raise StaleError(f"subscription {subscription_id} is not active")
        self.state: Subscription = found
        self.at = found.position
        self.taken: list[Try] = []
        self.since = time.monotonic()

    def run(self) -> None:
        """Deliver until the subscription is disabled or another leader moves it (StaleError)."""
        poster = Poster(self.state.url, self._secrets, self.leader.resolve)
        try:
            while True:
                self._page(poster)
        finally:
            poster.close()

    def _secrets(self, now: float) -> Sequence[str]:
        """Return the secrets as the leader last read them: they may be rotated during this run."""
        return self.leader.known.get(self.state.id, self.state).secrets(now)

    def _page(self, poster: Poster) -> None:
        page = self.leader.store.read_log(self.at, count=PAGE)
        if page.gap and self.at:
            self._gap(poster, page.entries[0].seq if page.entries else page.last, page.gap)
            self.at = self.at if page.entries else page.last
        left_out = self._unwanted(page.entries)
        for entry in page.entries:
            if entry.seq not in left_out:
                self._deliver(poster, entry.seq, kind_of(entry), message(entry))
            self.at = entry.seq
            self._keep(whole=self.state.failures > 0)
        self._keep(whole=not page.entries)
        if not page.entries:
            self.leader.wait_for_news(NEWS_S)

    def _gap(self, poster: Poster, to: str, reason: str) -> None:
        """Send a `gap` message, as the WebSocket does: the log no longer reaches back so far."""
        text = {"type": GAP, "from": self.at, "to": to, "reason": reason, "timestamp": timestamp(clock.now())}
        log.warning("subscription %d has a gap: %s", self.state.id, reason)
        self._deliver(poster, to, GAP, msgspec.json.encode(text), webhook_id=f"sub{self.state.id}_gap_{to}")

    def _unwanted(self, entries: Sequence[LogEntry]) -> set[str]:
        """Return the seqs to skip: kinds not subscribed to and, unless the backlog is wanted, the first sync."""
        wanted = self.state.events
        left_out = {entry.seq for entry in entries if wanted and kind_of(entry) not in wanted}
        if self.state.backlog:
            return left_out
        emails = {
            entry.seq: _email(entry) for entry in entries if entry.seq not in left_out and kind_of(entry) != LABEL
        }
        backlog = self.store.of_first_sync(each for each in emails.values() if each)
        return left_out | {seq for seq, email in emails.items() if email in backlog}

    def _deliver(self, poster: Poster, seq: str, event: str, body: bytes, webhook_id: str = "") -> None:
        """Post a message, with growing pauses, until the subscriber takes it. StaleError if it is given up."""
        webhook_id = webhook_id or f"sub{self.state.id}_{seq}"
        while True:
            self._wait()
            posted = poster.post(webhook_id, body)
            tried = _tried(self.state, webhook_id, event, seq, posted)
            self.leader.count(1)
            self.leader.bus.emit(DELIVERED, outcome="failed" if posted.error else "delivered")
            if posted.error is None:
                self.taken.append(tried)
                return
            self._keep(whole=True)
            self._failed(posted, tried)

    def _wait(self) -> None:
        """Wait until the next try is due, or requested sooner.

        If it is further off than any pause, the clock went back: try now.
        """
        while 0 < (pause := (self.state.next_attempt_at or 0.0) - clock.now()) <= LONGEST_RETRY_AFTER_S:
            gevent.sleep(min(pause, LOOK_AGAIN_S))
            found = self.store.get(self.state.id)
            if found is None or found.state != "active" or found.position != self.state.position:
                raise StaleError("it was moved, disabled or deleted")
            self.state = found

    def _failed(self, posted: Posted, tried: Try) -> None:
        failures, now = self.state.failures + 1, clock.now()
        since = self.state.failing_since or now
        seconds, tries = self.leader.disable_after
        over = now - since >= seconds and failures >= tries
        reason = "it answered 410: gone" if posted.gone else f"{failures} tries failed in a row: {posted.error}"
        wait = max(backoff(failures, base=self.leader.first_wait, cap=LONGEST_WAIT_S), posted.retry_after or 0.0)
        disabled = reason if over or posted.gone else None
        failure = Failure(failures, since, None if disabled else now + wait, disabled)
        self.state = self.store.fail(self.state, failure, tried)
        if disabled:
            log.error("subscription %d is disabled: %s", self.state.id, disabled)
            self.leader.bus.emit(DISABLED, reason="gone" if posted.gone else "failing")
            raise StaleError("it is disabled")

    def _keep(self, *, whole: bool) -> None:
        """Write the position and the tries to SQL: if `whole` at once, else when enough have accumulated."""
        due = len(self.taken) >= HELD_AT_MOST or time.monotonic() - self.since >= HELD_S
        if self.at == self.state.position and not self.taken:
            self.since = time.monotonic()
        elif whole or due:
            self.state = self.store.advance(self.state, self.at, self.taken)
            self.taken, self.since = [], time.monotonic()


def _lease(subscription_id: int) -> str:
    return f"subscription:{subscription_id}"


def _email(entry: LogEntry) -> tuple[str, str] | None:
    """Return source and id of the email that an event is about, or of the first of several."""
    data = orjson.loads(entry.data)["data"]
    ids = data.get("email_ids") or [data.get("email_id")]
    return (str(data.get("source")), str(ids[0])) if ids[0] is not None else None


def _tried(state: Subscription, webhook_id: str, event: str, seq: str, posted: Posted) -> Try:
    return Try(
        state.id,
        webhook_id,
        event,
        seq,
        state.failures + 1,
        posted.at,
        posted.duration_ms,
        posted.status,
        posted.error,
    )


def _behind(position: str, newest: str) -> float:
    """Return the seconds between two places in the log, 0 if that cannot be told."""
    known = is_seq(position) and is_seq(newest) and position < newest
    return told_at(newest) - told_at(position) if known else 0.0
