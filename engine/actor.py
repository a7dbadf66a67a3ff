"""ServiceActor: a pykka actor that is supervised, has ticks, and can be inspected without being asked.

The base of every actor here. It runs on greenlets: gevent must patch before pykka is imported (checked below). This
file closes gaps that pykka leaves: a failing on_start is reported to the parent, a BaseException in a handler
(gevent.Timeout, GreenletExit) affects only its own actor instead of ending all of them, and a message that arrives
after the end is answered.
"""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, cast

import gevent
import pykka
from gevent.event import Event
from pykka import ActorDeadError, ActorRegistry

from engine.card import ActorInfo, Card
from engine.errors import DependencyTrouble, EngineError
from engine.events import DEPENDENCY_BACK, DEPENDENCY_LOST, Bus
from engine.inbox import Inbox
from engine.turns import breathe

log = logging.getLogger(__name__)

if type(ActorRegistry._actor_refs_lock).__module__ == "_thread":  # noqa: SLF001  (pykka's import-time lock)
    raise RuntimeError("call gevent.monkey.patch_all() before pykka is imported: actors run on greenlets here")

AGAIN_S = 5.0
"""A rare tick that met a dependency's trouble is repeated after so many seconds: until it passes, its actor waits."""

A = TypeVar("A", bound="ServiceActor")

_parent: ContextVar["ServiceRef[Any] | None"] = ContextVar("parent", default=None)


class InterruptedActor(EngineError):
    """A BaseException ended a handler: somebody else's time limit, or a kill."""


class ChildEnded(NamedTuple):
    """Tells the parent that an actor has ended, with or without an error; the actor's card says which."""

    name: str


class Tick(NamedTuple):
    """Tells an actor to call `method`; sent by its own ticker."""

    method: Callable[[], object]
    done: Event


class Raised(NamedTuple):
    """Tells an actor that a greenlet that it owns ended with an error; the actor then fails with that error."""

    error: BaseException


class ServiceRef(pykka.ActorRef[A]):
    """A pykka ref that can also be inspected, without a message and without waiting."""

    def __init__(self, actor: A) -> None:
        super().__init__(actor)
        self.card = actor.card

    def describe(self) -> ActorInfo:
        """Return a snapshot of the actor."""
        return self.card.snapshot()

    def tree(self) -> list[ActorInfo]:
        """Return snapshots of the actor and, if it is a supervisor, of all actors below it."""
        return self.card.tree()

    def ready(self) -> bool:
        """Whether the actor has started and is alive, and so are the essential ones below it."""
        return self.card.ready()

    def drain(self) -> None:
        """Make the actor stop taking work; it stays alive, and finishes what it has in hand."""
        cast("Inbox", self.actor_inbox).stop_asked.set()


@contextmanager
def adopting(parent: ServiceRef[Any]) -> Iterator[None]:
    """Make `parent` the parent of actors that are started inside, so that their constructors need not pass it on."""
    token = _parent.set(parent)
    try:
        yield
    finally:
        _parent.reset(token)


