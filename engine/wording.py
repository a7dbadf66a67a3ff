"""Rewords validation errors in the terms of JSON: which field is wrong, and what it must be.

Used by web/validation.py and the simulator, so that clients do not have to read Python's type names. Relies on the
texts of msgspec's errors; an unknown text is passed on as it is.
"""

import re
from typing import Any

import msgspec
from msgspec import inspect

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "a string",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
GIVEN = {**KINDS, "float": "a number with a fraction", "bool": "a boolean"}
BOUND = {">=": "at least", "<=": "at most", ">": "greater than", "<": "less than"}

WHERE = re.compile(r" - at `(?:key` in `)?\$\.?(.*)`$")
EXPECTED = re.compile(r"Expected `([^`]*)`(?:, got `(\w+)`| (>=|<=|>|<) (\S+)| of length (>=|<=) (\d+))")
PATTERN = re.compile(r"Expected `str` matching regex '(.*)'")
NAMED = re.compile(r"(?:missing required|contains unknown) field `([^`]*)`")
STEP = re.compile(r"[^.\[\]]+|\[[^\]]*\]")


def explain(error: msgspec.ValidationError, kind: Any = None, *, text_only: bool = False) -> tuple[str, str]:
    """Return the wrong field, as the client wrote it, and what is wrong with it.

    `kind` is the model, which is needed for the choices of an enumeration. `text_only`: the input was a query string,
    where everything is text.
    """
    text = str(error)
    where = WHERE.search(text)
    field, text = (where[1], text[: where.start()]) if where else ("", text)
    if named := NAMED.search(text):
        field = f"{field}.{named[1]}" if field else named[1]
        return field, "is missing" if "missing" in text else "there is no such field"
    return field, _message(text, field, kind, text_only=text_only)


def _message(text: str, field: str, kind: Any, *, text_only: bool) -> str:
    if text.startswith("Invalid enum value") and (known := _choices(kind, field)):
        return f"must be {_either([str(each) for each in known])}, not {text.removeprefix('Invalid enum value ')}"
    if pattern := PATTERN.match(text):
        return f"must match the pattern {pattern[1]}"
    match = EXPECTED.match(text)
    if match is None:
        return text[:1].lower() + text[1:]
    wanted, given, bound, number, length_bound, length = match.groups()
    if bound:
        return f"must be {BOUND[bound]} {float(number):g}" if "." in number else f"must be {BOUND[bound]} {number}"
    if length_bound:
        return f"must have {BOUND[length_bound]} {length} {_units(wanted, length)}"
    names = [name for name in wanted.split(" | ") if not (text_only and name == "null")]
    must = f"must be {_either([KINDS.get(name, name) for name in names])}"
    return must if text_only else f"{must}, not {GIVEN.get(given, given)}"


def _either(words: list[str]) -> str:
    return " or ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _units(kind: str, length: str) -> str:
    name = {"str": "character", "array": "item"}.get(kind, "field")
    return name if length == "1" else f"{name}s"


def _choices(kind: Any, field: str) -> list[Any]:
    """Return the values of the enumeration at `field` of a model, and "a whole number" where that is allowed, too."""
    if kind is None:
        return []
    found: list[inspect.Type] = [inspect.type_info(kind)]
    for step in STEP.findall(field):
        found = [inner for each in found for inner in _inner(each, step)]
    kinds = [plain for each in found for plain in _plain(each)]
    numbers = [KINDS["int"]] if any(isinstance(kind, inspect.IntType) for kind in kinds) else []
    return numbers + [value for kind in kinds if isinstance(kind, inspect.LiteralType) for value in kind.values]


def _inner(kind: inspect.Type, step: str) -> list[inspect.Type]:
    """Return the types one step further down: those of a field, or of an item."""
    plain = _plain(kind)
    if not step.startswith("["):
        fields = [field for each in plain if isinstance(each, inspect.StructType) for field in each.fields]
        return [field.type for field in fields if field.encode_name == step]
    lists = [each.item_type for each in plain if isinstance(each, inspect.ListType)]
    return lists + [each.value_type for each in plain if isinstance(each, inspect.DictType)]


def _plain(kind: inspect.Type) -> list[inspect.Type]:
    """Return the members of a union, or the type that metadata wraps."""
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    return [inner for each in kind.types for inner in _plain(each)] if isinstance(kind, inspect.UnionType) else [kind]
