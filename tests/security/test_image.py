"""The image's steps without Docker: what the Dockerfile copies, run unprivileged on a read-only root."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from engine.listening import free_port
from tests.flow.system import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the user and mount")]

UID = "10001"


def copied() -> list[str]:
    """Return what the last stage of the Dockerfile copies from the checkout."""
    text = (ROOT / "Dockerfile").read_text().split("FROM ")[-1]
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    return [name for line in lines for name in line.split()]


@pytest.fixture
def image():
    """A folder like the image, owned by root and readable by all, and a data folder of the unprivileged user."""
    base = Path("/var/tmp") / f"ep-image-{os.getpid()}"
    app, data = base / "app", base / "data"
    (app / ".venv").mkdir(parents=True)
    data.mkdir()
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, app / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, app / name)
    subprocess.run(["chmod", "-R", "a+rX", str(base)], check=True)
    os.chown(data, int(UID), int(UID))
    yield app, data
    shutil.rmtree(base, ignore_errors=True)


def test_it_starts_works_and_stops_as_an_ordinary_user_on_a_read_only_root(image):
    app, data = image
    port = free_port()
    script = f"""
set -e
mount --make-rprivate /
mount --bind / /mnt
mount --bind {data} /mnt{data}
{python_for_all()}
mount --bind {sys.prefix} /mnt{app}/.venv
mount -o remount,bind,ro /mnt{app}/.venv
mount -t tmpfs -o size=64m,noexec,nosuid,nodev,mode=1777 tmpfs /mnt/tmp
mount -o remount,bind,ro /mnt
mount --rbind /proc /mnt/proc
mount --rbind /dev /mnt/dev
cd /mnt{app}
exec chroot /mnt setpriv --reuid {UID} --regid {UID} --clear-groups --no-new-privs --bounding-set=-all --inh-caps=-all \\
  env -i PATH=/usr/bin:/bin HOST=127.0.0.1 PORT={port} DATA_DIR={data} PYTHONDONTWRITEBYTECODE=1 PROCESSOR_PROCESSES=1 \\
  sh -c 'cd {app} && {{ ! touch {app}/x /etc/x 2>/dev/null; }} && exec .venv/bin/python run.py serve'
"""
    log = app.parent / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(["unshare", "--mount", "sh", "-c", script], stdout=out, stderr=out)
    try:
        base = f"http://127.0.0.1:{port}"
        wait_ready(base, process, log)
        body = json.dumps({"id": "in-image", "subject": "Meeting at 10?", "body": "Shall we meet?"}).encode()
        ask(f"{base}/simulator/send_email", body)
        assert ask(f"{base}/results/in-image?wait=20")["email_id"] == "in-image"
        statuses = [Path(f"/proc/{pid}/status").read_text() for pid in children(process.pid)]
        assert len(statuses) >= 3
        for status in statuses:
            assert re.search(rf"^Uid:\t{UID}\t{UID}\t{UID}", status, re.MULTILINE)
            assert re.search(r"^CapBnd:\t0+$", status, re.MULTILINE)
            assert re.search(r"^CapEff:\t0+$", status, re.MULTILINE)
            assert re.search(r"^NoNewPrivs:\t1$", status, re.MULTILINE)
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    assert code == 0, log.read_text()[-3000:]
    written = {path.name for path in data.iterdir()}
    assert "emails.db" in written
    assert not any("world" in line for line in modes(data))


def python_for_all() -> str:
    """If our Python is in root's own folder, nobody else could run it: make only that part accessible."""
    base = sys.base_prefix
    if not base.startswith("/root/"):
        return ":"
    return f"umask 022 && mount -t tmpfs -o mode=755 tmpfs /mnt/root && mkdir -p /mnt{base} && mount --bind {base} /mnt{base}"


def children(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    found = [pid]
    for folder in Path(f"/proc/{pid}/task").iterdir():
        found += [each for child in (folder / "children").read_text().split() for each in children(int(child))]
    return found


def modes(folder: Path) -> list[str]:
    """Return files that others than their owner may read."""
    return [f"{path} world" for path in folder.rglob("*") if path.stat().st_mode & 0o077 and not path.is_socket()]


def ask(url: str, body: bytes | None = None) -> dict[str, str]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def wait_ready(base: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None, log.read_text()[-3000:]
        assert time.monotonic() < deadline, log.read_text()[-3000:]
        try:
            if ask(f"{base}/health/ready"):
                return
        except OSError:
            time.sleep(0.1)