class ServiceActor(pykka.ThreadingActor):
    """The base class of actors. `name` is unique in its process; a pool shares its `kind`.

    One piece of work may take `deadline` seconds. An error in a told message, a tick or an owned greenlet ends the
    actor, and its supervisor starts a new one. An error in an asked message goes to the caller, and the actor lives
    on. DependencyTrouble in a tick is no failure: the actor waits until that tick passes.
    """

    use_daemon_thread = True
    card: Card

    def __init__(self, *, name: str, kind: str = "", bus: Bus | None = None, deadline: float = 60.0) -> None:
        super().__init__()
        self.parent = _parent.get()
        self.card = Card(name, kind or name, deadline, parent=self.parent.card.name if self.parent else "")
        self.bus = bus or Bus()
        self._actor_ref = ServiceRef(self)
        self._greenlets: set[gevent.Greenlet[..., Any]] = set()
        self._lost: tuple[str, float] | None = None
        self._waiting_tick: Callable[[], object] | None = None

    @classmethod
    def start(cls, *args: Any, **kwargs: Any) -> "ServiceRef[Self]":
        """Start an actor of this class; see pykka."""
        return cast("ServiceRef[Self]", super().start(*args, **kwargs))

    @staticmethod
    def _create_actor_inbox() -> Inbox:
        return Inbox()

    # -- for subclasses --------------------------------------------------------------------------------------------------

    @property
    def actor_ref(self) -> "ServiceRef[Self]":
        """The ref that others hold."""
        return cast("ServiceRef[Self]", self._actor_ref)

    @property
    def name(self) -> str:
        """The actor's name."""
        return self.card.name

    @property
    def stop_asked(self) -> Event:
        """Set as soon as the actor is asked to stop or drain; wait on it instead of sleeping."""
        return cast("Inbox", self.actor_inbox).stop_asked

    def every(self, seconds: float, method: Callable[[], object], *, first: float = 0.0) -> None:
        """Have `method` called in the actor after `first` and then every `seconds`.

        Calls do not overlap, and missed ones are skipped. One for whose trouble the actor waits is repeated soon.
        """
        due = time.monotonic() + first

        def rest() -> None:
            nonlocal due
            late = time.monotonic() - due
            due += seconds * (1 + late // seconds)
            pause = max(0.0, due - time.monotonic())
            gevent.sleep(min(pause, AGAIN_S) if self._waiting_tick == method else pause)

        self.repeat(method, rest, first=first)

    def repeat(self, method: Callable[[], object], rest: Callable[[], object], *, first: float = 0.0) -> None:
        """Have `method` called in the actor after `first`, again and again.

        Between two calls, `rest` runs in a greenlet of its own.
        """
        self.spawn(self._tick, method, rest, first)

    def spawn(self, function: Callable[..., object], *args: Any) -> "gevent.Greenlet[..., Any]":
        """Run a greenlet that ends with the actor; if it ends with an error, the actor fails with that error."""
        greenlet = gevent.spawn(self._owned, function, args)
        self._greenlets.add(greenlet)
        greenlet.rawlink(self._greenlets.discard)
        return greenlet

    def goes_on(self) -> None:
        """Note that the current piece of work makes progress: it is not hung."""
        if self.card.busy_at is not None:
            self.card.busy_at = time.monotonic()

    def breathe(self) -> None:
        """Let other greenlets run, and note that the current piece of work makes progress."""
        self.goes_on()
        breathe()

    def pause(self, seconds: float) -> bool:
        """Wait inside a piece of work without counting as busy; True if a stop request cut the wait short."""
        busy, self.card.busy_at = self.card.busy_at is not None, None
        try:
            return bool(self.stop_asked.wait(seconds))
        finally:
            self.card.busy_at = time.monotonic() if busy else None

    def count(self, handled: int) -> None:
        """Add to the number that /actors shows as handled."""
        self.card.handled += handled

    def waiting(self, trouble: DependencyTrouble) -> None:
        """Show that the actor waits for a dependency."""
        self.card.waits_for = self.card.error = f"{trouble.dependency}: {trouble}"
        if self._lost is None:
            self._lost = (trouble.dependency, time.monotonic())
            log.warning("%s waits for %s: %s", self.name, trouble.dependency, trouble)
            self.bus.emit(DEPENDENCY_LOST, dependency=trouble.dependency, actor=self.name, reason=str(trouble))

    def running(self) -> None:
        """Show that the actor does not wait, or no longer waits."""
        self.card.waits_for = ""
        if self._lost is not None:
            (dependency, since), self._lost = self._lost, None
            seconds = time.monotonic() - since
            log.info("%s goes on: %s is back after %.1f s", self.name, dependency, seconds)
            self.bus.emit(DEPENDENCY_BACK, dependency=dependency, actor=self.name, seconds=seconds)

    # -- the message loop ------------------------------------------------------------------------------------------------

    def _actor_loop(self) -> None:
        try:
            super()._actor_loop()
        except BaseException:  # noqa: BLE001  (killed while it waited for a message)
            self._handle_failure(*sys.exc_info())
        finally:
            self._end()

    def _actor_loop_setup(self) -> None:
        try:
            self.on_start()
            self._begin()
        except BaseException:  # noqa: BLE001  (pykka would leave it registered and never answering)
            self._handle_failure(*sys.exc_info())
        else:
            self.card.started = True

    def _begin(self) -> None:
        """Run once, after on_start has succeeded; for the engine's own subclasses."""

    def _handle_receive(self, message: Any) -> Any:
        self.card.busy_at = time.monotonic()
        try:
            match message:
                case Tick():
                    return self._turn(message)
                case Raised():
                    return self._fail(message.error)
                case _:
                    return super()._handle_receive(message)
        except Exception:
            raise
        except BaseException as error:
            raise InterruptedActor(f"{self.name} was interrupted: {error!r}") from error
        finally:
            self.card.busy_at = None

    def _fail(self, error: BaseException) -> None:
        raise error

    def _turn(self, tick: Tick) -> None:
        try:
            tick.method()
        except DependencyTrouble as trouble:
            self._waiting_tick = tick.method
            self.waiting(trouble)
        else:
            if self._waiting_tick == tick.method:
                self._waiting_tick = None
                self.running()
        finally:
            tick.done.set()

    def _tick(self, method: Callable[[], object], rest: Callable[[], object], first: float) -> None:
        tick = Tick(method, Event())
        gevent.sleep(first)
        while True:
            tick.done.clear()
            self.actor_ref.tell(tick)
            tick.done.wait()
            rest()

    def _owned(self, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        try:
            function(*args)
        except (gevent.GreenletExit, ActorDeadError):
            return
        except BaseException as error:  # noqa: BLE001  (the actor must not outlive its greenlet)
            with suppress(ActorDeadError):
                self.actor_ref.tell(Raised(error))

    def _handle_failure(
        self,
        exception_type: type[BaseException] | None,
        exception_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super()._handle_failure(exception_type, exception_value, traceback)
        self.card.failed = True
        self.card.failures += 1
        self.card.error = f"{type(exception_value).__name__}: {exception_value}"
        self.card.blameless = isinstance(exception_value, DependencyTrouble)

    def _end(self) -> None:
        """Leave nothing behind, neither a greenlet nor an unanswered caller; then tell the parent."""
        gevent.killall(list(self._greenlets), block=False)
        cast("Inbox", self.actor_inbox).close()
        self.card.ended = True
        self.card.busy_at = None
        if self.parent is not None:
            with suppress(ActorDeadError):
                self.parent.tell(ChildEnded(self.name))
