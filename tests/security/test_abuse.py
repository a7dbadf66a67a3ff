"""Metrics and logs under abuse: user-chosen names create no series, and no text can forge a log line."""

import json
import re

import pytest
import requests
from prometheus_client import Counter, generate_latest

from engine.events import Bus
from engine.metrics import Metrics, Row

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>\r\n2026-01-01 INFO forged line \x1b[31mred \u2028 \u202egnp.exe %s {{7*7}} =cmd()|' /C calc'!A0"
NAMES = 150
SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? \S+")
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)",?')
WORD = "[a-z][a-z_]{0,30}"
CLOSED = {
    "process": r"front|worker-\d+",
    "le": r"[0-9.e+-]+|\+Inf",
    "mailbox": r"(look|fetch)(\.main)?|classify|dead|canary\.[A-Za-z0-9.-]+",
    "source": "main",
    "step": "handle|settle|postpone",
    "outcome": WORD,
    "state": WORD,
    "kind": WORD,
    "reason": WORD,
    "dependency": WORD,
}
"""Every label that a metric may have, and its allowed values: words from the code, never from a request or an email."""


def scrape(url: str) -> set[str]:
    """Return the names and labels of all samples."""
    return samples(requests.get(f"{url}/metrics", timeout=30).text)


def samples(text: str) -> set[str]:
    return {line.rpartition(" ")[0] for line in text.split("\n") if line and not line.startswith("#")}


def strange(series: set[str]) -> list[str]:
    """Return the series with a label outside every closed set."""
    return [each for each in series if not is_closed(each)]


def is_closed(series: str) -> bool:
    match = SAMPLE.fullmatch(f"{series} 1")
    labels = match[2] or "" if match else None
    if labels is None or LABEL.sub("", labels):
        return False
    return all(re.fullmatch(CLOSED.get(name, "(?!)"), value) for name, value in LABEL.findall(labels))


@pytest.mark.parametrize("label", ["sender", "path", "kind", "mailbox", "source"])
@pytest.mark.parametrize("word", ["1@example.org", HOSTILE, "/results/1", "mail-1"])
def test_a_metric_that_told_of_strangers_would_be_found(label, word):
    """Check that the next test's detector can fail: it finds a metric with such a label, whatever the label's name."""
    bus = Bus()
    metrics = Metrics(bus, [Row("emailproc_leak_total", Counter, "A leak.", "leak", labels=(label,))])
    assert strange(samples(generate_latest(metrics.registry).decode())) == []
    bus.emit("leak", **{label: word})
    assert len(strange(samples(generate_latest(metrics.registry).decode()))) == 1


def abuse(system, first: int, last: int) -> None:
    """Send emails, paths, sources, ids and tokens under that many different names."""
    system.send(
        *(
            {"id": f"{n}-{HOSTILE[:20]}", "subject": f"{n} {HOSTILE}", "body": f"{HOSTILE} {n}", "sender": f"{n}@{HOSTILE}",
             "recipient": f"x{n}", "headers": {f"X-Name-{n}": HOSTILE}}
            for n in range(first, last)
        )
    )  # fmt: skip
    system.settle(last)
    with requests.Session() as session:
        for number in range(first, last):
            session.get(f"{system.url}/{number}/%0a%0dforged%1b[31m", timeout=30)
            session.get(f"{system.url}/results/{number}-forged?source=s{number}", timeout=30)
            session.post(f"{system.url}/webhook/{number}%0aforged", b"{}", timeout=30)
            session.post(f"{system.url}/webhook", b'{"history_id":1}', headers={"webhook-id": f"w{number}"}, timeout=30)
            headers: dict[str, str | bytes] = {
                "X-Request-Id": f"a{number}\x1b".encode()[:5],
                "Authorization": f"Bearer {number}",
            }
            session.request(f"M{number}", f"{system.url}/stats", headers=headers, timeout=30)


def test_strangers_choose_no_labels_and_forge_no_lines(start):
    system = start(LOG_LEVEL="DEBUG", LOG_FORMAT="json")
    abuse(system, 0, 10)
    before = scrape(system.url)
    abuse(system, 10, NAMES)
    for _ in range(50):
        after = scrape(system.url)
    assert strange(after) == []
    assert len(before) > 100
    assert len({re.sub(r'le="[^"]*"', "", each) for each in after - before}) < NAMES // 5
    assert system.stop() == 0
    lines = system.log().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u2028\u202e]", system.log())
    assert "gnp.exe" not in system.log()  # subjects and bodies are not logged
