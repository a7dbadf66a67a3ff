"""`run.py doctor`: checks settings, disk, Redis, database, FakeMail and server, running or not, and advises."""

import argparse
import json
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from commands.arguments import add_json
from commands.client import CommandError, OtherServerError, Server
from commands.terminal import paint
from engine.errors import DependencyTrouble, EngineError
from engine.mailbox import MAIN
from fakemail.client import FakeMailClient
from settings import Settings, is_loopback, without_password
from storage import embedded
from storage.database import Database
from storage.drivers import is_damage
from storage.migrations import STEPS, too_old
from storage.redis_client import check_server, connect, trouble
from storage.statements import execute

MIB = 1024 * 1024
MARKS = {"ok": ("ok  ", "green"), "note": ("note", "yellow"), "bad": ("bad ", "red")}
NEARLY_FULL = 0.8
CHECKED_BYTES = 512 * MIB
"""A larger file is not checked page by page: that would take minutes."""


@dataclass(frozen=True)
class Finding:
    """What a check found. `level` is ok, note (it works) or bad; `advice` says what to do."""

    level: str
    text: str
    advice: str = ""


Findings = Iterator[Finding]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_json(parser)


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Run all checks; exit with 1 if anything is bad."""
    checks: dict[str, Callable[[Settings], Findings]] = {
        "settings": _settings,
        "disk": _disk,
        "redis": _redis,
        "database": _database,
        "fakemail": _fakemail,
        "server": _server,
    }
    found = [(about, each) for about, check in checks.items() for each in _looked(about, check, settings)]
    if args.json:
        print(json.dumps([{"about": about, **asdict(each)} for about, each in found]))
    else:
        print("\n".join(_line(about, each) for about, each in found))
    return int(any(each.level == "bad" for _, each in found))


def _looked(about: str, check: Callable[[Settings], Findings], settings: Settings) -> list[Finding]:
    found: list[Finding] = []
    try:
        for each in check(settings):
            found.append(each)  # noqa: PERF402  (keep what was found before an error)
    except (EngineError, CommandError, OSError) as error:
        found.append(Finding("bad", str(error) or type(error).__name__, ADVICE.get(about, "")))
    return found


ADVICE = {
    "redis": "check its log, restart it, or point REDIS_URL at the one that runs; if unset, the embedded Valkey is used",
    "database": "start it, or check DATABASE_URL and the permissions of the file",
}


def _settings(settings: Settings) -> Findings:
    set_here = sum(source != "default" for _, _, source in settings.describe())
    version = ".".join(map(str, sys.version_info[:3]))
    yield Finding("ok", f"{set_here} set, the others at their defaults; Python {version}")
    if not is_loopback(settings.host) and not settings.webhook_secret:
        yield Finding(
            "note", f"HOST={settings.host} without WEBHOOK_SECRET: anybody may send webhooks",
            "`python3 run.py secret new` generates one for FakeMail and for us",
        )  # fmt: skip
    if not is_loopback(settings.host) and not settings.api_token:
        yield Finding("note", "others can reach the API without a token", "set API_TOKEN")


def _disk(settings: Settings) -> Findings:
    folder = settings.data_dir.absolute()
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK):
        yield Finding("bad", f"{there} cannot be written", "give this user permission, or set another DATA_DIR")
    free = shutil.disk_usage(there).free // MIB
    if free < settings.min_free_disk_mb:
        yield Finding(
            "bad", f"{free:,} MB are free where {folder} is, less than MIN_FREE_DISK_MB={settings.min_free_disk_mb}",
            "free some space: no work is taken until then; `python3 run.py prune` frees some",
        )  # fmt: skip
    else:
        yield Finding("ok", f"{free:,} MB are free where {folder} is")


def _redis(settings: Settings) -> Findings:
    url = settings.redis
    if url is None:
        url = embedded.url_of(settings.data_dir)
        if url is None or not _listens(url):
            yield Finding("ok", "the embedded Valkey is used; it is not running, serve starts it")
            return
    with closing(connect(url)) as client:
        warnings = check_server(client)
        with trouble():
            memory = client.info("memory")
    for text in warnings:
        yield Finding("note", text, "change its configuration; docs/operations.md says what it should have")
    used, most = int(memory["used_memory"]), int(memory.get("maxmemory", 0))
    if most and used > NEARLY_FULL * most:
        yield Finding(
            "bad", f"{used // MIB:,} of {most // MIB:,} MB are used", "raise maxmemory, or lower MAILBOX_LIMIT"
        )
    else:
        yield Finding("ok", f"it answers; {used // MIB:,} MB are used{f' of {most // MIB:,}' if most else ''}")


def _listens(url: str) -> bool:
    """Return whether a process listens on this URL.

    One that hangs still does; one that was killed leaves only the socket's file.
    """
    parts = urlsplit(url)
    is_socket = parts.scheme == "unix"
    with socket.socket(socket.AF_UNIX if is_socket else socket.AF_INET) as ours:
        ours.settimeout(1.0)
        try:
            ours.connect(unquote(parts.path) if is_socket else (parts.hostname, parts.port))
        except (BlockingIOError, TimeoutError):  # its queue of connections is full
            return True
        except OSError:
            return False
    return True


def _database(settings: Settings) -> Findings:
    file = settings.database_file
    if file is not None and not file.exists():
        yield Finding("ok", f"{file} does not exist yet: serve creates it")
        return
    database = Database(settings.database, patient=True)
    try:
        yield from _opened(database, file)
    except DependencyTrouble as error:
        if not is_damage(error):
            raise
        yield _damaged(file, str(error))
    finally:
        database.close()


def _opened(database: Database, file: Path | None) -> Findings:
    version, oldest = database.read(_schema)
    if version > len(STEPS):
        told = f"its schema is {version}, this program knows {len(STEPS)}"
        if too_old(oldest):
            yield Finding("bad", told, "run the newer program, or restore the backup from before the upgrade")
            return
        yield Finding("note", f"{told} and may go on", "run the newer program when you can")
    if version < len(STEPS):
        yield Finding("note", f"its schema is {version}, serve will bring it to {len(STEPS)}", "take a backup first")
    if database.kind == "sqlite" and database.size_bytes() <= CHECKED_BYTES and (wrong := database.read(_damage)):
        yield _damaged(file, wrong)
        return
    size = database.size_bytes()
    emails = database.read(_emails) if version else 0
    yield Finding("ok", f"{database.kind} answers; {emails:,} emails, {size / MIB:,.1f} MB")


def _damaged(file: Path | None, wrong: str) -> Finding:
    return Finding(
        "bad",
        f"{file} is damaged: {wrong}",
        "stop the system, keep a copy of the file, then `python3 run.py restore PATH` puts a backup in its place: "
        "docs/operations.md, Backup and restore",
    )


def _schema() -> tuple[int, int]:
    """Return the schema's version, and the lowest one that a program must know to use it."""
    try:
        facts = dict(execute("SELECT name, value FROM meta WHERE name IN ('schema_version', 'schema_oldest')"))
    except Exception as error:
        if "meta" in str(error):
            return 0, 0
        raise
    return int(facts.get("schema_version", 0)), int(facts.get("schema_oldest", 0))


