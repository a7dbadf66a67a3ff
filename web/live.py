"""The hub of live updates: sends the event log's new entries, framed once, to every client at its own pace.

The broadcaster (actors/broadcaster.py) calls `publish` with what it read; web/live_client.py talks to each client.
Recent frames are kept in a ring into which each client has a cursor, so a slow client costs no memory of its own: it
falls behind, and events that leave the ring before it could take them are counted and reported to it. Within one log,
`seq` rises when compared as text.
"""

from collections import deque
from collections.abc import Sequence
from itertools import chain, islice

import msgspec
import orjson
from gevent.event import Event

from actors.events import DEAD, KINDS, PROCESS, kind_of, message
from engine.failpoints import reach
from engine.mailbox import LogEntry, MailboxStore
from web.websocket import LiveSocket
from web.websocket_frames import encode_text

RING_EVENTS = 4_096
RING_BYTES = 16 * 1024 * 1024
PIECE_BYTES = 64 * 1024
"""How much a lagging client is given at once; then its outbox is checked again."""
SHARES = 64
"""How many such pieces are kept joined for the next client at the same place."""

ALL, STATS, QUEUE = "email:all", "stats", "queue"
TOPICS = frozenset({ALL, *("email:" + kind for kind in KINDS), STATS, QUEUE})
ENDS = ("email:" + PROCESS, "email:" + DEAD)


class Framed:
    """One event of the log as sent on the wire. The frame is made for the first client that gets it, then shared."""

    __slots__ = ("_entry", "_frame", "seq", "size", "topic")

    def __init__(self, entry: LogEntry) -> None:
        self.seq, self.topic = entry.seq, topic_of(entry)
        self.size = len(entry.data)  # the frame has some sixty bytes more
        self._entry: LogEntry | None = entry
        self._frame = b""

    @property
    def frame(self) -> bytes:
        """The message, framed."""
        if self._entry is not None:
            self._frame, self._entry = encode_text(message(self._entry)), None
        return self._frame


class Client:
    """One connected client: its topics, and its cursor, the place in the hub's count up to which it has been served."""

    def __init__(self, socket: LiveSocket, cursor: int) -> None:
        self.socket = socket
        self.cursor = cursor
        self.topics = frozenset({ALL})
        self.lost = 0  # events that left the ring before the outbox had room for them
        self.gap = b""  # the `gap` message that it must get before the next events
        self.held = False  # a replay is under way: live events wait in the ring
        self.starts: dict[str, str] = {}  # topic → the seq from which it is served without a gap
        self.skip: dict[str, str] = {}  # topic → the last seq that a replay sent, ahead of what is published here

    def wants(self, topic: str) -> bool:
        """Return whether this client gets events of this topic."""
        return ALL in self.topics or topic in self.topics

    def has_had(self, event: Framed) -> bool:
        """Return whether a replay sent the event already, ahead of what is published here."""
        return any(topic in self.skip and event.seq <= self.skip[topic] for topic in (ALL, event.topic))

    def is_served(self, seq: str, topic: str) -> bool:
        """Return whether the live events that this client gets, or got, reach back to this one."""
        return any(each in self.starts and seq >= self.starts[each] for each in (ALL, topic))


def topic_of(entry: LogEntry) -> str:
    """Return the topic of an entry, such as `email:process`."""
    return "email:" + kind_of(entry)


