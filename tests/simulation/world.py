"""One or two whole nodes in one thread: real actors and pumps as tasks, real books, mailboxes in memory, and a seed.

Each method does one thing that a seed, or hypothesis, has chosen. `check` must hold after each commit; `finish` ends
all faults, lets everything run out and checks that the books balance: L0, D0, C0, X0, P0 and I1 to I4 of the catalogue
of faults.
"""

import itertools
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import orjson

import actors.classifier
import actors.feeder
import actors.fetcher
import actors.janitor
import actors.lister
import engine.clock
import engine.leadership
import engine.pump
import storage.books
from actors.bodies import CLASSIFY, FETCH, LookBody, encode, look_mailbox
from actors.classifier import ClassifierActor
from actors.dead_letter_writer import DeadLetterWriter
from actors.feeder import Feeder
from actors.fetcher import Fetcher
from actors.following import Follower
from actors.janitor import Janitor
from actors.ledger import SqlLedger
from actors.lister import Lister
from engine.context import Context
from engine.errors import DependencyTrouble, StaleError
from engine.mailbox import DEAD, QUARANTINE, Envelope, Room
from engine.mailbox_actor import MailboxActor, RetryPolicy
from engine.pump import Pump
from storage.books import Books
from storage.dead_letters import DeadLetters
from storage.desired import Desired
from storage.notifications import Notifications
from storage.results import ResultStore
from tests.engine.memory_mailbox import MemoryMailboxes
from tests.simulation.parts import Account, MemoryDatabase, PoisonedClassifier
from tests.simulation.scheduling import GO, Bell, Clock, Gate, Killed, Life, Lock

TIMED = (
    actors.classifier,
    actors.fetcher,
    actors.janitor,
    actors.lister,
    engine.clock,
    engine.leadership,
    engine.pump,
    storage.books,
)
POLL, OVERLAP, GONE_AFTER, SUSPECT_AGE = 10.0, 60.0, 12.0, 12.0
SMALL = Room(20)
LAST_ROUNDS = 2_000


class Imbalance(AssertionError):
    """The books do not balance; the text says why."""


@contextmanager
def simulated_time(clock: Clock) -> Iterator[None]:
    """Make the modules under simulation read this clock."""
    before = [(module, module.time) for module in TIMED]
    shared = engine.clock._shared
    offset, shared.offset = shared.offset, 0.0
    for module in TIMED:
        module.time = clock  # type: ignore[attr-defined]  # as above
    try:
        yield
    finally:
        shared.offset = offset
        for module, time in before:
            module.time = time  # type: ignore[attr-defined]  # as above


