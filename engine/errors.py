"""What can go wrong, as one small tree; each class says who has to act.

    EngineError
    ├── DependencyTrouble      a dependency's fault: pause and try again, no message is to blame
    │   └── Throttled          the same, and the dependency said how long to stay away
    ├── MessageTrouble         this message's fault: one of its attempts is spent
    │   └── Permanent          this message's fault for good: bury it now, with a reason
    ├── SettingsError          the operator's fault: one line that names the setting
    │   └── InUseError         the same, but perhaps temporary: another process uses the resource at the moment
    └── StaleError             another process has moved on (lease, generation, cursor): drop the work in hand

Raised by clients and stores, caught by the mailbox actor's loop (engine/mailbox_actor.py) and by run.py.
"""


class EngineError(Exception):
    """The root of the tree."""


class DependencyTrouble(EngineError):
    """A dependency is unavailable, slow, full or confused; the same call may succeed later.

    `dependency` is its name, as in /health: "redis", "database" or "fakemail".
    """

    def __init__(self, message: str, *, dependency: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.dependency = dependency
        self.retry_after = retry_after


class Throttled(DependencyTrouble):
    """The dependency asked us to stay away for `retry_after` seconds."""


class MessageTrouble(EngineError):
    """This message cannot be handled now, which spends an attempt. `reason` is what a dead letter would give."""

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class Permanent(MessageTrouble):
    """This message can never be handled: it is buried without more attempts."""


class SettingsError(EngineError):
    """A setting is wrong, or two settings conflict; the message is the one line that the operator sees."""

    code = 78
    """The exit code of a process that ends for this reason (EX_CONFIG): a restart would not help."""


class InUseError(SettingsError):
    """Another process uses a folder or a port."""

    code = 75
    """The exit code (EX_TEMPFAIL): starting again a moment later may help."""


class StaleError(EngineError):
    """What the caller holds is out of date: another owner, generation or cursor is in force."""
