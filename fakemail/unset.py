"""The client of a system without FakeMail: FAKEMAIL_API_URL is not set and the simulator is off.

Every call raises DependencyTrouble, so that the system runs degraded and /health shows the reason.
"""

from collections.abc import Callable, Sequence
from typing import NoReturn

from engine.errors import DependencyTrouble


class UnsetError(DependencyTrouble):
    """No FakeMail is configured, and there will be none until the settings change."""


class NoFakeMail:
    """Takes the place of a FakeMailClient."""

    def _none(self) -> NoReturn:
        raise UnsetError("FAKEMAIL_API_URL is not set and the simulator is off", dependency="fakemail", retry_after=60)

    def watch(self) -> int:
        """See FakeMailClient; raises DependencyTrouble, like all calls here."""
        self._none()

    def probe(self) -> None:
        """See FakeMailClient."""
        self._none()

    def subscribe(self, webhook_url: str) -> None:  # noqa: ARG002  (the signature of FakeMailClient)
        """See FakeMailClient."""
        self._none()

    def list_emails(self, from_history_id: int, heard: Callable[[], None] = lambda: None) -> list[str]:  # noqa: ARG002
        """See FakeMailClient."""
        self._none()

    def get_email(self, email_id: str) -> None:  # noqa: ARG002
        """See FakeMailClient."""
        self._none()

    def get_emails(self, email_ids: Sequence[str]) -> list[Exception | None]:  # noqa: ARG002
        """See FakeMailClient."""
        self._none()

    def classify(self, subject: str, body: str) -> tuple[str, float]:  # noqa: ARG002
        """See FakeMailClient."""
        self._none()
