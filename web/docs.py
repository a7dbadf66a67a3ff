"""`/docs`: a page to read and try the API, with Swagger UI 5 from an installed package.

The page is ours; script and styles come from the package flask-swagger-ui (its Flask part is never imported), so
nothing is loaded from another site. The page has its own content security policy, since Swagger UI sets styles inline.
"""

from importlib.util import find_spec
from pathlib import Path

from web.assets import Assets, page
from web.dispatch import Answer, Call
from web.problems import Problem

SWAGGER_FILES = ("swagger-ui.css", "swagger-ui-bundle.js")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def swagger_folder() -> Path:
    """Return the folder in which the installed package keeps Swagger UI."""
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("Swagger UI is not available: the package flask-swagger-ui is not installed")
    return Path(spec.origin).parent / "dist"


SWAGGER = Assets(swagger_folder(), SWAGGER_FILES)


def docs(_call: Call) -> Answer:
    """Return a page to read and try the API."""
    return page("docs.html", POLICY)


def swagger_file(call: Call, name: str) -> Answer:
    """Return one of Swagger UI's files."""
    found = SWAGGER.answer(name, call.environ)
    if found is None:
        raise Problem(404, "there is no such file")
    return found
