"""Static files: the dashboard's, the login page's and Swagger UI's, read once, compressed once, revalidated by ETag.

Only names found in the folder when it was read are served, so no path can lead out of it. Called by the handlers of /,
/static, /docs and /login.
"""

import gzip
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from engine.turns import off_the_hub
from web.dispatch import Answer, Call
from web.problems import Problem
from web.server_body import Environ

PAGES = Path(__file__).parent / "pages"
SMALLEST_TO_COMPRESS = 1024
MEDIA = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/x-icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
COMPRESSIBLE = ("text/", "application/json", "image/svg+xml")
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


@dataclass(slots=True)
class Asset:
    """One file as it is sent; `packed` is made when it is first requested."""

    body: bytes
    media: str
    etag: str
    packed: bytes | None = None


class Assets:
    """The files of one folder (all of them, or those named), by their path within it."""

    def __init__(self, folder: Path, names: Iterable[str] | None = None) -> None:
        paths = [folder / name for name in names] if names is not None else sorted(folder.rglob("*"))
        self.files = {path.relative_to(folder).as_posix(): _load(path) for path in paths if path.is_file()}

    def answer(self, name: str, environ: Environ) -> Answer | None:
        """Return the file as an answer, 304 if the client has it; None if there is no such file."""
        asset = self.files.get(name)
        if asset is None:
            return None
        headers = (("ETag", asset.etag), ("Cache-Control", "no-cache"), ("Vary", "Accept-Encoding"))
        if asset.etag in environ.get("HTTP_IF_NONE_MATCH", ""):
            return Answer(None, 304, headers)
        if "gzip" in environ.get("HTTP_ACCEPT_ENCODING", "") and _compresses(asset):
            if asset.packed is None:
                asset.packed = off_the_hub(gzip.compress, asset.body, 6)
            return Answer(asset.packed, 200, (*headers, ("Content-Encoding", "gzip")), asset.media)
        return Answer(asset.body, 200, headers, asset.media)


def page(name: str, policy: str = PAGE_POLICY, status: int = 200) -> Answer:
    """Return one of our own pages, with its content security policy."""
    return html((PAGES / name).read_bytes(), policy, status)


def html(body: bytes, policy: str = PAGE_POLICY, status: int = 200) -> Answer:
    """Return HTML, with a content security policy."""
    return Answer(body, status, (("Content-Security-Policy", policy), ("Vary", "Accept")), "text/html; charset=utf-8")


def static_file(call: Call, path: str) -> Answer:
    """Return a file of the dashboard, or of the pages beside it."""
    found = folder(call.services.dashboard).answer(path, call.environ) or folder(PAGES).answer(path, call.environ)
    if found is None:
        raise Problem(404, "there is no such file")
    return found


_folders: dict[Path, Assets] = {}


def folder(path: Path) -> Assets:
    """Return the files of a folder, read once."""
    if path not in _folders:
        _folders[path] = Assets(path)
    return _folders[path]


def _load(path: Path) -> Asset:
    body = path.read_bytes()
    media = MEDIA.get(path.suffix, "application/octet-stream")
    return Asset(body, media, f'"{hashlib.sha256(body).hexdigest()[:24]}"')


def _compresses(asset: Asset) -> bool:
    return len(asset.body) >= SMALLEST_TO_COMPRESS and asset.media.startswith(COMPRESSIBLE)
