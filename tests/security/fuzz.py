"""Fuzzers for every parser that strangers reach: heads, bodies, frames, JSON, signatures, queries, cookies, MIME.

`python -m tests.security.fuzz RUNS [TARGET...]` makes a long run, guided by coverage if atheris is installed
(`pip install atheris`), else by mutation alone; test_fuzz.py makes a bounded one in CI. A target takes bytes and may
raise only what it promises.
"""

import importlib.util
import io
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

TOO_LONG_S = 1.0
POOL = 200
NOW = 1_700_000_000.0
SECRETS = ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "old-secret")


class Target(NamedTuple):
    """`make` returns the function to fuzz; `words` are what mutations insert."""

    make: Callable[[], Callable[[bytes], object]]
    seeds: Sequence[bytes]
    words: Sequence[bytes]


def _tolerant(call: Callable[[bytes], object], *expected: type[BaseException]) -> Callable[[bytes], object]:
    def run(data: bytes) -> object:
        try:
            return call(data)
        except expected:
            return None

    return run


def http_head() -> Callable[[bytes], object]:
    from web.framing import read_head
    from web.limits import Limits
    from web.server_problems import Refusal

    return _tolerant(lambda data: read_head(io.BytesIO(data), Limits()), Refusal)


def http_body() -> Callable[[bytes], object]:
    from web.server_body import RequestBody
    from web.server_problems import Refusal

    return _tolerant(lambda data: RequestBody(io.BytesIO(data), None).read(65536), Refusal)


def websocket_frame() -> Callable[[bytes], object]:
    from web.websocket_frames import CLOSE, FrameError, decode_utf8, parse_close, read_frame

    def frames(data: bytes) -> None:
        stream = io.BytesIO(data)
        while True:
            frame = read_frame(stream, 4096)
            if frame.opcode == CLOSE:
                parse_close(frame.payload)
            else:
                decode_utf8(frame.payload)

    return _tolerant(frames, FrameError, EOFError)


def json_body() -> Callable[[bytes], object]:
    from web.problems import Problem
    from web.schemas import ClassifyRequest
    from web.validation import read_json, read_model
    from web.webhook import read_history_id

    def read(data: bytes) -> None:
        for reader in (read_json, read_history_id, lambda raw: read_model(raw, ClassifyRequest)):
            _tolerant(reader, Problem)(data)

    return read


def signature() -> Callable[[bytes], object]:
    from fakemail.signature import SignatureError, verify

    def check(data: bytes) -> None:
        parts = [part.decode("latin-1") for part in (data + b"\n\n\n").split(b"\n", 3)]
        headers = dict(zip(("webhook-id", "webhook-timestamp", "webhook-signature"), parts, strict=False))
        verify(SECRETS, headers, parts[3].encode("latin-1"), NOW)
        raise AssertionError("a forgery was accepted")

    return _tolerant(check, SignatureError)


def query_string() -> Callable[[bytes], object]:
    from web.problems import Problem
    from web.schemas import PageQuery
    from web.validation import read_cursor, read_query, read_time

    def read(data: bytes) -> None:
        query = read_query(data.decode("latin-1"), PageQuery)
        read_cursor("emails", query.cursor)
        read_time("since", query.since)

    return _tolerant(read, Problem)


def search_words() -> Callable[[bytes], object]:
    from storage.query import parse

    return lambda data: parse(data.decode("utf-8", "replace"))


def search() -> Callable[[bytes], object]:
    """Parse search words, and run the resulting statement on a real database."""
    from storage.books import Books
    from storage.database import Database
    from storage.reading import EmailFilter, Reader

    folder = tempfile.mkdtemp(prefix="ep-fuzz-")
    database = Database(f"sqlite:///{folder}/emails.db", readers=1)
    database.migrate()
    Books(database).open_source("main", "x")
    reader = Reader(database)
    return lambda data: reader.emails(EmailFilter(q=data.decode("utf-8", "replace")), limit=5)


def cookie() -> Callable[[bytes], object]:
    from web.auth import Gate
    from web.services import Access

    gate = Gate(Access(api_token="the-token"))

    def read(data: bytes) -> None:
        assert gate.sessions.read({"HTTP_COOKIE": data.decode("latin-1")}) is None

    return read


def forwarded() -> Callable[[bytes], object]:
    from web.clients import client_of

    return lambda data: client_of(
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": data.decode("latin-1")}, ("127.0.0.1",)
    )


def egress() -> Callable[[bytes], object]:
    from fakemail.egress import EgressRefused, _origin, _split

    return _tolerant(lambda data: _origin(_split(data.decode("utf-8", "replace"))), EgressRefused)