class Hub:
    """All clients of this process. Everything runs in greenlets of one thread, and only a replay ever waits."""

    def __init__(self, store: MailboxStore) -> None:
        self.store = store
        self.clients: set[Client] = set()
        self.last: str | None = None  # the newest seq published here
        self.count = 0  # events published so far; the ring holds the newest of them
        self._ring: deque[Framed] = deque()
        self._ring_bytes = 0
        self._gap: str | None = None
        self.gaps = 0  # how often the broadcaster could not follow the log
        self._waiting: dict[str, set[Event]] = {}
        self._news = Event()
        self.ending = False  # the server stops: held requests are to be answered now
        self._joined: dict[tuple[frozenset[str], int], tuple[int, bytes]] = {}

    # -- the broadcaster's side

    def publish(self, entries: Sequence[LogEntry]) -> None:
        """Give new entries of the log, in their order, to every client."""
        if self._gap is not None:
            self._tell_gap(entries[0].seq)
        for entry in entries:
            event = Framed(entry)
            self._ring.append(event)
            self._ring_bytes += event.size
            self.count += 1
            if self._waiting and event.topic in ENDS:
                self._wake(entry)
        self.last = entries[-1].seq
        self._wake_readers()
        self._trim()
        self._joined.clear()
        for client in list(self.clients):
            self.advance(client)
            reach("broadcast.fanout")

    def gap(self, reason: str) -> None:
        """Note that the broadcaster could not follow the log (trimmed, or replaced); the next event tells clients."""
        self._gap = reason
        self.gaps += 1
        for client in self.clients:
            self._leave_behind(client, self._ring, self._oldest)
        self._ring.clear()
        self._ring_bytes = 0
        for client in self.clients:
            client.starts.clear()
            client.skip.clear()

    def _tell_gap(self, to: str) -> None:
        text = msgspec.json.encode({"type": "gap", "from": self.last, "to": to, "reason": self._gap})
        self._gap = None
        frame = encode_text(text)
        for client in self.clients:
            client.gap = frame
            self._tell_losses(client)

    # -- the clients' side

    def join(self, socket: LiveSocket) -> Client:
        """Add a client, which gets everything from now on."""
        client = Client(socket, self.count)
        self.clients.add(client)
        return client

    def leave(self, client: Client) -> None:
        """Remove a client that has disconnected."""
        self.clients.discard(client)

    def advance(self, client: Client) -> None:
        """Send the client what it has not had, as far as its outbox has room; the rest stays in the ring."""
        while client.cursor < self.count and not client.held and not client.socket.closed:
            end, frames = self._own_share(client) if client.skip else self._share(client)
            if frames and not self._deliver(client, frames):
                return
            if client.topics - client.starts.keys():
                first = self._event_at(client.cursor).seq
                client.starts.update({topic: first for topic in client.topics if topic not in client.starts})
            client.cursor = end
        if client.skip and client.cursor == self.count and self.last and self.last > max(client.skip.values()):
            client.skip.clear()

    def resume(self, client: Client) -> None:
        """Go on with a client that may lag behind: its outbox has room again, or its replay is over."""
        if self._tell_losses(client):
            self.advance(client)

    def boundary(self, client: Client, topic: str) -> str | None:
        """Return the seq from which this client is served live, where a replay ends; None if nothing live came yet."""
        served = client.starts.get(ALL) or client.starts.get(topic)
        if served is not None:
            return served
        return self._event_at(client.cursor).seq if client.cursor < self.count else None

    def push(self, topic: str, text: bytes) -> None:
        """Send a message without seq to every client that wants it; one whose outbox is full misses it."""
        frame = encode_text(text)
        for client in list(self.clients):
            if client.wants(topic):
                client.socket.send_encoded(frame)

    def wanted(self, topic: str) -> bool:
        """Return whether any client listens to this topic."""
        return any(client.wants(topic) for client in self.clients)

    # -- for requests that wait for one email

    def watch(self, email_id: str) -> Event:
        """Return an event that is set when an email of this id gets a result or dead letter; `unwatch` ends it."""
        event = Event()
        self._waiting.setdefault(email_id, set()).add(event)
        return event

    def unwatch(self, email_id: str, event: Event) -> None:
        """End a `watch`."""
        events = self._waiting[email_id]
        events.discard(event)
        if not events:
            del self._waiting[email_id]

    def wait_for_news(self, seconds: float) -> None:
        """Wait for the next event of any kind, or for `seconds`."""
        self._news.wait(seconds)

    def let_go(self) -> None:
        """Wake all waiting requests as the server stops: they look a last time and are answered with what there is."""
        self.ending = True
        for event in chain.from_iterable(self._waiting.values()):
            event.set()
        self._wake_readers()

    def _wake_readers(self) -> None:
        news, self._news = self._news, Event()
        news.set()

    def _wake(self, entry: LogEntry) -> None:
        for event in self._waiting.get(orjson.loads(entry.data)["data"]["email_id"], ()):
            event.set()

    # -- internals

    @property
    def _oldest(self) -> int:
        return self.count - len(self._ring)

    def _event_at(self, place: int) -> Framed:
        return self._ring[place - self._oldest]

    def _share(self, client: Client) -> tuple[int, bytes]:
        """Return the next piece for this client, joined once for all clients at the same place."""
        key = (client.topics, client.cursor)
        found = self._joined.get(key)
        if found is None:
            if len(self._joined) >= SHARES:
                self._joined.clear()  # clients that lag are at places of their own, and there may be no next event
            found = self._joined[key] = self._own_share(client)
        return found

    def _own_share(self, client: Client) -> tuple[int, bytes]:
        frames: list[bytes] = []
        size, place = 0, client.cursor
        while place < self.count and size < PIECE_BYTES:
            event = self._event_at(place)
            place += 1
            if client.wants(event.topic) and not client.has_had(event):
                frames.append(event.frame)
                size += len(event.frame)
        return place, b"".join(frames)

    def _deliver(self, client: Client, frames: bytes) -> bool:
        return self._tell_losses(client) and client.socket.send_encoded(frames)

    def _tell_losses(self, client: Client) -> bool:
        """Report losses before any later event; return False during a replay or if the outbox has no room."""
        if client.held:
            return False
        if client.lost:
            text = msgspec.json.encode({"type": "dropped", "count": client.lost})
            if not client.socket.send_encoded(encode_text(text)):
                return False
            client.lost = 0
            client.starts.clear()  # if it now resumes from its last seq, what it lost is to be played
        if client.gap:
            if not client.socket.send_encoded(client.gap):
                return False
            client.gap = b""
        return True

    def _trim(self) -> None:
        first = self._oldest
        gone: list[Framed] = []
        while len(self._ring) > RING_EVENTS or (self._ring_bytes > RING_BYTES and len(self._ring) > 1):
            gone.append(self._ring.popleft())
            self._ring_bytes -= gone[-1].size
        for client in self.clients if gone else ():
            self._leave_behind(client, gone, first)

    def _leave_behind(self, client: Client, gone: Sequence[Framed], first: int) -> None:
        """Move the client past events that leave the ring, from place `first` on; what it has not had is lost to it."""
        after = first + len(gone)
        if client.cursor < after:
            client.lost += sum(client.wants(event.topic) for event in islice(gone, client.cursor - first, None))
            client.cursor = after