class World:
    """`rng` serves the actors' own random choices; the caller chooses what happens next."""

    def __init__(self, database: MemoryDatabase, clock: Clock, rng: random.Random, *, fronts: int = 1) -> None:
        database.empty()
        self.database, self.clock, self.rng = database, clock, rng
        self.store = MemoryMailboxes(rooms={FETCH: SMALL, CLASSIFY: SMALL}, clock=clock.time)
        self.account = Account(clock)
        self.flaky_done: set[str] = set()
        self.current: Life | None = None
        self.lives: dict[str, Life] = {}
        self.waiting: dict[str, bool] = {}  # process → whether its predecessor was seen to die
        self.lossy = False  # Redis lost something: events may be lost or doubled
        self.killed = False
        self.terminal: dict[int, int] = {}
        self.lone: Counter[str] = Counter()  # email → deaths blamed on it while it was alone
        self.ids: dict[int, str] = {}
        Books(database).open_source("main", "simulation")  # type: ignore[arg-type]  # all that it needs of a Database
        self.names = [f"n{nth}/front" for nth in range(1, fronts + 1)] + ["n1/worker-1", "n1/worker-2"]
        self.plans: dict[str, Callable[[Life, bool], None]] = {
            name: self._front if name.endswith("front") else self._worker for name in self.names
        }
        for name in self.names:
            self.start(name, blamed=False)

    # -- processes -------------------------------------------------------------------------------------------------------

    def start(self, name: str, *, blamed: bool) -> None:
        life = self.lives[name] = Life(name)
        self.store.beat(name, {}, ttl=5.0)
        self.plans[name](life, blamed)

    def crash(self, name: str, *, blamed: bool) -> None:
        """Crash a process; `blamed` means that its launcher lives and saw the death."""
        life = self.lives.pop(name, None)
        if life is None:
            return
        self.killed = True
        if blamed:
            self._note_lone_deaths(name)
        life.kill()
        self.waiting[name] = blamed

    def _note_lone_deaths(self, process: str) -> None:
        for (_, lane), entries in self.store._lanes.items():
            for number, entry in entries.items():
                if lane == QUARANTINE and entry.holder and entry.holder.rsplit("/", 1)[0] == process:
                    delivery = self.store._hand_out(_, lane, number, entry.holder)
                    self.lone[delivery.envelope.key] += 1

    def crash_node(self) -> None:
        """Crash everything at once, including the launcher, so that nobody is left to assign blame."""
        for name in self.names:
            self.crash(name, blamed=False)
            self.waiting[name] = False

    def restart(self, name: str) -> None:
        self.start(name, blamed=self.waiting.pop(name))

    def _crash_current(self) -> None:
        """Die as a poison email makes a process die; `resume` cleans up the rest of the process."""
        assert self.current is not None
        self.current.dead = True
        raise Killed

    def _context(self, life: Life, blamed: bool) -> tuple[Context, Any]:
        store, database = Gate(self.store, life, "redis"), Gate(self.database, life, "database")
        ledger = SqlLedger(Books(database, shard=life.name))  # type: ignore[arg-type]
        context = Context(
            store,
            life.name,
            ledger,
            policy=RetryPolicy(2, 1.0, 4.0),
            clock=self.clock.time,
            rng=self.rng,
            after_crash=blamed,
        )
        context.recovery._lock = Lock()  # type: ignore[assignment]
        return context, database

    def _front(self, life: Life, blamed: bool) -> None:
        context, database = self._context(life, blamed)
        books, bell = Books(database, shard=life.name), Bell()
        client = Gate(self.account, life, "fakemail")
        common: dict[str, Any] = {"bus": context.bus, "store": context.store}
        self._mailbox_actor(life, DeadLetterWriter(context, dead_letters=DeadLetters(database)))
        self._mailbox_actor(life, Fetcher(context, clients={"main": client}, gone_after=GONE_AFTER))
        feeder = Feeder(name="feeder", books=books, room=SMALL, bell=bell, **common)  # type: ignore[arg-type]
        janitor = Janitor(
            name="janitor",
            books=books,
            search=None,  # type: ignore[arg-type]  # the full text does not matter here
            bell=bell,  # type: ignore[arg-type]
            suspect_age=SUSPECT_AGE,
            **common,
        )
        follower = Follower("main", client, books, OVERLAP)
        lister = Lister(
            context,
            follower=follower,
            notifications=Notifications(database),
            desired=Desired(database),
            bell=bell,  # type: ignore[arg-type]
            subscribe=self.account.subscribe,
            poll_interval=POLL,
            start_from="beginning",
            token=life.name,
            name="lister",
        )
        self._mailbox_actor(life, lister, self._leading(lister))
        for actor in (feeder, janitor):
            _still(actor)
        duties = itertools.cycle(
            (janitor.reopen_due, janitor.release_the_dead, feeder.feed, janitor.note_positions, janitor.reconcile)
        )
        life.add(_patient(_in_turn(duties)))
        life.add(_patient(feeder.feed))

    def _worker(self, life: Life, blamed: bool) -> None:
        context, database = self._context(life, blamed)
        classifier = PoisonedClassifier(self._crash_current, self.flaky_done)
        for nth in (1, 2):
            actor = ClassifierActor(
                context,
                classifier=classifier,
                results=ResultStore(database),
                name=f"classifier-{nth}",
            )
            self._mailbox_actor(life, actor)

    def _mailbox_actor(self, life: Life, actor: MailboxActor, also: Callable[[], None] | None = None) -> None:
        """Add the actor's pump and its loop as two tasks."""
        _still(actor)
        inbox: deque[Any] = deque()
        host = _Host(actor, inbox)
        actor.pump = Pump(host, actor.context.store, actor.pump.intake)  # type: ignore[arg-type]
        actor.pump._moved = Bell()  # type: ignore[assignment]
        actor.pump.intake = actor.pump.intake.__class__(
            actor.mailbox, actor.consumer, 4, 10**6, actor.pump.intake.into, 0.0
        )

        def work() -> None:
            if inbox:
                actor._work(inbox.popleft())
            if also:
                also()

        def pump() -> None:
            try:
                actor.pump._step()
            except DependencyTrouble as trouble:
                actor.pump._back_off(trouble)

        life.add(work)
        life.add(pump)

    def _leading(self, lister: Lister) -> Callable[[], None]:
        def lead() -> None:
            lister.leadership.renew()
            try:
                lister.tick()
            except (DependencyTrouble, StaleError):
                lister.leadership.leads = False

        return lead

    # -- what may happen ---------------------------------------------------------------------------------------------------

    def resume(self, name: str, nth: int, fate: str = GO) -> bool:
        """Let one task run up to its next call; return True if it has reached the end of a step."""
        life = self.lives[name]
        self.current = life
        ended = True
        try:
            ended = life.tasks[nth % len(life.tasks)].resume(fate)
        except Killed:
            life.dead = True
        finally:
            self.current = None
        if life.dead:
            self.crash(name, blamed=True)
        if self.database.changed:
            self.database.changed = False
            self.check()
        return ended

    def receive(self, kind: str, *, notified: bool, late: float = 0.0) -> None:
        """Let an email arrive at FakeMail, and perhaps its notification here."""
        self.account.receive(kind, late)
        if notified:
            self.notify(self.account.newest)

    def notify(self, history_id: int) -> None:
        hint = Envelope(
            "main", "hint", times={"received": self.clock.now}, body=encode(LookBody(history_id=history_id))
        )
        self.store.put(look_mailbox("main"), [hint])

    def pass_time(self, seconds: float) -> None:
        """Advance the clock, with heartbeats of the processes that are not frozen."""
        self.clock.now += seconds
        for name, life in self.lives.items():
            if life.frozen_since is None:
                self.store.beat(name, {}, ttl=5.0)

    def freeze(self, name: str) -> None:
        self.lives[name].frozen_since = self.clock.now

    def thaw(self, name: str) -> None:
        self.lives[name].frozen_since = None

    def wipe(self) -> None:
        """Wipe Redis, as FLUSHALL does."""
        self.lossy = True
        self.store.wipe()

    def lose_lane(self, mailbox: str, lane: str) -> None:
        """Delete a stream, as an outsider might."""
        self.lossy = True
        self.store.delete(mailbox, lane)

    def end(self) -> None:
        """Kill everything: a task waiting inside its step would never be collected, nor the world that it holds."""
        for life in self.lives.values():
            life.kill()

    @property
    def runnable(self) -> list[str]:
        return [name for name, life in self.lives.items() if life.frozen_since is None]

    # -- what must hold ------------------------------------------------------------------------------------------------------

    def check(self) -> None:
        """Check after a commit: nothing unknown, undone or doubled, and the cursor behind the books."""
        rows = self.database.rows("SELECT id, key, state FROM book")
        keys = {key for _, key, _ in rows}
        _hold(len(keys) == len(rows), "D0: an id stands in the books twice")
        _hold(keys <= self.account.kinds.keys(), f"X0: {keys - self.account.kinds.keys()} was never sent")
        states = {ref: state for ref, _, state in rows}
        for ref, state in self.terminal.items():
            _hold(states.get(ref) == state, f"I3: row {ref} was {state} and is {states.get(ref)}")
        self.terminal.update((ref, state) for ref, state in states.items() if state in (1, 2))
        cursor = self.database.rows("SELECT cursor FROM source")[0][0]
        passed = {key for key, at in self.account.history.items() if at <= cursor and not key.startswith("late")}
        _hold(passed <= keys, f"C0: the cursor at {cursor} has passed {passed - keys}")
        results = self.database.rows("SELECT COUNT(*), COUNT(DISTINCT ref) FROM result")[0]
        ended = sum(state == 1 for state in states.values())
        _hold(results == (ended, ended), f"I1: {results} results, {ended} rows that say so")

    def finish(self) -> None:
        """Run out without faults, and check that every email ended as it should, once, with one event."""
        for name in list(self.lives):
            self.thaw(name)
        for _ in range(LAST_ROUNDS):
            for name in list(self.waiting):
                self.restart(name)
            turns = [(name, nth) for name, life in self.lives.items() for nth in range(len(life.tasks))]
            self.rng.shuffle(turns)
            for name, nth in turns:
                while name in self.lives and not self.resume(name, nth):
                    continue
            self.pass_time(self.rng.choice((0.3, 2.0)))
            if self._all_ended() and not self._in_mailboxes():
                break
        self.check()
        self._balance()

    def _all_ended(self) -> bool:
        return len(self.terminal) == len(self.account.kinds)

    def _in_mailboxes(self) -> int:
        mailboxes = (FETCH, CLASSIFY, DEAD, look_mailbox("main"))
        return sum(depth.messages for mailbox in mailboxes for depth in self.store.depths(mailbox).values())

    def _balance(self) -> None:
        state_of = dict(self.database.rows("SELECT key, state FROM book"))
        missing = sorted(key for key in self.account.kinds if state_of.get(key) not in (1, 2))
        _hold(not missing, f"L0: not ended: {[(key, state_of.get(key)) for key in missing]}")
        _hold(not self._in_mailboxes(), f"P0: {self._in_mailboxes()} messages are still in mailboxes")
        dead = {key for key, state in state_of.items() if state == 2}
        doomed = {key for key, kind in self.account.kinds.items() if kind in Account.DEAD}
        excused = {key for key, deaths in self.lone.items() if deaths >= 2}
        _hold(doomed <= dead, f"poison lives: {doomed - dead}")
        _hold(dead <= doomed | excused, f"wrongly dead: {dead - doomed - excused}")
        listed = self.database.rows("SELECT listed FROM source")[0][0]
        _hold(listed == len(state_of), f"I19: {listed} listed, {len(state_of)} rows")
        letters = Counter(ref for (ref,) in self.database.rows("SELECT ref FROM dead_letter"))
        _hold(set(letters.values()) <= {1} and len(letters) == len(dead), "I1: dead letters and dead rows differ")
        if not self.lossy:
            self._events(state_of, dead)

    def _events(self, state_of: dict[str, int], dead: set[str]) -> None:
        told: Counter[tuple[str, str]] = Counter()
        for data in self.store._log.values():
            event = orjson.loads(data)
            # A wait for a missing email spends no try, so no row tells of it.
            waits = event["event"] == "retry" and event["data"]["reason"] == "gone"
            if event["event"] in ("process", "dead", "retry") and not waits:
                told[event["event"], event["data"]["email_id"]] += 1
        expected = Counter({("process", key): 1 for key, state in state_of.items() if state == 1})
        expected += Counter({("dead", key): 1 for key in dead})
        tries = "SELECT book.key FROM attempt JOIN book ON book.id = attempt.ref"
        expected += Counter(("retry", key) for (key,) in self.database.rows(tries))
        # A kill between recording a retry and settling it may lose that retry's event: see docs/reliability.md.
        lost = {each for each in expected - told if not (self.killed and each[0] == "retry")}
        _hold(not lost and not told - expected, f"events lost {lost}, doubled {told - expected}")


