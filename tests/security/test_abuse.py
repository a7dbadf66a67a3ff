"""Metrics and logs under abuse: names that strangers choose make no series, and no line of text can pass for another."""

import json
import re

import pytest
import requests

pytestmark = pytest.mark.slow

HOSTILE = "<script>alert(1)</script>\r\n2026-01-01 INFO forged line \x1b[31mred \u2028 \u202egnp.exe %s {{7*7}} =cmd()|' /C calc'!A0"


def series(url: str) -> set[str]:
    """The names and labels of all samples."""
    text = requests.get(f"{url}/metrics", timeout=10).text
    return {line.rpartition(" ")[0] for line in text.splitlines() if line and not line.startswith("#")}


def test_strangers_choose_no_labels_and_forge_no_lines(start):
    system = start(LOG_LEVEL="DEBUG", LOG_FORMAT="json")
    emails = [
        {"id": f"{n}-{HOSTILE[:20]}", "subject": HOSTILE, "body": HOSTILE, "sender": f"{n}@{HOSTILE}"}
        for n in range(50)
    ]
    system.send(*emails[:25])
    system.settle(25)
    before = series(system.url)
    system.send(*emails[25:])
    system.settle(50)
    with requests.Session() as session:
        for number in range(100):
            session.get(f"{system.url}/{number}/%0a%0dforged%1b[31m", timeout=10)
            session.post(f"{system.url}/webhook/{number}%0aforged", b"{}", timeout=10)
            session.get(f"{system.url}/stats", headers={"X-Request-Id": f"a{number}\x1b".encode()[:5]}, timeout=10)
        for _ in range(50):
            assert session.get(f"{system.url}/metrics", timeout=10).status_code == 200
    grown = {re.sub(r'le="[^"]*"', "", name) for name in series(system.url) - before}
    assert not [name for name in grown if "forged" in name or "script" in name]
    assert len(grown) < 30
    assert system.stop() == 0
    lines = system.log().splitlines()
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f\u2028\u202e]", system.log())
    assert "gnp.exe" not in system.log()  # subjects and bodies are not logged
