"""Validation errors are worded in terms of JSON, and name the field."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta

from engine.wording import explain


class Inner(msgspec.Struct, forbid_unknown_fields=True):
    number: int
    words: dict[str, str | list[str]] = {}
    kind: Literal["high", "low"] | None = None


class Outer(msgspec.Struct):
    share: Annotated[float, Meta(ge=0, le=1)] | None = None
    name: Annotated[str, Meta(min_length=1, max_length=4, pattern="^a")] = "a"
    flag: bool = False
    start: Annotated[int, Meta(ge=0)] | Literal["beginning"] = 0
    items: Annotated[list[Inner], Meta(max_length=2)] = []
    kinds: list[Literal["new", "dead"]] = []


@pytest.mark.parametrize(
    ("value", "field", "message"),
    [
        ({"share": "x"}, "share", "must be a number or null, not a string"),
        ({"share": -1}, "share", "must be at least 0"),
        ({"share": 2.5}, "share", "must be at most 1"),
        ({"name": None}, "name", "must be a string, not null"),
        ({"name": ""}, "name", "must have at least 1 character"),
        ({"name": "abcde"}, "name", "must have at most 4 characters"),
        ({"name": "b"}, "name", "must match the pattern ^a"),
        ({"flag": 1}, "flag", "must be true or false, not a whole number"),
        ({"start": []}, "start", "must be a whole number or a string, not an array"),
        ({"start": "end"}, "start", "must be a whole number or beginning, not 'end'"),
        ({"start": True}, "start", "must be a whole number or a string, not a boolean"),
        ({"items": {}}, "items", "must be an array, not an object"),
        ({"items": [{"number": 1}] * 3}, "items", "must have at most 2 items"),
        ({"items": [{"number": 1}, {}]}, "items[1].number", "is missing"),
        ({"items": [{"number": 1, "more": 2}]}, "items[0].more", "there is no such field"),
        ({"items": [{"number": 1.5}]}, "items[0].number", "must be a whole number, not a number with a fraction"),
        ({"items": [{"number": 1, "words": {"a": 1}}]}, "items[0].words[...]", "must be a string or an array, not a whole number"),
        ({"items": [{"number": 1, "kind": "mid"}]}, "items[0].kind", "must be high or low, not 'mid'"),
        ({"kinds": ["old"]}, "kinds[0]", "must be dead or new, not 'old'"),
        ([], "", "must be an object, not an array"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit_is_told_without_pythons_words(value: Any, field: str, message: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Outer)
    assert explain(caught.value, Outer) == (field, message)


def test_in_a_query_string_everything_is_text() -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert({"share": "x"}, Outer, strict=False)
    assert explain(caught.value, Outer, text_only=True) == ("share", "must be a number")


def test_an_error_of_another_kind_is_told_as_it_is() -> None:
    assert explain(msgspec.ValidationError("Something new - at `$.a.b`")) == ("a.b", "something new")
