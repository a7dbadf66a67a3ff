"""The FakeMail accounts that a front follows: each source with its client, secrets and webhook URL.

commands/front.py builds them from the settings. FAKEMAIL_API_URL (or else our own simulator) is the source `main`;
FAKEMAIL_SOURCES names the others.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.mailbox import MAIN
from fakemail.client import FakeMailClient, Limits
from fakemail.unset import NoFakeMail
from settings import Settings
from settings.sources import SourceSetting
from storage.books import Books
from storage.desired import Desired
from storage.records import SourceState
from web.services import SourceConfig
from web.system import setup_name

log = logging.getLogger(__name__)

OWN_SIMULATOR = "simulator:"
"""What a source is bound to if our own simulator plays FakeMail: not a URL, since its port may change."""


@dataclass
class RunningAccount:
    """One source. `url` is None if there is no FakeMail at all."""

    name: str
    url: str | None
    client: FakeMailClient | NoFakeMail
    secrets: tuple[str, ...]  # none: signatures are not checked
    webhook_url: str

    def use(self, token: str | None, secrets: tuple[str, ...]) -> None:
        """Use another token and other webhook secrets from now on."""
        self.secrets = secrets
        if isinstance(self.client, FakeMailClient):
            self.client.use_token(token)

    def subscriber(self, desired: Desired) -> Callable[[], None]:
        """Return a function that subscribes the URL of this source's last /setup, or that of the settings."""

        def subscribe() -> None:
            setup = desired.get(setup_name(self.name)) or {}
            self.client.subscribe(setup.get("webhook_url") or self.webhook_url)

        return subscribe

    def config(self) -> SourceConfig:
        """Return what the web needs to know about this source."""
        return SourceConfig(self.name, self.url or "", self.client, self.secrets)

    @property
    def is_held_back(self) -> bool:
        """Whether the breaker is not closed: calls are held back because they fail."""
        return isinstance(self.client, FakeMailClient) and self.client.breaker.state(time.monotonic()) != "closed"


def names(settings: Settings) -> tuple[str, ...]:
    """Return the names of the configured sources, `main` first.

    If none is set, `main` is our own simulator, or no account.
    """
    found = tuple(each.name for each in settings.fakemail_sources)
    return found if found and not settings.fakemail_api_url else (MAIN, *found)


def open_sources(books: Books, settings: Settings) -> tuple[SourceState, ...]:
    """Find or create the rows of all sources. Raises SettingsError if one belongs to another account."""
    further = {each.name: each.url for each in settings.fakemail_sources}
    return tuple(
        books.open_source(name, further.get(name) or settings.fakemail_api_url or OWN_SIMULATOR)
        for name in names(settings)
    )


def accounts(settings: Settings, own_url: str) -> dict[str, RunningAccount]:
    """Return all accounts by name; `own_url` is this process's address on this machine."""
    further = {each.name: each for each in settings.fakemail_sources}
    return {
        name: _further(further[name], settings, own_url) if name in further else _main(settings, own_url)
        for name in names(settings)
    }


def credentials(settings: Settings) -> dict[str, tuple[str | None, tuple[str, ...]]]:
    """Return name → token and webhook secrets; used again at SIGHUP."""
    main = (_main_token(settings), settings.webhook_secret)
    further = {each.name: (each.token, secrets_of(settings, each)) for each in settings.fakemail_sources}
    return {name: further.get(name, main) for name in names(settings)}


def _main(settings: Settings, own_url: str) -> RunningAccount:
    own = f"{own_url}/simulator" if settings.with_simulator else None
    url = settings.fakemail_api_url or own
    client = (
        FakeMailClient(url, _main_token(settings), limits=Limits(max_body_bytes=settings.max_body_bytes))
        if url
        else NoFakeMail()
    )
    return RunningAccount(MAIN, url, client, settings.webhook_secret, _webhook_base(settings, own_url))


def _main_token(settings: Settings) -> str | None:
    """Return the token for FakeMail, or, for our own simulator, the API token that guards it."""
    return settings.fakemail_api_token if settings.fakemail_api_url else settings.api_token


def _further(source: SourceSetting, settings: Settings, own_url: str) -> RunningAccount:
    limits = Limits(max_body_bytes=settings.max_body_bytes)
    client = FakeMailClient(
        source.url, source.token, limits=limits, setting=f"FAKEMAIL_SOURCES: source {source.name}: url"
    )
    webhook_url = source.webhook_url or beside(_webhook_base(settings, own_url), source.name)
    return RunningAccount(source.name, source.url, client, secrets_of(settings, source), webhook_url)


def secrets_of(settings: Settings, source: SourceSetting) -> tuple[str, ...]:
    """Return the source's own secrets, or else WEBHOOK_SECRET's, so that no source is left open by an omission."""
    return source.webhook_secret or settings.webhook_secret


def _webhook_base(settings: Settings, own_url: str) -> str:
    return settings.webhook_url or f"{own_url}/webhook"


def beside(webhook: str, name: str) -> str:
    """Return a source's webhook URL: /webhook for `main`, /webhook/NAME for others."""
    return webhook if name == MAIN else f"{webhook.rstrip('/')}/{name}"
