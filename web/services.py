"""Everything the routes need, in one record that commands/front.py builds: stores, clients, classifier, settings.

Handlers get it as `call.services`. The web reads no environment variables: settings arrive here as plain values, and
what other processes know (their actors, their queue) is read from the stores.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from actors.deciding import Deciders
from engine.canary import Pulse
from engine.errors import DependencyTrouble
from engine.mailbox import MailboxStore
from fakemail.egress import Egress
from storage.books import Books
from storage.database import Database
from storage.dead_letters import DeadLetters
from storage.desired import Desired
from storage.learning import Learning
from storage.reading import Reader
from storage.results import ResultStore
from storage.tasks import Tasks
from web.live import Hub
from web.server_body import WsgiApp

NAME = "email-processor"
CONTROL = "control"


class Account(Protocol):
    """The part of a FakeMail client (fakemail/client.py) that the web uses; all calls raise DependencyTrouble."""

    def watch(self) -> int:
        """Return the newest history id of the account."""

    def subscribe(self, webhook_url: str) -> None:
        """Have FakeMail notify this URL from now on."""

    def classify(self, subject: str, body: str) -> tuple[str, float]:
        """Return FakeMail's own opinion: a label, and a confidence in 0..1."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One FakeMail account: its name, base URL and client, and the secrets that sign its webhooks."""

    name: str
    url: str
    client: Account
    secrets: tuple[str, ...] = ()  # several while rotating; none: no signature is required


@dataclass(frozen=True, slots=True)
class Access:
    """The settings that control access; see web/auth.py."""

    api_token: str | None = None
    api_token_readonly: str | None = None
    allow_anonymous: bool = False
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    metrics_token: str | None = None
    session_s: int = 43_200
    webhook_rate: float | None = None  # these three: see web/ratelimit.py
    api_rate: float | None = None
    login_rate: float | None = None


@dataclass(slots=True)
class Services:
    """What the front passes to `web.app.Application`. `sources` begins with `main`, if there is one."""

    version: str
    node: str
    access: Access
    database: Database
    mailboxes: MailboxStore
    books: Books
    results: ResultStore
    dead_letters: DeadLetters
    desired: Desired
    tasks: Tasks
    reader: Reader
    sources: Mapping[str, SourceConfig]
    learning: Learning
    classifier: Deciders
    hub: Hub
    metrics: Callable[[], bytes]
    mailbox_names: tuple[str, ...]  # whose depths are shown, in the direction of flow
    default_workers: int  # classifier actors in a process, until the pool is resized
    simulator: WsgiApp | None = None
    egress: Egress = field(default_factory=lambda: Egress(loopback=True))  # which URLs sent to the API may be called
    dashboard: Path = Path(__file__).parent / "dashboard"
    ready: Callable[[], str | None] = lambda: None  # why this process is not ready, or None
    obstacle: Callable[[], str] = lambda: ""  # why this process takes no work though not paused, or ""
    refused: Callable[[str], None] = lambda _kind: None  # called with the kind of each call over the limit
    pulse: Pulse = field(default_factory=Pulse)  # what the canaries report
    started_at: float = field(default_factory=time.time)

    @property
    def paused(self) -> bool:
        """Whether all nodes are to take nothing more from any mailbox."""
        return bool(self.desired.get("paused", False))

    def call_out(self) -> None:
        """Announce to every process that the desired state has changed.

        If Redis is away, they notice all the same: they read SQL every few seconds.
        """
        with suppress(DependencyTrouble):
            self.mailboxes.call(CONTROL)
