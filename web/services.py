"""Everything the routes need, in one record that commands/front.py builds: stores, clients, the classifier, and the few settings they heed.

Handlers get it as `call.services`. The web reads no environment; what depends on settings arrives here as plain values, and
what another process knows (its actors, its queue) is asked of the stores.
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
    """What the web asks of a FakeMail client (fakemail/client.py); all calls raise DependencyTrouble."""

    def watch(self) -> int:
        """The newest history id of the account."""

    def subscribe(self, webhook_url: str) -> None:
        """Have FakeMail notify this URL from now on."""

    def classify(self, subject: str, body: str) -> tuple[str, float]:
        """FakeMail's own opinion: a label, and a confidence in 0..1."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One FakeMail account: its name, its base URL, the client that talks to it, and the secrets its webhooks are signed with."""

    name: str
    url: str
    client: Account
    secrets: tuple[str, ...] = ()  # several while rotating; none: signatures are not asked for


@dataclass(frozen=True, slots=True)
class Access:
    """The settings that say who gets in; see web/auth.py."""

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
    """What the front hands to `web.app.Application`. `sources` has `main` first where there is one."""

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
    mailbox_names: tuple[str, ...]  # those whose depths are shown, in the direction of flow
    default_workers: int  # classifier actors in a process, while nobody resized the pool
    simulator: WsgiApp | None = None
    egress: Egress = field(default_factory=lambda: Egress(loopback=True))  # which URLs of the API may be called
    dashboard: Path = Path(__file__).parent / "dashboard"
    ready: Callable[[], str | None] = lambda: None  # why this process is not ready, or None
    obstacle: Callable[[], str] = lambda: ""  # why nothing is taken here although nobody paused it, or nothing
    refused: Callable[[str], None] = lambda _kind: None  # told the kind of each call that is one too many
    pulse: Pulse = field(default_factory=Pulse)  # what the canaries tell
    started_at: float = field(default_factory=time.time)

    def call_out(self) -> None:
        """Say to every process that the desired state has changed.

        With Redis away they see it all the same: they read SQL every few seconds.
        """
        with suppress(DependencyTrouble):
            self.mailboxes.call(CONTROL)
