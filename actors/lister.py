"""Looks at a source's history: when a notification says so, unasked each POLL_INTERVAL_S, and soon after an unseen announcement.

One lister leads a source at a time, by lease; the guards of the books hold even when two believe they do.
"""

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from gevent.event import Event

from actors.announced import Announced
from actors.bodies import LookBody, decode, look_mailbox
from actors.events import readable_id
from actors.following import Follower
from actors.metrics import LOOK
from engine.backoff import backoff
from engine.errors import DependencyTrouble, StaleError
from engine.failpoints import reach
from engine.leadership import Leadership
from engine.logs import Folded
from engine.mailbox import BACKGROUND, Delivery
from engine.mailbox_actor import Context, MailboxActor, Outcome
from engine.outcome import error_text
from storage.desired import Desired
from storage.notifications import Notifications
from storage.records import Look, Notification, SourceState

log = logging.getLogger(__name__)

POLL_AGAIN_CAP = 2.0
TELLING_REFUSAL = 3


def lister_lease(source: str) -> str:
    """The lease of whoever leads a source."""
    return f"lister:{source}"


class Lister(MailboxActor):
    """The leader's greenlet of one source. Its mailbox holds hints; a batch of them is one look."""

    def __init__(
        self,
        context: Context,
        *,
        follower: Follower,
        notifications: Notifications,
        desired: Desired,
        bell: Event,
        subscribe: Callable[[], None],
        poll_interval: float,
        start_from: str,
        token: str,
        name: str,
    ) -> None:
        super().__init__(
            context, name=name, mailbox=look_mailbox(follower.name), kind="lister", count=1_000, deadline=180.0
        )
        self.follower, self.notifications, self.desired = follower, notifications, desired
        follower.progress, follower.goes_on = self._progress, self.breathe
        self.subscribe, self.poll_interval, self.start_from = subscribe, poll_interval, start_from
        self.bell = bell
        self.listed = Folded(log)
        self.leadership = Leadership(context.store, lister_lease(follower.name), token, taken=self._taken)
        self.subscribed, self.subscribe_at, self.refusals = False, 0.0, 0
        self.has_started = False
        self.poll_at, self.poll_failures, self.has_polled = 0.0, 0, False
        self.poll_trouble: DependencyTrouble | None = None
        self.announced = Announced()

    # -- leading ---------------------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Campaign for the lease, and look when it is time to."""
        self.spawn(self.leadership.campaign)
        self.every(min(0.25, self.poll_interval), self.tick)

    def on_stop(self) -> None:
        """Let another node lead at once."""
        super().on_stop()
        self.leadership.give_up()

    def may_take(self) -> bool:
        """Only the leader reads the hints."""
        return self.leadership.leads and super().may_take()

    def _taken(self) -> None:
        log.info("leading source %s", self.follower.name)
        self.poll_at, self.has_polled = 0.0, False

    # -- looking ---------------------------------------------------------------------------------------------------------

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Notifications, however many: one look, then each is noted with it."""
        hints = [(delivery, decode(delivery.envelope.body, LookBody)) for delivery in batch]
        received = [delivery.envelope.times.get("received", self.context.clock()) for delivery in batch]
        look = Look(
            "notification",
            self.context.clock(),
            notified_at=min(received),
            history_id=max(hint.history_id for _, hint in hints),
        )
        reach("look.before")
        self._start_if_new()
        try:
            source = self._follow(look, self.follower.look)
        except StaleError as error:  # twice: the notifications stay for whoever leads
            raise DependencyTrouble("another leader is at work", dependency="database") from error
        self.announced.expect(look.history_id or 0, source.cursor, time.monotonic())
        reach("look.followed")
        noted = [
            Notification(at, hint.history_id, hint.webhook_id, "listed", look.id or None)
            for at, (_, hint) in zip(received, hints, strict=True)
        ]
        self.notifications.note(source.id, noted)
        reach("look.noted")
        outcome = Outcome()
        for delivery in batch:
            outcome.done(delivery)
        return outcome

    def tick(self) -> None:
        """Whatever is due: subscribing, a poll, a second look for what was announced."""
        if not self.leadership.leads or self.context.control.paused:
            return
        now = time.monotonic()
        if not self.subscribed and now >= self.subscribe_at:
            self._subscribe(now)
        if now >= self.poll_at:
            self._poll(now)
        elif self.poll_trouble is not None:  # a turn in which nothing was due is no sign that it is over
            raise self.poll_trouble.with_traceback(None)
        elif now >= self.announced.look_at:
            look = Look("notification", self.context.clock(), history_id=self.announced.history_id)
            self.announced.looked(self._follow(look, self.follower.look).cursor, time.monotonic())

    def _subscribe(self, now: float) -> None:
        """Have FakeMail notify us. Where it does not take that, it is asked again later and later: the polls find the mail meanwhile."""
        reach("subscribe.before")
        try:
            self.subscribe()
        except DependencyTrouble as trouble:
            self.refusals += 1
            self.subscribe_at = now + backoff(self.refusals, base=0.5, cap=max(self.poll_interval, 0.5))
            self.card.error = error_text(f"FakeMail does not notify us: {trouble}")
            if self.refusals == TELLING_REFUSAL and self.poll_trouble is None:
                log.warning("source %s: %s; polls find its mail meanwhile", self.follower.name, self.card.error)
            return
        reach("subscribe.done")
        self.subscribed, self.refusals = True, 0
        self.poll_at = now  # what came before it knew of us

    def _poll(self, now: float) -> None:
        try:
            self._start_if_new()
            kind = "poll" if self.has_polled else "takeover"  # what came while nobody led, told of or not
            look = Look(kind, self.context.clock())
            self._follow(look, self.follower.poll)
        except DependencyTrouble as trouble:
            self.poll_trouble = trouble
            self.poll_failures += 1
            self.poll_at = now + backoff(self.poll_failures, base=0.25, cap=POLL_AGAIN_CAP)
            self.leadership.failed(self.others_read)
            raise
        self.leadership.went_well()
        if self.poll_failures:
            self.refusals, self.subscribe_at = 0, now  # what kept the polls may have kept it from hearing of us
        self.poll_trouble, self.poll_failures, self.has_polled = None, 0, True
        self.poll_at = now + self.poll_interval
        if look.new and kind == "poll":  # mail without its notification: perhaps FakeMail has forgotten us
            self.subscribed, self.subscribe_at = False, self.poll_at

    def _start_if_new(self) -> None:
        """The first start takes what the account lists, as low priority, or skips it."""
        name, flag = self.follower.name, f"started:{self.follower.name}"
        self.has_started = self.has_started or bool(self.desired.get(flag))
        if self.has_started:
            return
        if self.start_from == "now":
            self.follower.skip_to_now(mark=flag)
            return
        look = Look("start", self.context.clock())
        self._follow(look, partial(self.follower.poll, lane=BACKGROUND))
        log.info("first look at source %s: %d emails listed", name, look.listed)
        self.desired.set(flag, True)

    def _follow(self, look: Look, run: Callable[[Look], SourceState]) -> SourceState:
        """Another leader moved the cursor meanwhile: what it entered is in the books, so look once more from there."""
        began = time.monotonic()
        try:
            source = run(look)
        except StaleError:
            source = run(look)
        seconds = time.monotonic() - began
        if look.new:
            self._log(look)
        self.bus.emit(
            LOOK, source=self.follower.name, kind=look.kind, listed=look.listed, new=look.new, seconds=seconds
        )
        return source

    def _log(self, look: Look) -> None:
        """The line that leads from a notification's history id to its emails."""
        ids = [readable_id(key) for key in look.keys]
        extra = {"source": self.follower.name, "look": look.id, "count": look.new, "email_ids": ids}
        if look.history_id is not None:
            extra["history_id"] = look.history_id
        self.listed.info("Listed new emails", extra=extra)

    def _progress(self, new: int) -> None:
        """After each slice: feeding begins at once, and a long listing is no hang."""
        if new:
            self.bell.set()
        self.breathe()
