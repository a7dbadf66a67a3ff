"""Talks to a running server for the commands and scripts: BASE_URL and API_TOKEN say which and as whom.

Every trouble is a CommandError: one line on the command line, exit code 1; 2 where what was asked for makes no sense.
"""

import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import requests
from tqdm import tqdm

from settings.addresses import USUAL_PORTS

T = TypeVar("T")

SENSELESS = (400, 422)
AWAY = (502, 503, 504)
UNSURE = (*AWAY, 429)
"""What may come from a proxy before the server."""
PAUSE = 0.5


class CommandError(Exception):
    """What a command says instead of a traceback."""

    code = 1  # the exit code


class UsageError(CommandError):
    """What was asked for makes no sense."""

    code = 2


class OtherServerError(CommandError):
    """Something answers there, and it is no email processor."""


class Server:
    """A running server, by its base URL."""

    def __init__(self, base_url: str, token: str | None = None, timeout: float = 30.0) -> None:
        self.base_url, self.timeout = base_url.rstrip("/"), timeout
        self.patience = 0.0
        """How many seconds a request goes on while the server is away: for requests that may be made twice."""
        self.named_by = "BASE_URL"
        """What a person has to set where this is the wrong one."""
        self.authorized_by = "API_TOKEN"
        """The same, where it wants another token."""
        self.session = requests.Session()
        self.session.trust_env = False  # 500 µs a call instead of 730, and no proxy surprises
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def fakemail(self, url: str, token: str | None, *, named_by: str) -> "Server":
        """The FakeMail at `url`: this server's own simulator is asked as this server is, any other with `token`, and never with our own."""
        found = Server(url, token)
        if is_within(url, self.base_url):
            found.session.headers.update(self.session.headers)
            found.named_by, found.authorized_by = self.named_by, self.authorized_by
        else:
            found.named_by, found.authorized_by = named_by, "FAKEMAIL_API_TOKEN"
        return found

    def health(self) -> dict[str, Any]:
        """What /health says, well or not; CommandError where nothing answers, OtherServerError where it is no email processor that does."""
        answer = self.request("GET", "/health")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if _is_health(found):
            return dict(found)
        if answer.status_code in UNSURE:
            raise CommandError(f"GET /health: {problem(answer)}")
        raise OtherServerError(f"{self.base_url} is another server: set {self.named_by}")

    def get(self, path: str, **params: Any) -> Any:
        """GET, as JSON."""
        return self._json("GET", path, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """POST a JSON body, answer as JSON."""
        return self._json("POST", path, json={} if body is None else body, params=params)

    def put(self, path: str, body: Any) -> Any:
        """PUT a JSON body, answer as JSON."""
        return self._json("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """DELETE, as JSON."""
        return self._json("DELETE", path)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Any request; only a server that cannot be reached, for as long as `patience` says, is an error here."""
        end, told = time.monotonic() + self.patience, False
        while True:
            answer = self._try(method, path, **options)
            away = not isinstance(answer, requests.Response) or answer.status_code in AWAY
            if not away or time.monotonic() >= end:
                break
            if not told:
                told = True
                tqdm.write(f"{self.base_url} is away: waiting for it", file=sys.stderr)
            time.sleep(PAUSE)
        if isinstance(answer, requests.Response):
            return answer
        raise CommandError(
            f"no answer from {self.base_url} ({_cause(answer)}): is it running? {self.named_by} says where"
        )

    def _try(self, method: str, path: str, **options: Any) -> requests.Response | requests.RequestException:
        try:
            return self.session.request(method, self.base_url + path, timeout=self.timeout, **options)
        except requests.RequestException as error:
            return error

    def _json(self, method: str, path: str, **options: Any) -> Any:
        answer = self.request(method, path, **options)
        if not answer.ok:
            kind = UsageError if answer.status_code in SENSELESS else CommandError
            hint = f": set {self.authorized_by} to the server's token" if answer.status_code == 401 else ""
            raise kind(f"{method} {path}: {problem(answer)}{hint}")
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise CommandError(
                f"{method} {path}: the answer is not JSON: does {self.named_by}={self.base_url} name the server?"
            ) from None


def is_within(url: str, base: str) -> bool:
    """Whether `url` is served by the server at `base`: the same scheme, host and port, and a path under the one of `base`."""
    path, under = (unquote(urlsplit(each).path).rstrip("/").split("/") for each in (url, base))
    return _origin(url) == _origin(base) and path[: len(under)] == under and not {".", ".."}.intersection(path)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or USUAL_PORTS.get(parts.scheme)


def problem(answer: requests.Response) -> str:
    """Status and reason of an error answer, in a line."""
    try:
        body = answer.json()
        text = body.get("detail") or body.get("title") or answer.reason
    except (ValueError, AttributeError):
        text = answer.reason
    return f"{answer.status_code} {text}"


def _is_health(found: Any) -> bool:
    parts = found.get("components") if isinstance(found, dict) else None
    if not isinstance(parts, dict) or not {"status", "version"} <= set(found):
        return False
    return all(isinstance(part, dict) and "status" in part for part in parts.values())


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float, pause: float = 0.1) -> T:
    """The first value of `look()` that is not None or False; CommandError when none came in time."""
    end = time.monotonic() + seconds
    while True:
        value = look()
        if value is not None and value is not False:
            return value
        if time.monotonic() >= end:
            raise CommandError(f"{what} did not happen within {seconds:g} s")
        time.sleep(pause)


def _cause(error: Exception) -> str:
    return "refused" if "refused" in str(error).lower() else error.__class__.__name__
