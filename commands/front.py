"""The front of a node: the web, our simulator if no FakeMail is set, and the actors apart from the classifiers."""

import logging
import signal
import time
from collections.abc import Callable
from dataclasses import replace

import gevent

from actors.bodies import CLASSIFY, fetch_mailbox, look_mailbox
from actors.deciding import Deciders
from actors.metrics import CANARY_AGE, RATE_LIMITED
from commands.access import access_of, doors_opened, only_from_here, warn_if_open
from commands.accounts import accounts, credentials
from commands.crew import Crew
from commands.stores import Stores
from commands.version import VERSION
from engine import logs
from engine.canary import Pulse
from engine.errors import SettingsError
from engine.mailbox import DEAD
from engine.mailbox_actor import Context
from engine.names import node_of
from engine.supervision import ChildSpec
from fakemail.egress import Egress
from fakemail.simulator import open_simulator
from fakemail.simulator_http import simulator_app
from settings import Settings
from web.app import Application
from web.live import Hub
from web.services import Services

log = logging.getLogger(__name__)

RELOADED = (
    "webhook_secret",
    "api_token",
    "api_token_readonly",
    "metrics_token",
    "fakemail_api_token",
    "fakemail_sources",
)
"""The settings that SIGHUP reads again; all others need a restart."""


class Front:
    """Created before the supervisor, once its sources are open (`open_sources`).

    `specs` are its actors, `application` its web.
    """

    def __init__(
        self,
        settings: Settings,
        context: Context,
        stores: Stores,
        deciders: Deciders,
        metrics: Callable[[], bytes],
        *,
        token: str,
        ready: Callable[[], str | None],
        obstacle: Callable[[], str],
    ) -> None:
        self.settings, self.context, self.stores, self.token = settings, context, stores, token
        self.deciders, self.metrics, self.ready, self.obstacle = deciders, metrics, ready, obstacle
        warn_if_open(settings)
        self.hub = Hub(stores.mailboxes)
        self.pulse = Pulse()
        self.pulse.listen(context.bus)
        self.simulator = (
            open_simulator(settings.data_dir, settings.webhook_secret, self._egress())
            if settings.with_simulator
            else None
        )
        self.accounts = accounts(settings, self.own_url)
        self.application = Application(self._services())
        gevent.signal_handler(signal.SIGHUP, self.reload)

    def specs(self) -> list[ChildSpec]:
        """Return the specs of its actors, in start order."""
        return Crew(
            settings=self.settings,
            context=self.context,
            stores=self.stores,
            deciders=self.deciders,
            accounts=self.accounts,
            hub=self.hub,
            pulse=self.pulse,
            egress=self._egress,
            token=self.token,
        ).specs()

    def reload(self) -> None:
        """Read the secrets again on SIGHUP and use them.

        They come from the files that NAME_FILE names; if one is invalid, nothing changes.
        """
        try:
            settings = Settings.from_env()
        except SettingsError as error:
            log.error("the secrets stay as they are: %s", error)  # noqa: TRY400  (the line says all)
            return
        if opened := doors_opened(self.settings, settings):
            log.error("the secrets stay as they are: %s no longer set; restart to go on without", opened)
            return
        followed = [(each.name, each.url) for each in self.settings.fakemail_sources]
        self.settings = replace(self.settings, **{name: getattr(settings, name) for name in RELOADED})
        logs.hide(*settings.secrets())
        found = credentials(self.settings)
        for account in self.accounts.values():
            if account.name in found:
                account.use(*found[account.name])
        self.application.use(access_of(self.settings), {name: each.secrets for name, each in self.accounts.items()})
        if self.simulator is not None:
            self.simulator.sign_with(settings.webhook_secret)
        if [(each.name, each.url) for each in settings.fakemail_sources] != followed:
            log.warning("FAKEMAIL_SOURCES names other sources or URLs than are followed: restart to follow them")
        log.info("the secrets were read again")

    # -- the web ---------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Close the simulator, once no more requests come in."""
        if self.simulator is not None:
            self.simulator.close()

    def _services(self) -> Services:
        settings, stores = self.settings, self.stores
        looks, fetches = map(look_mailbox, self.accounts), map(fetch_mailbox, self.accounts)
        return Services(
            version=VERSION,
            node=node_of(self.context.process),
            access=access_of(settings),
            database=stores.database,
            mailboxes=stores.mailboxes,
            books=stores.books,
            results=stores.results,
            dead_letters=stores.dead_letters,
            desired=stores.desired,
            tasks=stores.tasks,
            reader=stores.reader,
            sources={name: account.config() for name, account in self.accounts.items()},
            learning=stores.learning,
            classifier=self.deciders,
            hub=self.hub,
            metrics=self._metrics,
            mailbox_names=(*looks, *fetches, CLASSIFY, DEAD),
            default_workers=settings.processor_worker_count,
            simulator=simulator_app(self.simulator) if self.simulator is not None else None,
            egress=self._egress(),
            ready=self.ready,
            obstacle=self.obstacle,
            pulse=self.pulse,
            refused=lambda kind: self.context.bus.emit(RATE_LIMITED, kind=kind),
        )

    def _metrics(self) -> bytes:
        """Return the node's metrics.

        The canary's age is emitted here, since its actor would leave it as it was while it waits for Redis.
        """
        self.context.bus.emit(CANARY_AGE, seconds=self.pulse.age(time.monotonic()), round_trip=self.pulse.round_trip)
        return self.metrics()

    # -- addresses -------------------------------------------------------------------------------------------------------

    @property
    def own_url(self) -> str:
        """The address of this process on this machine."""
        host = self.settings.host
        wild = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (read here, bound elsewhere)
        local = wild.get(host, host)
        local = f"[{local}]" if ":" in local else local
        return f"http://{local}:{self.settings.port}"

    def _egress(self) -> Egress:
        """Return which URLs the API may call: public, allowed by EGRESS_ALLOW, our own, or in the settings."""
        settings = self.settings
        own = [self.own_url, *(f"http://{host}:{settings.port}" for host in ("localhost", "127.0.0.1", "[::1]"))]
        sources = [url for each in settings.fakemail_sources for url in (each.url, each.webhook_url)]
        named = [url for url in (settings.webhook_url, settings.fakemail_api_url, *sources) if url]
        return Egress(settings.egress_allow, loopback=only_from_here(settings), trusted=[*own, *named])
