"""Versions: SECURITY.md's minimums, and lock files with exactly the pins of requirements*.txt, each with hashes."""

import re
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.flow.system import ROOT

PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[a-z,]+\])?==([^\s;\\]+)", re.MULTILINE)


def pins(path: Path) -> dict[str, str]:
    return {name.lower().replace("_", "-"): number for name, number in PIN.findall(path.read_text())}


def key(number: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", number))


def floors() -> list[tuple[str, str]]:
    table = (ROOT / "SECURITY.md").read_text().partition("## Versions below")[2].partition("\n## ")[0]
    return re.findall(r"^\| ([a-z0-9-]+) \| ([0-9.]+) \|", table, re.MULTILINE)


@pytest.mark.parametrize(("name", "least"), floors())
def test_what_is_pinned_and_what_is_installed_is_above_its_floor(name, least):
    assert key(pins(ROOT / "requirements.txt")[name]) >= key(least)
    assert key(version(name)) >= key(least)


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_the_lock_file_holds_the_pins_make_lock_writes_it(name):
    wanted = pins(ROOT / "requirements.txt") | (pins(ROOT / "requirements-dev.txt") if "dev" in name else {})
    locked = pins(ROOT / f"{name}.lock")
    assert {each: number for each, number in wanted.items() if locked.get(each) != number} == {}, "run `make lock`"


@pytest.mark.parametrize("name", ["requirements", "requirements-dev"])
def test_everything_in_a_lock_file_has_hashes(name):
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / f"{name}.lock").read_text().split("\n", 2)[2])
    assert len(entries) > 30
    assert [entry.partition(" ")[0] for entry in entries if "--hash=sha256:" not in entry] == []


def test_what_is_installed_is_what_is_locked():
    locked = pins(ROOT / "requirements.lock")
    here = {name: version(name) for name in pins(ROOT / "requirements.txt")}
    assert {name: number for name, number in here.items() if locked[name] != number} == {}
    assert sys.version_info >= (3, 11)


@pytest.mark.parametrize("place", ["Makefile", "Dockerfile"])
def test_only_the_lock_files_are_installed_from(place):
    lines = (ROOT / place).read_text().splitlines()
    installs = [line for line in lines if "pip install" in line and "-train" not in line and "-bench" not in line]
    assert installs
    assert all("--require-hashes" in line and ".lock" in line for line in installs)
