"""The actors of a front, apart from the classifiers, in start order. Used by commands/front.py."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from gevent.event import Event

from actors import replaying, reprocessing, resync, tasks
from actors.bodies import CLASSIFY, fetch_mailbox
from actors.broadcaster import Broadcaster
from actors.canary import Canary
from actors.dead_letter_writer import DeadLetterWriter
from actors.deciding import Deciders
from actors.feeder import Feeder
from actors.fetcher import Fetcher
from actors.following import Follower
from actors.gauges import Gauges
from actors.janitor import Janitor
from actors.lister import Lister, lister_lease
from actors.pruning import Pruning
from actors.subscriber import Subscriber
from actors.tasks import Job, TaskRunner
from commands.accounts import RunningAccount
from commands.prune import keep_of
from commands.stores import Stores
from engine.canary import Pulse
from engine.mailbox import MAIN
from engine.mailbox_actor import Context
from engine.supervision import ChildSpec
from fakemail.egress import Egress
from settings import Settings
from storage.retention import Retention
from storage.subscriptions import Subscriptions
from web.live import Hub


@dataclass(frozen=True, kw_only=True)
class Crew:
    """`hub` and `pulse` belong to the front; `bell` wakes the feeder; `egress` returns which URLs may be called now."""

    settings: Settings
    context: Context
    stores: Stores
    deciders: Deciders
    accounts: Mapping[str, RunningAccount]
    hub: Hub
    pulse: Pulse
    egress: Callable[[], Egress]
    token: str
    bell: Event = field(default_factory=Event)

    def specs(self) -> list[ChildSpec]:
        """Return the specs of the actors, in start order."""
        context, stores = self.context, self.stores
        return [
            ChildSpec(
                "dead_letter_writer",
                lambda name: DeadLetterWriter.start(context, dead_letters=stores.dead_letters, name=name),
            ),
            *(ChildSpec(_child("fetcher", source), partial(self._fetcher, source)) for source in self.accounts),
            ChildSpec("feeder", self._feeder),
            ChildSpec("broadcaster", self._broadcaster),
            ChildSpec("janitor", self._janitor),
            *(ChildSpec(_child("lister", source), partial(self._lister, source)) for source in self.accounts),
            ChildSpec(
                "canary",
                lambda name: Canary.start(context, pulse=self.pulse, name=name, first=self._fetch_mailboxes()[0]),
                critical=False,
                essential=False,
            ),
            ChildSpec("gauges", self._gauges, critical=False, essential=False),
            ChildSpec("subscriber", self._subscriber, critical=False, essential=False),
            ChildSpec("tasks", self._tasks, critical=False),
        ]

    @property
    def _clients(self) -> dict[str, Any]:
        return {name: account.client for name, account in self.accounts.items()}

    @property
    def _common(self) -> dict[str, Any]:
        return {"bus": self.context.bus, "store": self.stores.mailboxes}

    def _feeder(self, name: str) -> Any:
        return Feeder.start(
            name=name,
            books=self.stores.books,
            room=self.stores.room,
            bell=self.bell,
            served=set(self.accounts),
            **self._common,
        )

    def _broadcaster(self, name: str) -> Any:
        return Broadcaster.start(
            name=name,
            publish=self.hub.publish,
            gap=self.hub.gap,
            published=lambda: self.hub.last,
            **self._common,
        )

    def _janitor(self, name: str) -> Any:
        stores = self.stores
        return Janitor.start(
            name=name,
            books=stores.books,
            search=stores.search,
            bell=self.bell,
            pruning=Pruning(Retention(stores.database), stores.mailboxes, keep_of(self.settings), self.context.bus),
            **self._common,
        )

    def _subscriber(self, name: str) -> Any:
        return Subscriber.start(
            name=name,
            subscriptions=Subscriptions(self.stores.database),
            wait_for_news=self.hub.wait_for_news,
            resolve=self.egress().resolve,
            token=self.token,
            **self._common,
        )

    def _tasks(self, name: str) -> Any:
        return TaskRunner.start(name=name, tasks=self.stores.tasks, jobs=self._jobs(), token=self.token, **self._common)

    def _gauges(self, name: str) -> Any:
        stores = self.stores
        return Gauges.start(
            name=name,
            bus=self.context.bus,
            store=stores.mailboxes,
            stats=stores.results.stats,
            database_bytes=stores.database.size_bytes,
            breaker_open=lambda: any(account.is_held_back for account in self.accounts.values()),
            leases=(*map(lister_lease, self.accounts), tasks.LEASE),
            mailboxes=(*self._fetch_mailboxes(), CLASSIFY),
            folder=self.settings.data_dir if self.settings.data_dir.exists() else Path.cwd(),
        )

    def _fetch_mailboxes(self) -> tuple[str, ...]:
        return tuple(map(fetch_mailbox, self.accounts))

    def _jobs(self) -> dict[str, Job]:
        """Return the jobs of long-running tasks, by the tasks' kind."""
        stores, bell = self.stores, self.bell
        return {
            resync.KIND: resync.resync(clients=self._clients, books=stores.books, bell=bell),
            replaying.KIND: replaying.replay(letters=stores.dead_letters, bell=bell),
            reprocessing.KIND: reprocessing.reprocess(
                reprocessing=stores.learning.reprocessing, deciders=self.deciders, mailboxes=stores.mailboxes
            ),
        }

    def _fetcher(self, source: str, name: str) -> Any:
        return Fetcher.start(
            self.context,
            clients=self._clients,
            gone_after=self.settings.gone_after_s,
            lanes=self.deciders.lanes,
            name=name,
            mailbox=fetch_mailbox(source),
        )

    def _lister(self, source: str, name: str) -> Any:
        account = self.accounts[source]
        follower = Follower(source, account.client, self.stores.books, self.settings.history_overlap_s)
        return Lister.start(
            self.context,
            follower=follower,
            notifications=self.stores.notifications,
            desired=self.stores.desired,
            bell=self.bell,
            subscribe=account.subscriber(self.stores.desired),
            poll_interval=self.settings.poll_interval_s,
            start_from=self.settings.start_from,
            token=self.token,
            name=name,
        )


def _child(kind: str, source: str) -> str:
    """Return the name of a source's actor; for `main` it is the kind alone."""
    return kind if source == MAIN else f"{kind}-{source}"