def websocket_command() -> Callable[[bytes], object]:
    import msgspec

    from web.live_client import Command

    return _tolerant(
        lambda data: msgspec.json.decode(data.decode("utf-8", "replace"), type=Command),
        msgspec.MsgspecError,
        RecursionError,
        UnicodeError,
    )


def fakemail_answer() -> Callable[[bytes], object]:
    from engine.errors import EngineError
    from fakemail.answers import Garbled, read_email, read_history_id
    from fakemail.listing import NoList, read_listing

    def read(data: bytes) -> None:
        for reader in (read_listing, read_history_id, lambda raw: read_email(raw, "id", 1000)):
            _tolerant(reader, Garbled, NoList, EngineError)(data)

    return read


def mime() -> Callable[[bytes], object]:
    from classification.mime import parse_message

    return lambda data: parse_message(data, 65536)


MAIL = (
    b"From: =?utf-8?q?J=C3=BCrg?= <j@example.org>\r\nTo: a@b\r\nSubject: =?utf-8?b?SGk=?=\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/html; charset=utf-8\r\n'
    b"Content-Transfer-Encoding: quoted-printable\r\n\r\n<p>Hi=20there</p>\r\n--x\r\nContent-Type: text/calendar; charset=x\r\n"
    b"Content-Transfer-Encoding: base64\r\n\r\nQkVHSU46VkNBTEVOREFS\r\n--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n--x--\r\n"
)
HEAD = b"POST /webhook?a=b HTTP/1.1\r\nHost: x:80\r\nContent-Length: 5\r\nCookie: a=b; c=d\r\nX-Y: z\r\n\r\nhello"
QUERY = b'from:bob "two words" -not subject:x class:meeting confidence:<0.6 before:2026-01-01 after:2025-12-31T00:00:00Z \xc3\xbc'
JSON = b'{"history_id": 42, "subject": "a", "body": "b\\ud83d\\ude00", "headers": {"x": ["y", null, true, 1.5e3]}}'
SIGNED = b"msg_1\n1700000000\nv1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1a,xx v1,yy\n" + b'{"history_id": 1}'
NUMBERS = (b"0", b"-1", b"1e999", b"9" * 40, b"NaN", b"\xd9\xa3", b"18446744073709551616")
ODD = (b"\x00", b"\xff", b"\xed\xa0\x80", b"\xe2\x80\xae", b"\r\n", b"\n", b" ", b"%00", b'"', b"\\", *NUMBERS)

TARGETS: dict[str, Target] = {
    "http_head": Target(http_head, [HEAD], [b"Transfer-Encoding: chunked\r\n", b"Content-Length: ", b"Host:", b":", b" HTTP/1.1", *ODD]),
    "http_body": Target(http_body, [b"5\r\nhello\r\n0\r\nA: b\r\n\r\n"], [b"0\r\n\r\n", b";a=b", b"ffffffffffff", *ODD]),
    "websocket_frame": Target(
        websocket_frame,
        [b"\x81\x85\1\2\3\4\x69\x67\x6f\x68\x6e\x88\x82\0\0\0\0\x03\xe8", b"\x01\x80\0\0\0\0\x80\x80\0\0\0\0"],
        [b"\xff\xff\xff\xff\xff\xff\xff\xff", b"\x88", b"\x89", b"\x7e", b"\xfe", *ODD],
    ),
    "json_body": Target(json_body, [JSON, b'{"history_id": 1}', b"[" * 50], [b"[" * 100, b'{"a":' * 50, b'"history_id":', b"NaN", b"Infinity", *ODD]),
    "signature": Target(signature, [SIGNED], [b"v1,", b"v1a,", b"whsec_", b"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", b"=", *ODD]),
    "query_string": Target(query_string, [b"q=a&limit=5&cursor=ZW1haWxzOjU&since=2026-01-01&min_confidence=0.5"], [b"&", b"=", b"%", b"limit=", *ODD]),
    "search_words": Target(search_words, [QUERY], [b"from:", b"-", b'"', b"confidence:", b"before:", b"NEAR(", b"*", b"^", b"AND", *ODD]),
    "search": Target(search, [QUERY, b"a AND b", b"col:x*"], [b"from:", b"-", b'"', b"confidence:", b"before:", b"NEAR(", b"*", b"'", b"--", *ODD]),
    "cookie": Target(cookie, [b"emailproc_session=full.1893456000.1700000000000.aabb.c2ln; x=y"], [b";", b"=", b'"', b"__Host-emailproc_session", *ODD]),
    "forwarded": Target(forwarded, [b"1.2.3.4, [2001:db8::1]:80, 127.0.0.1"], [b",", b"::", b"[", b"]", b"%eth0", *ODD]),
    "egress": Target(egress, [b"https://user@[::ffff:10.0.0.1]:443/x?y#z"], [b"//", b"@", b"[", b"]", b":", b"0x7f.1", b"http://", *ODD]),
    "websocket_command": Target(websocket_command, [b'{"command": "subscribe", "topic": "email:all", "since": "1-0"}'], [b"[" * 100, *ODD]),
    "fakemail_answer": Target(
        fakemail_answer, [b'["a", "b"]', b'{"email_ids": ["a"]}', b'{"history_id": 5}', JSON], [b"[" * 100, b'"id":', b'"headers":', *ODD]
    ),
    "mime": Target(
        mime, [MAIL], [b"--x\r\n", b"Content-Type: ", b"multipart/mixed", b"=?utf-8?q?", b"charset=", b"message/rfc822", b"BEGIN:VEVENT", *ODD]
    ),
}  # fmt: skip


