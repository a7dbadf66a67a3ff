"""The conversation with one WebSocket client: its commands, and the replay of what it missed before it goes live.

`serve` runs in the connection's greenlet until the client disconnects (web/app.py passes it to the server). Live events
come from the hub (web/live.py), earlier ones from the event log; a replay never delays the other clients.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
import msgspec

from actors.events import message
from engine import clock
from engine.errors import DependencyTrouble
from engine.mailbox import LogEntry
from engine.timestamps import timestamp
from web.live import ALL, TOPICS, Client, Hub, topic_of
from web.websocket import LiveSocket
from web.websocket_frames import encode_text

PAGE = 500
ROOM_POLL_S = 0.05
COMMAND_CHARACTERS = 4096

Stats = Callable[[], dict[str, Any]]
TooOften = Callable[[], str | None]
"""Counts a command that costs as much as an API call; returns why it is refused, or None."""


class Command(msgspec.Struct):
    """What a client may send."""

    command: str
    topic: str | None = None
    since: str | None = None


def serve(hub: Hub, socket: LiveSocket, stats: Stats, too_often: TooOften = lambda: None) -> None:
    """Answer one client's commands until it disconnects; meanwhile the hub sends it the events."""
    client = hub.join(socket)
    socket.on_room = partial(hub.resume, client)
    try:
        while (text := socket.receive()) is not None:
            say(client, answer(hub, client, text, stats, too_often))
            hub.resume(client)
    finally:
        hub.leave(client)


def say(client: Client, reply: dict[str, Any] | None) -> None:
    """Send a reply; a client whose outbox is full misses it."""
    if reply is not None:
        client.socket.send(msgspec.json.encode(reply))


def answer(
    hub: Hub, client: Client, text: str, stats: Stats, too_often: TooOften = lambda: None
) -> dict[str, Any] | None:
    """Carry out one command and return its reply."""
    try:
        command = _read(text)
    except ValueError as error:
        return _error(str(error))
    if (command.command == "fetch_stats" or command.since is not None) and (reason := too_often()):
        return _error(reason)
    match command.command:
        case "ping":
            return {"type": "pong", "timestamp": timestamp(clock.now())}
        case "fetch_stats":
            return _stats(stats)
        case "subscribe" | "unsubscribe":
            return _change_topic(hub, client, command)
    return _error(f"unknown command {command.command[:100]!r}")


def _read(text: str) -> Command:
    """Parse a command; raises ValueError with what is wrong."""
    if len(text) > COMMAND_CHARACTERS:
        raise ValueError(f"a command has at most {COMMAND_CHARACTERS} characters, this one {len(text)}")
    try:
        return msgspec.json.decode(text, type=Command)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        raise ValueError('send {"command": "ping"}, "subscribe", "unsubscribe" or "fetch_stats"') from None


def _change_topic(hub: Hub, client: Client, command: Command) -> dict[str, Any] | None:
    topic = command.topic
    if topic not in TOPICS:
        return _error(f"unknown topic {(topic or '')[:100]!r}; there are {', '.join(sorted(TOPICS))}")
    if command.command == "subscribe":
        return _subscribe(hub, client, topic, command.since)
    client.topics -= {topic}
    client.starts.pop(topic, None)
    client.skip.pop(topic, None)
    return _subscription(topic)


def stats_message(event: str, data: dict[str, Any]) -> dict[str, Any]:
    """Return a message without `seq`: `stats` or `queue`."""
    return {"type": "email_event", "event": event, "data": data, "timestamp": timestamp(clock.now())}


def _error(text: str) -> dict[str, Any]:
    return {"type": "error", "message": text}


def _subscription(topic: str) -> dict[str, Any]:
    return {"type": "subscription", "status": "success", "topic": topic}


def _stats(stats: Stats) -> dict[str, Any]:
    try:
        return stats_message("stats", stats())
    except DependencyTrouble as trouble:
        return _error(f"no statistics now: {trouble.dependency} cannot be reached")


def _subscribe(hub: Hub, client: Client, topic: str, since: str | None) -> dict[str, Any] | None:
    say(client, _subscription(topic))
    if since is None:
        client.topics |= {topic}
        return None
    client.held = True  # before the topic is added: its live events from here on wait for the replay
    client.topics |= {topic}
    try:
        replay(hub, client, topic, since)
    except DependencyTrouble as trouble:
        return {**_error(f"the replay ended early: {trouble.dependency} cannot be reached"), "topic": topic}
    finally:
        client.held = False
    return None


def replay(hub: Hub, client: Client, topic: str, since: str) -> None:
    """Send what the client missed after `since`, page by page, up to where it is served live; report any gap."""
    after, more, gaps = since, True, hub.gaps
    while more and not client.socket.closed:
        gaps = hub.gaps
        page = hub.store.read_log(after, count=PAGE)
        if page.gap:
            to = page.entries[0].seq if page.entries else page.last
            say(client, {"type": "gap", "from": after, "to": to, "reason": page.gap})
            # `since` may be another log's seq, which cannot be compared with those of this one.
            since, after = to, "" if page.entries else to
        boundary = hub.boundary(client, topic)
        entries = [entry for entry in page.entries if boundary is None or entry.seq < boundary]
        _play(client, topic, entries)
        more = bool(entries) and len(entries) == len(page.entries)
        after = entries[-1].seq if entries else after
    if hub.gaps == gaps:  # or else these may be places in a log that has been replaced since
        client.skip[topic] = after
        client.starts[topic] = min(since, client.starts.get(topic, since))


def _play(client: Client, topic: str, entries: list[LogEntry]) -> None:
    """Send the missed events of one page, waiting for room in the outbox: a replay drops nothing."""
    parts = []
    for entry in entries:
        own = topic_of(entry)
        if topic in (ALL, own) and not client.is_served(entry.seq, own):
            parts.append(encode_text(message(entry)))
    frames = b"".join(parts)
    while frames and not client.socket.send_encoded(frames) and not client.socket.closed:
        gevent.sleep(ROOM_POLL_S)
