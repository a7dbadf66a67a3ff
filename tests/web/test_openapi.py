"""The API description is valid OpenAPI 3.1 and covers the whole route table."""

import json

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from web.auth import SAFE_METHODS
from web.openapi import document
from web.routes import ROUTES


@pytest.fixture(scope="module")
def described():
    return json.loads(json.dumps(document(ROUTES, "1.0")))


def test_it_is_valid(described):
    assert list(OpenAPIV31SpecValidator(described).iter_errors()) == []


def test_every_route_is_in_it_with_its_problems(described):
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        assert operation["summary"] == route.summary
        assert "500" in operation["responses"]
        assert ("401" in operation["responses"]) is (
            route.access in ("read", "full", "metrics") or 401 in route.problems
        )


@pytest.mark.parametrize(
    "path", ["GET /results", "GET /review", "GET /dead-letters", "GET /notifications", "POST /dead-letters/replay", "POST /reprocess"]
)  # fmt: skip
def test_where_a_source_may_be_named_one_that_there_is_not_is_a_404(described, path):
    method, path = path.split()
    assert "404" in described["paths"][path][method.lower()]["responses"]
    assert "404" not in described["paths"]["/models"]["get"]["responses"]


def test_no_description_is_indented(described):
    """Markdown would show an indented paragraph as code."""
    texts = {name: schema.get("description", "") for name, schema in described["components"]["schemas"].items()}
    assert any("\n\n" in text for text in texts.values())
    assert not [name for name, text in texts.items() if "\n    " in text]


def test_operation_ids_are_unique(described):
    ids = [operation["operationId"] for path in described["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(ROUTES)


def test_query_parameters_are_those_that_are_checked(described):
    parameters = described["paths"]["/results"]["get"]["parameters"]
    limit = next(each for each in parameters if each["name"] == "limit")
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert {"from", "to", "step", "source"} == {
        each["name"] for each in described["paths"]["/stats/timeseries"]["get"]["parameters"]
    }


def test_what_a_body_may_say_is_described_also_where_it_may_be_left_out(described):
    promote = described["paths"]["/models/{version}/promote"]["post"]
    assert promote["requestBody"]["required"] is False
    assert {"400", "413", "415", "422"} <= promote["responses"].keys()


def test_a_body_that_is_too_long_or_no_json_is_a_problem_also_where_none_is_needed(described):
    for route in ROUTES:
        if route.method not in SAFE_METHODS:
            responses = described["paths"][route.path][route.method.lower()]["responses"]
            assert "413" in responses, route.path
            assert ("415" in responses) is (not route.any_media or 415 in route.problems), route.path


def test_a_browser_without_a_session_is_sent_to_the_login(described):
    for route in ROUTES:
        responses = described["paths"][route.path][route.method.lower()]["responses"]
        redirected = route.method == "GET" and route.access in ("read", "full", "metrics")
        assert ("303" in responses) is (redirected or 303 in route.answers), route.path


@pytest.mark.parametrize(
    ("path", "target", "accept"),
    [
        ("/", "/", "text/html"),
        ("/", "/", "*/*"),
        ("/docs", "/docs", "*/*"),
        ("/docs/{name}", "/docs/swagger-ui-bundle.js", "*/*"),
        ("/static/{path}", "/static/icon.svg", "*/*"),
        ("/login", "/login", "*/*"),
        ("/stats", "/stats", "*/*"),
    ],
)
def test_an_answer_is_of_a_kind_that_is_described(system, described, path, target, accept):
    reply = system.client.get(target, Accept=accept)
    kinds = described["paths"][path]["get"]["responses"][str(reply.status)]["content"]
    assert {reply.headers["content-type"].partition(";")[0], "*/*"} & kinds.keys()


def test_it_is_served(system):
    reply = system.client.get("/openapi.json")
    assert reply.json["openapi"] == "3.1.0"
    assert reply.json["info"]["version"] == "1.2.3"