def mutate(data: bytes, words: Sequence[bytes], rng: random.Random, seeds: Sequence[bytes]) -> bytes:
    """Make a few random changes: bits, cuts, repeats, inserted words, another seed spliced on."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at, kind = rng.randint(0, len(out)), rng.randint(0, 6)
        end = min(len(out), at + rng.randint(1, 16))
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randint(0, 7)
        elif kind == 1:
            del out[at:end]
        elif kind == 2:
            out[at:at] = out[at:end] * rng.choice((1, 2, 50))
        elif kind == 3:
            out[at:at] = rng.choice(words)
        elif kind == 4:
            out[at:at] = rng.randbytes(rng.randint(1, 8))
        elif kind == 5:
            out[at:] = rng.choice(seeds)[rng.randint(0, 20) :]
        else:
            del out[at:]
    return bytes(out[:20_000])


def run(name: str, runs: int, seed: int = 1) -> int:
    """Run mutations of the seeds and of their mutations; return how many. Raises what a parser must not raise."""
    target = TARGETS[name]
    call, rng, pool = target.make(), random.Random(f"{name}{seed}"), list(target.seeds)
    for data in target.seeds:
        call(data)
    for count in range(runs):
        data = mutate(rng.choice(pool), target.words, rng, target.seeds)
        began = time.perf_counter()
        try:
            call(data)
        except BaseException as error:
            raise AssertionError(f"{name}: {type(error).__name__}: {error} on {data!r}") from error
        assert time.perf_counter() - began < TOO_LONG_S, f"{name}: too long on {data[:200]!r}"
        if len(pool) < POOL:
            pool.append(data)
        elif count % 50 == 0:
            pool[rng.randrange(len(target.seeds), POOL)] = data
    return runs + len(target.seeds)


def guided(name: str, runs: int) -> None:
    """Run atheris, which counts the executions and ends the process, so it needs its own."""
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["web", "fakemail", "classification", "storage", "email", "json"]):
        call = TARGETS[name].make()
    with tempfile.TemporaryDirectory(prefix="ep-corpus-") as corpus:
        for number, data in enumerate(TARGETS[name].seeds):
            Path(corpus, str(number)).write_bytes(data)
        atheris.Setup([sys.argv[0], f"-atheris_runs={runs}", "-max_len=4096", "-timeout=5", corpus], call)
        atheris.Fuzz()


def main(argv: Sequence[str]) -> int:
    """Run the targets one after the other; return 1 if something was found."""
    if argv[:1] == ["--guided"]:
        guided(argv[1], int(argv[2]))
        return 0
    runs, names = int(argv[0]), list(argv[1:]) or list(TARGETS)
    found = 0
    for name in names:
        began = time.monotonic()
        if importlib.util.find_spec("atheris") is not None:
            done = subprocess.run(
                [sys.executable, "-m", __spec__.name, "--guided", name, str(runs)],
                capture_output=True,
                text=True,
                check=False,
            )
            found_it = any(
                sign in done.stderr for sign in ("Uncaught Python exception", "ERROR: libFuzzer", "Traceback")
            )
            # The exit code does not count: it is the interpreter's, which may fail at its end.
            ok = f"Done {runs} " in done.stderr and not found_it
            how = "guided by coverage"
            if not ok:
                sys.stderr.write(done.stderr[-3000:])
        else:
            run(name, runs, seed=int.from_bytes(os.urandom(4), "big"))
            ok, how = True, "by mutation"
        found += not ok
        took, what = time.monotonic() - began, "0 uncaught" if ok else "FOUND SOMETHING"
        sys.stdout.write(f"{name:<20} {runs:>10,} executions {how} in {took:7.1f} s: {what}\n")
        sys.stdout.flush()
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