class _Host:
    """The actor as its pump sees it, with a Bell instead of an Event to wait for."""

    def __init__(self, actor: MailboxActor, inbox: deque[Any]) -> None:
        self.stop_asked = Bell()
        self.before_taking, self.accept, self.release = actor.before_taking, inbox.append, actor.release
        self._leads = (lambda: actor.leadership.leads) if isinstance(actor, Lister) else (lambda: True)

    def may_take(self) -> bool:
        return self._leads()

    def waiting(self, trouble: DependencyTrouble) -> None:
        """Ignore it: nobody looks at the state."""

    def running(self) -> None:
        """Ignore it: nobody looks at the state."""


def _still(actor: Any) -> None:
    """Disable what an actor does for others on its hub, which does not matter here."""
    actor.breathe = lambda: None
    actor.pause = lambda _seconds: False


def _in_turn(duties: Iterator[Callable[[], object]]) -> Callable[[], object]:
    """Return a step that performs the next duty."""

    def turn() -> object:
        return next(duties)()

    return turn


def _patient(duty: Callable[[], object]) -> Callable[[], None]:
    """Return a duty that survives trouble of its dependency, as a tick does."""

    def turn() -> None:
        try:
            duty()
        except DependencyTrouble:
            return

    return turn


def _hold(condition: bool, text: str) -> None:
    if not condition:
        raise Imbalance(text)
