"""Build `/openapi.json` (OpenAPI 3.1) from the route table and the models that validate the requests.

web/app.py builds it once. A query's parameters are the fields of its model; the schemas of bodies and answers are
references to components. Every operation lists the problems it may answer with.
"""

import inspect
import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from web.auth import SAFE_METHODS
from web.dispatch import FORM_MEDIA, Route
from web.problems import JSON_MEDIA
from web.schemas import ProblemAnswer
from web.server_problems import PROBLEM_MEDIA
from web.sessions import COOKIE

REF = "#/components/schemas/{name}"
PARAMETER = re.compile(r"\{(\w+)\}")
ALWAYS = (400, 500, 503)
BY_ACCESS = {
    "public": (),
    "page": (403, 429),
    "read": (401, 403, 429),
    "full": (401, 403, 429),
    "metrics": (401, 403, 429),
}
PATH_TEXTS = {
    "email_id": "The email's id, percent-encoded, including any slash",
    "letter_id": "The dead letter's number",
    "task_id": "The task's number",
    "subscription_id": "The subscription's number",
    "rule_id": "The rule's number",
    "version": "The model's version",
    "source": "A FakeMail account by its name",
    "client_id": "Any name; two clients may share it",
    "name": "A file's name",
    "path": "A file's path",
}
ABOUT = """Errors are problem details (RFC 9457) with a `request_id`. Times are RFC 3339 in UTC.

Where the simulator is served, `POST /simulator/send_email` with `{"subject", "body"}` sends mail to try this API out with; the README has its other calls."""
NUMBERS = ("letter_id", "task_id", "rule_id", "subscription_id")
TITLES = {
    status: HTTPStatus(status).phrase
    for status in (400, 401, 403, 404, 409, 410, 413, 414, 415, 422, 426, 429, 500, 502, 503)
}


def document(routes: Sequence[Route], version: str) -> dict[str, Any]:
    """Return the whole document."""
    schemas = _schemas(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Email processor",
            "version": version,
            "summary": "Classifies the emails of FakeMail accounts and publishes the results.",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in routes)],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "responses": {f"Problem{status}": _problem_response(status) for status in TITLES},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "API_TOKEN or API_TOKEN_READONLY"},
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": COOKIE,
                    "description": "From /login",
                },
            },
        },
    }


def _schemas(routes: Iterable[Route]) -> dict[str, Any]:
    models: dict[Any, None] = {ProblemAnswer: None}
    for route in routes:
        for model in (route.request, route.form, route.query, *route.answers.values()):
            if model is not None:
                models[model] = None
    _, schemas = msgspec.json.schema_components(list(models), ref_template=REF)
    for schema in schemas.values():
        if not schema.get("required", ["x"]):
            del schema["required"]
        if "description" in schema:  # msgspec keeps a docstring's indentation, which Markdown would show as code
            schema["description"] = inspect.cleandoc(schema["description"])
    return dict(schemas)


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": f"{route.method.lower()}_{re.sub(r'[^a-z0-9]+', '_', route.path.lower()).strip('_') or 'index'}",
        "summary": route.summary,
        "tags": [route.tag],
        "parameters": [*_path_parameters(route), *_query_parameters(route, schemas)],
        "responses": _responses(route),
    }
    if doc := (route.handler.__doc__ or "").strip():
        operation["description"] = " ".join(doc.split())
    if route.form is not None:
        content = {
            media: schema for kind in (JSON_MEDIA, FORM_MEDIA) for media, schema in _content(route.form, kind).items()
        }
        operation["requestBody"] = {"required": True, "content": content}
    if route.request is not None:
        operation["requestBody"] = {"required": not route.may_be_empty, "content": _content(route.request, JSON_MEDIA)}
    if route.access in ("public", "page"):
        operation["security"] = []
    else:
        operation["security"] = [{"bearer": []}, {"session": []}, {}]
    return operation


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_TEXTS[name],
            "schema": {"type": "integer", "minimum": 1} if name in NUMBERS else {"type": "string", "minLength": 1},
        }
        for name in PARAMETER.findall(route.path)
    ]


def _query_parameters(route: Route, schemas: dict[str, Any]) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    properties = schemas[route.query.__name__]["properties"]
    return [_query_parameter(name, schema) for name, schema in properties.items()]


def _query_parameter(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """Describe one field of a query model. `null`, which marks an absent field, is dropped: a query cannot carry it."""
    choices = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    plain = {**choices[0]} if len(choices) == 1 else {key: value for key, value in schema.items() if key != "default"}
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": False, "allowEmptyValue": True}
    if "description" in plain:
        parameter["description"] = plain.pop("description")
    if "enum" in plain:
        plain["enum"] = [value for value in plain["enum"] if value is not None]
    if schema.get("default") is not None:
        plain["default"] = schema["default"]
    return {**parameter, "schema": plain}


def _responses(route: Route) -> dict[str, Any]:
    found = _answers(route)
    if route.method in SAFE_METHODS and 401 in BY_ACCESS[route.access]:
        found["303"] = {"description": "To /login: a browser without a session"}
    problems = {*ALWAYS, *BY_ACCESS[route.access], *route.problems}
    if route.query is not None:
        problems.add(414)
    if route.method not in SAFE_METHODS:
        problems |= {413} if route.any_media else {413, 415}  # also for a body that the route does not need
    if route.request is not None and not route.any_media:
        problems.add(422)
    if _names_a_source(route.query) or _names_a_source(route.request):
        problems.add(404)
    for status in sorted(problems - set(route.answers)):
        found[str(status)] = {"$ref": f"#/components/responses/Problem{status}"}
    return found


def _answers(route: Route) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for status, model in route.answers.items():
        response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
        if model is not None:
            response["content"] = _content(model, route.media)
        elif status == HTTPStatus.OK:
            kind = "object" if route.media == JSON_MEDIA else "string"
            response["content"] = {route.media: {"schema": {"type": kind}}}
        if route.page_too:
            response["content"]["text/html"] = {"schema": {"type": "string"}}
        found[str(status)] = response
    return found


def _names_a_source(model: Any) -> bool:
    """Return whether the model has a `source` field, at any depth: an unknown source is answered with a 404."""
    fields = msgspec.structs.fields(model) if _is_struct(model) else ()
    return any(field.name == "source" or _names_a_source(field.type) for field in fields)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _content(model: Any, media: str) -> dict[str, Any]:
    return {media: {"schema": {"$ref": REF.format(name=model.__name__)}}}


def _problem_response(status: int) -> dict[str, Any]:
    return {"description": TITLES[status], "content": _content(ProblemAnswer, PROBLEM_MEDIA)}
