"""HTTP client of a running server for the commands and scripts; BASE_URL and API_TOKEN select server and credentials.

Every failure is a CommandError: one line on the command line and exit code 1, or 2 if the request makes no sense.
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
"""Statuses that may come from a proxy instead of the server."""
PAUSE = 0.5


class CommandError(Exception):
    """An error that a command prints in one line instead of a traceback."""

    code = 1  # the exit code


class UsageError(CommandError):
    """The request makes no sense."""

    code = 2


class OtherServerError(CommandError):
    """Something answers there, but it is not an email processor."""


class Server:
    """A running server, by its base URL."""

    def __init__(self, base_url: str, token: str | None = None, timeout: float = 30.0) -> None:
        self.base_url, self.timeout = base_url.rstrip("/"), timeout
        self.patience = 0.0
        """For how many seconds a request is retried while the server is away; only for requests that may be made
        twice."""
        self.named_by = "BASE_URL"
        """The setting to correct if this is the wrong server."""
        self.authorized_by = "API_TOKEN"
        """The setting to correct if the server wants another token."""
        self.shown = ""
        """Stands before the paths in errors, if there is more than one server to think of."""
        self.session = requests.Session()
        self.session.trust_env = False  # 500 µs per call instead of 730, and no proxy surprises
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"

    def fakemail(
        self, url: str, token: str | None, *, named_by: str, authorized_by: str = "FAKEMAIL_API_TOKEN"
    ) -> "Server":
        """Return the FakeMail at `url`. Our own simulator gets this server's token, any other FakeMail only `token`."""
        found = Server(url, token)
        found.shown = found.base_url
        if is_within(url, self.base_url):
            found.session.headers.update(self.session.headers)
            found.named_by, found.authorized_by = self.named_by, self.authorized_by
        else:
            found.named_by, found.authorized_by = named_by, authorized_by
        return found

    def health(self) -> dict[str, Any]:
        """Return the answer of /health, healthy or not.

        Raises CommandError if nothing answers, OtherServerError if it is not an email processor.
        """
        answer = self.request("GET", "/health")
        try:
            found = answer.json()
        except ValueError:
            found = None
        if _is_health(found):
            return dict(found)
        if answer.status_code in UNSURE:
            raise CommandError(f"GET /health: {problem(answer)}")
        raise OtherServerError(f"{self.base_url} is a different server: set {self.named_by}")

    def get(self, path: str, **params: Any) -> Any:
        """GET JSON."""
        return self._json("GET", path, params=params)

    def post(self, path: str, body: Any = None, **params: Any) -> Any:
        """POST a JSON body; return the JSON answer."""
        return self._json("POST", path, json={} if body is None else body, params=params)

    def put(self, path: str, body: Any) -> Any:
        """PUT a JSON body; return the JSON answer."""
        return self._json("PUT", path, json=body)

    def delete(self, path: str) -> Any:
        """DELETE; return the JSON answer."""
        return self._json("DELETE", path)

    def request(self, method: str, path: str, **options: Any) -> requests.Response:
        """Make any request. Raises CommandError only if the server cannot be reached within `patience`."""
        end, told = time.monotonic() + self.patience, False
        while True:
            answer = self._try(method, path, **options)
            away = not isinstance(answer, requests.Response) or answer.status_code in AWAY
            if not away or time.monotonic() >= end:
                break
            if not told:
                told = True
                tqdm.write(f"{self.base_url} is not available: waiting for it", file=sys.stderr)
            time.sleep(PAUSE)
        if isinstance(answer, requests.Response):
            return answer
        raise CommandError(
            f"no answer from {self.base_url} ({_cause(answer)}): is it running? Set {self.named_by} to its address"
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
            raise kind(f"{method} {self.shown}{path}: {problem(answer)}{hint}")
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise CommandError(
                f"{method} {self.shown}{path}: the answer is not JSON: is {self.named_by}={self.base_url} the right server?"
            ) from None


def is_within(url: str, base: str) -> bool:
    """Return whether the server at `base` serves `url`: same scheme, host and port, and a path below that of `base`."""
    path, under = (unquote(urlsplit(each).path).rstrip("/").split("/") for each in (url, base))
    return _origin(url) == _origin(base) and path[: len(under)] == under and not {".", ".."}.intersection(path)


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or USUAL_PORTS.get(parts.scheme)


def problem(answer: requests.Response) -> str:
    """Return status and reason of an error answer in one line."""
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


def wait_for(what: str, look: Callable[[], T | None], *, seconds: float, pause: float = 0.1, hint: str = "") -> T:
    """Return the first value of `look()` that is not None or False. Raises CommandError, with the hint, if none comes."""
    end = time.monotonic() + seconds
    while True:
        value = look()
        if value is not None and value is not False:
            return value
        if time.monotonic() >= end:
            raise CommandError(f"{what} did not happen within {seconds:g} s{f': {hint}' if hint else ''}")
        time.sleep(pause)


def _cause(error: Exception) -> str:
    return "refused" if "refused" in str(error).lower() else error.__class__.__name__
