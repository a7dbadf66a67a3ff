"""Lists a source's history: on each notification, by regular polls, and to find an announced email not yet listed.

One lister leads a source at a time, by lease. Even if two believe they lead, the guarded updates of the books keep the
data correct.
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
    """Return the name of the lease that the leader of a source holds."""
    return f"lister:{source}"


class Lister(MailboxActor):
    """Leads one source while it holds the lease.

    Its mailbox holds hints to look; each batch of hints becomes one look.
    """

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
        """Campaign for the lease, and run `tick` regularly."""
        self.spawn(self.leadership.campaign)
        self.every(min(0.25, self.poll_interval), self.tick)

    def on_stop(self) -> None:
        """Give up the lease so that another node can lead at once."""
        super().on_stop()
        self.leadership.give_up()

    def may_take(self) -> bool:
        """Take hints only while this lister leads."""
        return self.leadership.leads and super().may_take()

    def _taken(self) -> None:
        log.info("leading source %s", self.follower.name)
        self.poll_at, self.has_polled = 0.0, False

    # -- looking ---------------------------------------------------------------------------------------------------------

    def handle(self, batch: Sequence[Delivery]) -> Outcome:
        """Look once for a whole batch of notifications, then record each notification with that look."""
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
        source = self._follow(look, self.follower.look)
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
        """Do whatever is due: subscribe, poll, or look again for an announced email."""
        if not self.leadership.leads or self.context.control.paused:
            return
        now = time.monotonic()
        if not self.subscribed and now >= self.subscribe_at:
            self._subscribe(now)
        if now >= self.poll_at:
            self._poll(now)
        elif self.poll_trouble is not None:  # a tick with nothing due does not show that the trouble is over
            raise self.poll_trouble.with_traceback(None)
        elif now >= self.announced.look_at:
            look = Look("notification", self.context.clock(), history_id=self.announced.history_id)
            self.announced.looked(self._follow(look, self.follower.look).cursor, time.monotonic())

    def _subscribe(self, now: float) -> None:
        """Subscribe to FakeMail's notifications. On a refusal, retry with back-off; polls find the mail meanwhile."""
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
        self.poll_at = now  # for mail that came before the subscription

    def _poll(self, now: float) -> None:
        try:
            self._start_if_new()
            kind = "poll" if self.has_polled else "takeover"  # a takeover finds what came while nobody led
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
            self.refusals, self.subscribe_at = 0, now  # what stopped the polls may have stopped the subscription too
        self.poll_trouble, self.poll_failures, self.has_polled = None, 0, True
        self.poll_at = now + self.poll_interval
        if look.new and kind == "poll":  # new mail without a notification: perhaps FakeMail lost our subscription
            self.subscribed, self.subscribe_at = False, self.poll_at

    def _start_if_new(self) -> None:
        """On the very first start, take what the account lists at low priority, or skip it (START_FROM=now)."""
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
        """Run a look, again if another leader moved the cursor meanwhile: what it entered is in the books.

        If that happens twice, raises DependencyTrouble: the actual leader may have the work.
        """
        began = time.monotonic()
        try:
            source = run(look)
        except StaleError:
            try:
                source = run(look)
            except StaleError as error:
                raise DependencyTrouble("another leader is at work", dependency="database") from error
        seconds = time.monotonic() - began
        if look.new:
            self._log(look)
        self.bus.emit(
            LOOK, source=self.follower.name, kind=look.kind, listed=look.listed, new=look.new, seconds=seconds
        )
        return source

    def _log(self, look: Look) -> None:
        """Write the log line that links a notification's history id to its emails."""
        ids = [readable_id(key) for key in look.keys]
        extra = {"source": self.follower.name, "look": look.id, "count": look.new, "email_ids": ids}
        if look.history_id is not None:
            extra["history_id"] = look.history_id
        self.listed.info("Listed new emails", extra=extra)

    def _progress(self, new: int) -> None:
        """Called after each slice: wake the feeder, and show that a long listing is not hung."""
        if new:
            self.bell.set()
        self.breathe()
