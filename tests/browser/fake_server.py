"""A stand-in for the server with made-up mail, for pages in a state that is hard to bring about: many nodes, failing actors.

Run alone (`python -m tests.browser.fake_server PORT`) or by scripts/screenshots.py --fake. It answers in the shapes of
web/schemas.py and plays the WebSocket; nothing is stored.
"""

from gevent import monkey

monkey.patch_all()

import json
import mimetypes
import random
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import gevent
from gevent.pywsgi import WSGIServer
from geventwebsocket.handler import WebSocketHandler

from actors.events import timestamp
from fakemail.template_emails import TEMPLATE_EMAILS

STATIC = Path(__file__).parents[2] / "web" / "dashboard"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
CLASSES = ("meeting", "promotion", "intro", "unknown")
dice = random.Random(7)


class World:
    """All that the pages ask for, growing while it runs."""

    def __init__(self, emails: int, rate: float) -> None:
        self.total = emails
        self.rate = rate
        self.seq = 0
        self.started = time.time() - 5 * 3600
        self.sockets: set[Any] = set()
        self.counts = {"meeting": 0, "promotion": 0, "intro": 0, "unknown": 0}
        self.paused, self.workers, self.faults = False, 3, {}
        for number in range(emails):
            self.counts[self.label(number)] += 1

    def label(self, number: int) -> str:
        return CLASSES[hash((number * 7919) % 1000) % 100 // 26] if number % 9 else TEMPLATE_EMAILS[number % 12]["expected"]

    def result(self, number: int) -> dict[str, Any]:
        template = TEMPLATE_EMAILS[number % len(TEMPLATE_EMAILS)]
        sure = 0.55 + (number * 37 % 45) / 100
        return {
            "email_id": f"em-{number:06d}",
            "source": "main",
            "classification": template["expected"],
            "confidence": sure,
            "decided_by": "person" if number % 17 == 0 else "model",
            "model_version": "2026-03-01a",
            "below_threshold": False,
            "runner_up": "unknown",
            "processed_at": timestamp(time.time() - (self.total - number) / max(self.rate, 0.2)),
            "processor_id": f"n1/w{number % 2}/classifier-{number % 3}",
            "processing_time_ms": 0.3 + number % 7 / 10,
            "queued_ms": 12.5 + number % 40,
            "total_ms": 88.2 + number % 90,
            "truncated": False,
        }

    def email(self, number: int) -> dict[str, Any]:
        template = TEMPLATE_EMAILS[number % len(TEMPLATE_EMAILS)]
        state = "processed" if self.total - number > 3 else "queued"
        state = "retrying" if number % 23 == 0 else "dead" if number % 41 == 0 else state
        result = self.result(number)
        return {
            "email_id": result["email_id"],
            "source": "main",
            "state": state,
            "listed_at": result["processed_at"],
            "attempts": 2 if state in ("retrying", "dead") else 0,
            "next_attempt_at": timestamp(time.time() + 20) if state == "retrying" else None,
            "last_error": "FakeMail answered 500" if state in ("retrying", "dead") else None,
            "subject": None if state == "queued" else template["subject"],
            "sender": None if state == "queued" else template["sender"],
            "result": result if state == "processed" else None,
        }

    def stats(self) -> dict[str, Any]:
        return {
            "total_emails_processed": self.total,
            "emails_by_classification": self.counts,
            "avg_processing_time_ms": 0.6,
            "min_processing_time_ms": 0.2,
            "max_processing_time_ms": 41.0,
            "p50_processing_time_ms": 0.5,
            "p95_processing_time_ms": 1.4 + dice.random() / 3,
            "p99_processing_time_ms": 3.1,
            "success_rate": 99.82,
            "error_count": 21,
            "retry_count": 34,
            "dead_letters": 21,
            "queue_depth": (depth := dice.randint(20, 60)),
            "queue_depth_by_priority": {"high": 2, "normal": depth - 10, "low": 8},
            "oldest_queued_age_seconds": 3.4,
            "emails_per_minute": self.rate * 60 * (0.9 + dice.random() / 5),
            "last_history_id": self.total,
            "last_history_ids": {"main": self.total},
            "last_processed_at": timestamp(time.time()),
            "busy_workers": dice.randint(1, 6),
            "available_workers": 3,
            "nodes": 1,
            "uptime_seconds": time.time() - self.started,
        }

    def series(self, step: str) -> dict[str, Any]:
        unit, number = (60, 60) if step == "minute" else (3600, 24)
        now = time.time() // unit * unit
        buckets = []
        for back in range(number - 1, -1, -1):
            at = now - back * unit
            look = random.Random(at)
            wave = 26 + 20 * (1 + __import__("math").sin(at / unit / 6)) * look.uniform(0.6, 1.1)
            counts = {name: int(wave * share * look.uniform(0.7, 1.3)) for name, share in zip(CLASSES, (0.3, 0.35, 0.15, 0.2), strict=True)}
            buckets.append({"at": timestamp(at), "total": sum(counts.values()), "counts": counts})
        return {"step": step, "from": buckets[0]["at"], "to": timestamp(now + unit), "buckets": buckets}

    def play(self) -> None:
        """New results for ever, and stats once a second."""
        last = 0.0
        while True:
            gevent.sleep(dice.expovariate(self.rate) if self.rate else 1.0)
            if self.rate and not self.paused:
                self.total += 1
                self.seq += 1
                result = self.result(self.total)
                result |= {"processed_at": timestamp(time.time())}
                template = TEMPLATE_EMAILS[self.total % 12]
                self.counts[result["classification"]] += 1
                data = {**result, "subject": template["subject"], "sender": template["sender"]}
                self.tell("process", data, str(self.seq))
            if time.time() - last > 1:
                last = time.time()
                self.tell("stats", self.stats())

    def tell(self, event: str, data: Any, seq: str | None = None) -> None:
        message = {"type": "email_event", "event": event, "data": data, "timestamp": timestamp(time.time())}
        text = json.dumps(message if seq is None else message | {"seq": seq})
        for socket in list(self.sockets):
            try:
                socket.send(text)
            except Exception:
                self.sockets.discard(socket)

    # -- the routes

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> Any:
        parts = [unquote(part) for part in path.strip("/").split("/")]
        match (method, *parts):
            case ("GET", "stats"):
                return self.stats()
            case ("GET", "stats", "timeseries"):
                return self.series(query.get("step", "minute"))
            case ("GET", "results"):
                return {"items": [self.listed(n) for n in range(self.total, self.total - 14, -1)], "next_cursor": None}
            case ("GET", "results", email):
                return self.explained(int(email[3:]))
            case ("GET", "emails"):
                return self.page(query)
            case ("GET", "emails", email):
                return self.one(int(email[3:]))
            case ("GET", "emails", email, "timeline"):
                return self.timeline(int(email[3:]))
            case ("POST" | "DELETE", "emails", email, "label"):
                return self.result(int(email[3:])) | {"decided_by": "person", **(body or {})}
            case ("GET", "actors"):
                return self.actors()
            case ("POST", "actors", "pause" | "resume" as verb):
                self.paused = verb == "pause"
                return {"paused": self.paused, "workers": self.workers}
            case ("POST", "actors", "resize"):
                self.workers = body["workers"]
                return {"paused": self.paused, "workers": self.workers}
            case ("GET", "audit"):
                return {"listed": self.total + 71, "results": self.total, "queued": 38, "retrying": 8, "dead": 21, "discarded": 3, "erased": 1, "unaccounted": 0, "as_of": timestamp(time.time())}
            case ("GET", "health"):
                return self.health()
            case ("GET", "dead-letters", "groups"):
                return {"items": [
                    {"reason": "gone", "error": "FakeMail answered 404 for 60 s", "count": 12, "first_dead_at": timestamp(time.time() - 9000), "last_dead_at": timestamp(time.time() - 300)},
                    {"reason": "fetch_failed", "error": "FakeMail answered 500: Internal Server Error", "count": 7, "first_dead_at": timestamp(time.time() - 9000), "last_dead_at": timestamp(time.time() - 4000)},
                    {"reason": "invalid_email", "error": "subject is not text", "count": 2, "first_dead_at": timestamp(time.time() - 9000), "last_dead_at": timestamp(time.time() - 7000)},
                ]}
            case ("POST", "dead-letters", "replay"):
                return {"matched": 12, "replayed": 0 if body.get("dry_run") else 12, "dry_run": body.get("dry_run", False)}
            case ("GET", "dead-letters"):
                return {"items": [self.letter(n) for n in range(21, 0, -1)], "next_cursor": None}
            case ("GET", "dead-letters", number):
                return {**self.letter(int(number)), "state": "dead", "subject": "Quarterly figures", "sender": "ada@example.com", "body": "The figures are attached.",
                        "tries": [{"attempt": n, "at": timestamp(time.time() - 500 + 60 * n), "reason": "fetch_failed", "error": "FakeMail answered 500", "processor_id": "n1/front/fetcher"} for n in (1, 2, 3, 4)]}
            case ("GET", "simulator", "status"):
                return {"history_id": self.total, "webhook_urls": ["http://127.0.0.1:8005/webhook"], "email_count": self.total, "status": "ok"}
            case ("GET", "simulator", "template-emails"):
                return {"emails": TEMPLATE_EMAILS}
            case ("GET", "simulator", "faults"):
                return self.faults
            case ("PUT", "simulator", "faults"):
                self.faults = body
                return body
            case ("DELETE", "simulator", "faults"):
                self.faults = {}
                return {}
        return None

    def listed(self, number: int) -> dict[str, Any]:
        template = TEMPLATE_EMAILS[number % 12]
        return {**self.result(number), "subject": template["subject"], "sender": template["sender"]}

    def page(self, query: dict[str, str]) -> dict[str, Any]:
        start = int(query.get("cursor", self.total))
        items, number = [], start
        while number > 0 and len(items) < int(query.get("limit", 20)):
            email = self.email(number)
            if query.get("classification") in (None, (email["result"] or {}).get("classification")) and query.get("state") in (None, email["state"]):
                items.append(email)
            number -= 1
        return {"items": items, "next_cursor": str(number) if number > 0 else None, "index_lag": 0}

    def one(self, number: int) -> dict[str, Any]:
        template = TEMPLATE_EMAILS[number % 12]
        return {**self.email(number), "body": template["body"], "recipient": template["recipient"], "timestamp": timestamp(time.time() - 900), "headers": {}, "truncated": False}

    def explained(self, number: int) -> dict[str, Any]:
        body, result = TEMPLATE_EMAILS[number % 12]["body"], self.result(number)
        words = body.split()
        evidence = [{"kind": "signal", "name": "asking for a time", "label": "meeting", "weight": 2.4, "field": "body", "start": None, "end": None}]
        for at, word in enumerate(words[2:9:2]):
            start = body.index(word)
            evidence.append({"kind": "phrase", "name": word.lower(), "label": CLASSES[at % 4], "weight": 2.0 - at / 3, "field": "body", "start": start, "end": start + len(word)})
        rest = (1 - result["confidence"]) / 3
        odds = {name: result["confidence"] if name == result["classification"] else rest for name in CLASSES}
        flip = {"without": [{"kind": "signal", "name": "asking for a time", "field": "body"}], "label": "unknown", "confidence": 0.5}
        return {**result, "probabilities": odds, "explanation": {"evidence": evidence, "margin": 0.61, "distance_to_threshold": 0.3, "flip": flip}}

    def timeline(self, number: int) -> dict[str, Any]:
        at = time.time() - 60
        names = (("notified", 0, 4), ("listed", 4, 22), ("queued", 26, 9), ("fetched", 35, 31), ("queued", 66, 15), ("classified", 81, 1), ("stored", 83, 6), ("pushed", 90, None))
        stages = [{"name": name, "at": timestamp(at + start / 1000), "duration_ms": length, "detail": None} for name, start, length in names]
        return {"email_id": f"em-{number:06d}", "source": "main", "state": "processed", "stages": stages}

    def letter(self, number: int) -> dict[str, Any]:
        reason = ("gone", "gone", "fetch_failed", "gone", "invalid_email", "fetch_failed")[number % 6]
        return {"id": number, "email_id": f"em-{number * 41:06d}", "source": "main", "reason": reason, "error": "FakeMail answered 404 for 60 s" if reason == "gone" else "FakeMail answered 500: Internal Server Error", "attempts": 4, "first_seen": timestamp(time.time() - 7000), "dead_at": timestamp(time.time() - 300 * (22 - number))}

    def actors(self) -> dict[str, Any]:
        def actor(name: str, parent: str, **more: Any) -> dict[str, Any]:
            return {"name": name, "kind": name.split("-")[0], "state": "paused" if self.paused and more.get("mailbox") else "running", "parent": parent, **more}

        front = [actor("supervisor", ""), actor("lister", "supervisor", mailbox="look.main", handled=812), actor("feeder", "supervisor", handled=self.total), actor("fetcher-0", "supervisor", mailbox="fetch.main", handled=self.total, busy_since=time.time()),
                 actor("fetcher-1", "supervisor", mailbox="fetch.main", handled=self.total // 2) | {"state": "waiting", "reason": "fakemail: 429, again in 2 s"}, actor("undertaker", "supervisor", mailbox="dead", handled=21, restarts=2, last_error="ConnectionError: the database did not answer"), actor("broadcaster", "supervisor", handled=self.total), actor("janitor", "supervisor", handled=2200)]
        pool = [actor("supervisor", ""), *(actor(f"classifier-{n}", "supervisor", mailbox="classify", handled=self.total // 6 + n * 17, **({"busy_since": time.time()} if n < 2 else {})) for n in range(self.workers))]
        processes = [{"process": name, "role": role, "pid": 4000 + n, "started_at": timestamp(self.started), "workers": self.workers if role == "worker" else None, "busy": 2 if role == "worker" else None, "actors": front if role == "front" else pool} for n, (name, role) in enumerate((("front", "front"), ("worker-1", "worker"), ("worker-2", "worker")))]
        lane = {"messages": 12, "bytes": 18_300, "in_hand": 4, "oldest_age_seconds": 0.4}
        none = {"messages": 0, "bytes": 0, "in_hand": 0, "oldest_age_seconds": 0}
        boxes = {"look.main": {"normal": none}, "fetch.main": {"high": none, "normal": lane, "low": none}, "classify": {"high": none, "normal": lane, "low": lane}, "dead": {"normal": none}}
        return {"paused": self.paused, "workers": self.workers, "nodes": [{"node": "mailhost-1", "processes": processes}], "mailboxes": boxes}

    def health(self) -> dict[str, Any]:
        bad = self.faults.get("error_rate", 0) >= 1
        return {"status": "degraded" if bad else "healthy", "version": "1.0", "metrics": {}, "components": {
            "redis": {"status": "healthy", "latency_ms": 0.31, "reason": None},
            "database": {"status": "healthy", "latency_ms": 0.74, "reason": None},
            "fakemail": {"status": "degraded", "latency_ms": None, "reason": "answers 500; next try in 2 s"} if bad else {"status": "healthy", "latency_ms": 3.2, "reason": None},
            "actors": {"status": "healthy", "latency_ms": None, "reason": None}}}


def application(world: World) -> Any:
    """The WSGI application over a world."""

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        socket = environ.get("wsgi.websocket")
        if socket is not None:
            serve(world, socket)
            return []
        path = environ["PATH_INFO"]
        if path == "/" or path.startswith("/static/"):
            file = STATIC / ("index.html" if path == "/" else path.removeprefix("/static/"))
            if file.is_file():
                kind = mimetypes.guess_type(file.name)[0] or "text/plain"
                start("200 OK", [("Content-Type", kind), ("Content-Security-Policy", CSP)])
                return [file.read_bytes()]
        body = environ["wsgi.input"].read()
        query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
        answer = world.answer(environ["REQUEST_METHOD"], path, query, json.loads(body) if body else None)
        start("404 Not Found" if answer is None else "200 OK", [("Content-Type", "application/json")])
        return [json.dumps(answer or {"title": "Not Found", "detail": f"there is no {path} here"}).encode()]

    return app


def serve(world: World, socket: Any) -> None:
    """One client."""
    world.sockets.add(socket)
    while (text := socket.receive()) is not None:
        command = json.loads(text)
        if command["command"] == "ping":
            socket.send(json.dumps({"type": "pong", "timestamp": timestamp(time.time())}))
        elif command["command"] == "subscribe":
            socket.send(json.dumps({"type": "subscription", "status": "success", "topic": command["topic"]}))
    world.sockets.discard(socket)


def main(port: int, emails: int = 12_480, rate: float = 3.0) -> None:
    """Serve for ever."""
    world = World(emails, rate)
    gevent.spawn(world.play)
    WSGIServer(("127.0.0.1", port), application(world), handler_class=WebSocketHandler, log=None).serve_forever()


if __name__ == "__main__":
    main(int(sys.argv[1]), *(kind(value) for kind, value in zip((int, float), sys.argv[2:], strict=False)))
