"""Stand-ins for the outside world in the simulation: a database in memory, a FakeMail account, a poisoned classifier.

The database is SQLite itself, in memory and on the simulation's thread: all SQL is real, and each call is one
transaction as in storage/database.py, but without its threads.
"""

from collections.abc import Callable, Sequence
from typing import Any

import apsw

from classification.model import Classification, Email
from engine.errors import DependencyTrouble, Permanent
from fakemail.answers import RemoteEmail
from storage import migrations
from storage.drivers import Sqlite
from storage.models import MODELS, current


class MemoryDatabase:
    """One database in memory, emptied between seeds. Each write sets `changed`."""

    kind = "sqlite"

    def __init__(self) -> None:
        self._peewee = Sqlite(":memory:", autoconnect=False, thread_safe=False)
        self._peewee.connect()
        self.changed = False
        self.write(migrations.migrate)
        self._tables = [model._meta.table_name for model in MODELS]

    def read(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        current.enter(self._peewee)
        try:
            return fn(*args, **kwargs)
        finally:
            current.enter(None)

    def write(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        current.enter(self._peewee)
        self._peewee.execute_sql("BEGIN IMMEDIATE")
        try:
            answer = fn(*args, **kwargs)
        except BaseException:
            self._peewee.execute_sql("ROLLBACK")
            raise
        else:
            self._peewee.execute_sql("COMMIT")
            self.changed = True
            return answer
        finally:
            current.enter(None)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        connection: apsw.Connection = self._peewee.connection()
        return list(connection.execute(sql))

    def empty(self) -> None:
        """Delete all rows."""
        connection: apsw.Connection = self._peewee.connection()
        connection.execute("BEGIN")
        for table in self._tables:
            connection.execute(f'DELETE FROM "{table}"')
        connection.execute("COMMIT")


class Account:
    """A FakeMail account. `kinds` maps ids to what becomes of the email (see `KINDS`).

    An email may be listed later than it is announced (`late`), or become fetchable later than it is listed (`slow`).
    """

    KINDS = ("plain", "plain", "plain", "plain", "raises", "flaky", "kills", "gone", "invalid", "late", "slow")
    DEAD = ("raises", "kills", "gone", "invalid")

    def __init__(self, clock: Any) -> None:
        self.clock = clock
        self.kinds: dict[str, str] = {}
        self.seen_from: dict[str, float] = {}
        self.there_from: dict[str, float] = {}
        self.history: dict[str, int] = {}

    def receive(self, kind: str, late: float = 0.0) -> None:
        email_id = f"{kind}-{len(self.kinds)}"
        self.kinds[email_id] = kind
        self.history[email_id] = len(self.kinds) * 2
        self.seen_from[email_id] = self.clock.now + (late if kind == "late" else 0.0)
        self.there_from[email_id] = self.clock.now + (late / 2 if kind == "slow" else 0.0)

    def _from(self, email_id: str) -> float:
        return max(self.seen_from[email_id], self.there_from[email_id])

    @property
    def newest(self) -> int:
        return len(self.kinds) * 2

    def watch(self) -> int:
        return self.newest

    def subscribe(self) -> None:
        """Do nothing: notifications come and go as the seed says."""

    def list_emails(self, from_history_id: int, _heard: Callable[[], None] = lambda: None) -> list[str]:
        now = self.clock.now
        return [each for each, at in self.history.items() if at > from_history_id and self.seen_from[each] <= now]

    def get_email(self, email_id: str) -> RemoteEmail | None:
        if self.kinds.get(email_id, "gone") == "gone" or self._from(email_id) > self.clock.now:
            return None
        if self.kinds[email_id] == "invalid":
            raise Permanent("no email at all", reason="invalid_email")
        return RemoteEmail(id=email_id, subject=email_id, body="", history_id=self.history[email_id])

    def get_emails(self, email_ids: Sequence[str]) -> list[RemoteEmail | Exception | None]:
        answers: list[RemoteEmail | Exception | None] = []
        for email_id in email_ids:
            try:
                answers.append(self.get_email(email_id))
            except (DependencyTrouble, Permanent) as error:
                answers.append(error)
        return answers


class PoisonedClassifier:
    """Recognizes an email by its subject, which is its id. `crash` ends the process that it runs in."""

    def __init__(self, crash: Callable[[], None], flaky_done: set[str]) -> None:
        self.crash, self.flaky_done = crash, flaky_done

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        for email in emails:
            kind = email.subject.partition("-")[0]
            if kind == "raises":
                raise ValueError(email.subject)
            if kind == "flaky" and email.subject not in self.flaky_done:
                if len(emails) == 1:
                    self.flaky_done.add(email.subject)
                raise ValueError(email.subject)
            if kind == "kills":
                self.crash()
        answer = Classification(
            label="unknown",
            confidence=0.9,
            probabilities={"unknown": 0.9},
            model_version="simulation",
            below_threshold=False,
            runner_up="intro",
            flags=(),
        )
        return [answer] * len(emails)