def _damage() -> str:
    """Return what SQLite finds wrong with its pages; this reads all of them."""
    found = str(execute("PRAGMA quick_check(1)")[0][0])
    return "" if found == "ok" else found


def _emails() -> int:
    return int(execute("SELECT COALESCE(SUM(listed), 0) FROM source")[0][0])


def _fakemail(settings: Settings) -> Findings:
    found = [(each.name, each.url, each.token, "FAKEMAIL_SOURCES") for each in settings.fakemail_sources]
    if settings.fakemail_api_url is not None:
        ours = "FAKEMAIL_API_URL and FAKEMAIL_API_TOKEN"
        found.insert(0, (MAIN, settings.fakemail_api_url, settings.fakemail_api_token, ours))
    if not found:
        yield Finding("ok", "FAKEMAIL_API_URL is not set: our own simulator plays FakeMail")
    for name, url, token, where in found:
        yield _account(name, url, token, where, alone=len(found) == 1)
    if settings.webhook_url is None and not all(is_loopback_url(url) for _, url, *_ in found):
        yield Finding(
            "note", "WEBHOOK_URL is not set: FakeMail gets a loopback address, at which it cannot reach us",
            "set WEBHOOK_URL to where FakeMail reaches /webhook; until then polls find the mail",
        )  # fmt: skip
    for url in filter(None, (settings.webhook_url, *(each.webhook_url for each in settings.fakemail_sources))):
        if urlsplit(url).path in {"", "/"}:
            yield Finding(
                "note", f"FakeMail is told to notify {without_password(url)}, which has no path",
                "add /webhook to WEBHOOK_URL, unless a proxy in front of us does; until then polls find the mail",
            )  # fmt: skip


def _account(name: str, url: str, token: str | None, where: str, *, alone: bool) -> Finding:
    """Check one account. An account that is away must not hide the others. `where` names its settings."""
    who = without_password(url) if alone else f"source {name}, {without_password(url)},"
    try:
        return Finding("ok", f"{who} answers; its history is at {FakeMailClient(url, token).watch()}")
    except (EngineError, OSError) as error:
        text = str(error) if alone else f"source {name}: {error}"
        return Finding("bad", text or type(error).__name__, f"check {where}; mail waits at FakeMail in the meantime")


def is_loopback_url(url: str) -> bool:
    """Return whether a URL's host is this machine."""
    return is_loopback(urlsplit(url).hostname or "")


def _server(settings: Settings) -> Findings:
    server = Server(settings.base_url, settings.api_token, timeout=10)
    try:
        health = server.health()
    except OtherServerError:
        yield Finding("bad", f"{settings.base_url} is a different server", "set BASE_URL")
        return
    except CommandError:
        yield Finding("note", f"nothing answers at {settings.base_url}", "if it should run: `python3 run.py serve`")
        return
    for name, part in health["components"].items():
        if part["status"] != "healthy":
            why = part.get("reason", "the reason is told only to those with a token: set API_TOKEN")
            yield Finding("bad", f"{name} is {part['status']}: {why}", "docs/operations.md, Is it well")
    yield from _figures(server, health)


def _figures(server: Server, health: dict[str, Any]) -> Findings:
    audit, stats = server.get("/audit"), server.get("/stats")
    if audit["unaccounted"]:
        yield Finding("bad", f"{audit['unaccounted']} emails are unaccounted", "docs/runbook.md, EmailsUnaccounted")
    if stats["dead_letters"]:
        yield Finding(
            "note",
            f"{stats['dead_letters']:,} dead letters",
            "`python3 run.py dead-letters groups` shows them by cause",
        )
    if server.get("/actors")["paused"]:
        yield Finding("note", "it is paused", "POST /actors/resume, or the dashboard")
    yield Finding(
        "ok",
        f"{health['status']}; {audit['listed']:,} listed, {audit['results']:,} results, {stats['queue_depth']:,} waiting",
    )


def _line(about: str, each: Finding) -> str:
    mark, colour = MARKS[each.level]
    advice = f"\n{'':<17}→ {each.advice}" if each.advice else ""
    return f"{paint(mark, colour)}  {about:<10} {each.text}{advice}"
