"""The user's rules, in order: each maps conditions on sender, subject and body to a class, a priority, or both.

Pure. The classifier's actor asks a RuleSet beside the model, the fetcher asks it for the lane, `/rules/test` for what a
rule would change. All patterns go to RE2, which does not backtrack: the conditions on a field form one automaton, run
once per email however many rules there are.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import re2  # type: ignore[import-untyped]  # it has no types

Field = Literal["sender", "subject", "body"]
Kind = Literal["literal", "glob", "regex"]

FIELDS: tuple[Field, ...] = ("sender", "subject", "body")
MAX_TEXT = 16_384
"""How many characters of a field are examined."""

MAX_PATTERN = 500
MAX_PROGRAM, MAX_PROGRAMS = 2_000, 20_000
"""RE2 instructions for one regular expression, and for all of them. The worst text costs 30 ns per instruction and
character."""

ONE_BYTES, ALL_BYTES = 1 << 20, 32 << 20
"""Memory for one pattern's automaton, and for that of all patterns together."""


class RuleError(ValueError):
    """A pattern that cannot be used. `condition` counts from 0."""

    def __init__(self, message: str, condition: int = 0) -> None:
        super().__init__(message)
        self.condition = condition


class Readable(Protocol):
    """What a rule reads of an email."""

    @property
    def sender(self) -> str | None:
        """The sender, as in the header."""

    @property
    def subject(self) -> str:
        """The subject."""

    @property
    def body(self) -> str:
        """The text."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A pattern that a field must match.

    A `literal` occurs in the field, a `glob` (`*`, `?`, `[abc]`) matches all of it, a `regex` is searched for. Case is
    ignored. A glob on the sender may also match just the address within `Name <address>`.
    """

    field: Field
    kind: Kind
    pattern: str


@dataclass(frozen=True, slots=True)
class Rule:
    """All conditions must hold.

    `classification` and `priority` are what the rule decides, None if it leaves that to others.
    """

    id: int
    conditions: tuple[Condition, ...]
    classification: str | None = None
    priority: str | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """The rules' result for one email: the first match with a classification decides that; likewise the priority."""

    matched: tuple[int, ...]
    classification: str | None = None
    rule_id: int | None = None  # the rule that gave the classification
    priority: str | None = None


Finder = Callable[[bytes], Sequence[int] | None]


class RuleSet:
    """Rules in order, compiled. Immutable, so threads and greenlets may share it. Raises RuleError."""

    def __init__(self, rules: Sequence[Rule] = ()) -> None:
        self.rules = tuple(rules)
        self.sets_priority = any(rule.priority for rule in rules)
        self.may_take_long = any(each.kind != "literal" for rule in rules for each in rule.conditions)
        self._needed = [len(set(rule.conditions)) for rule in rules]
        self._finders: list[tuple[Field, Finder, list[list[int]]]] = []
        for field in FIELDS:
            owners: dict[str, list[int]] = defaultdict(list)
            for place, rule in enumerate(rules):
                for condition in {each for each in rule.conditions if each.field == field}:
                    owners[source(condition)].append(place)
            if owners:
                self._finders.append((field, _finder(list(owners)), list(owners.values())))

    def __bool__(self) -> bool:
        """Return whether there are any rules."""
        return bool(self.rules)

    def judge_all(self, emails: Sequence[Readable]) -> list[Ruling | None]:
        """Judge each email. Run it on another thread if `may_take_long`; matching lets other threads run."""
        return [self.judge(email) for email in emails]

    def judge(self, email: Readable) -> Ruling | None:
        """Apply all rules to one email; None if none matches. The cost hardly grows with the number of rules."""
        found: dict[int, int] = {}
        for field, find, owners in self._finders:
            text = (getattr(email, field) or "")[:MAX_TEXT].encode("utf-8", "replace")
            for number in find(text) or ():
                for place in owners[number]:
                    found[place] = found.get(place, 0) + 1
        if not found:
            return None
        return self._ruling(sorted(place for place, count in found.items() if count == self._needed[place]))

    def _ruling(self, places: Sequence[int]) -> Ruling | None:
        if not places:
            return None
        matched = [self.rules[place] for place in places]
        decides = next((rule for rule in matched if rule.classification), None)
        return Ruling(
            matched=tuple(rule.id for rule in matched),
            classification=decides.classification if decides else None,
            rule_id=decides.id if decides else None,
            priority=next((rule.priority for rule in matched if rule.priority), None),
        )


def check(conditions: Sequence[Condition]) -> int:
    """Return the size of the regular expressions' programs. Raises RuleError for the first unusable condition."""
    size = 0
    for number, condition in enumerate(conditions):
        if not 0 < len(condition.pattern) <= MAX_PATTERN:
            raise RuleError(f"a pattern must have 1 to {MAX_PATTERN} characters", number)
        try:
            program = re2.compile(source(condition), _options(ONE_BYTES)).programsize
        except re2.error as error:
            raise RuleError(f"the pattern cannot be used: {_reason(error)}", number) from None
        if condition.kind == "regex":
            size += program
            if program > MAX_PROGRAM:
                raise RuleError(
                    f"the pattern cannot be used: it expands to {program} steps, more than {MAX_PROGRAM}", number
                )
    return size


def _reason(error: Exception) -> str:
    cause = error.args[0] if error.args else "it cannot be read"
    return cause.decode("utf-8", "replace") if isinstance(cause, bytes) else str(cause)


def source(condition: Condition) -> str:
    """Translate a condition to an RE2 regular expression."""
    pattern = condition.pattern.encode("utf-8", "replace").decode()
    if condition.kind == "regex":
        return pattern
    if condition.kind == "literal":
        return str(re2.escape(pattern))
    before, after = (r"\s*(?:[^<]*<)?", r">?\s*") if condition.field == "sender" else ("", "")
    return rf"(?s)\A{before}{_glob(pattern)}{after}\z"


def _glob(pattern: str) -> str:
    """Translate a shell pattern; a bracket that is never closed stands for itself."""
    parts, at = [], 0
    while at < len(pattern):
        char = pattern[at]
        close = pattern.find("]", at + 2) if char == "[" else -1
        if close > 0:
            parts.append(_bracket(pattern[at + 1 : close]))
            at = close
        else:
            parts.append({"*": ".*", "?": "."}.get(char) or str(re2.escape(char)))
        at += 1
    return "".join(parts)


def _bracket(inside: str) -> str:
    negated = inside[0] == "!" and len(inside) > 1
    chars = inside.replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
    return f"[^{chars[1:]}]" if negated else f"[{chars}]"


def _finder(patterns: Sequence[str]) -> Finder:
    """Build one automaton from all patterns, or one per pattern if that would be too large."""
    together = re2.Set.SearchSet(_options(ALL_BYTES))
    try:
        for pattern in patterns:
            together.Add(pattern)
        together.Compile()
    except re2.error:
        compiled = [re2.compile(pattern, _options(ONE_BYTES)) for pattern in patterns]
        return lambda text: [number for number, each in enumerate(compiled) if each.search(text)]
    found: Finder = together.Match
    return found


def _options(max_bytes: int) -> Any:
    options = re2.Options()
    options.case_sensitive, options.log_errors, options.max_mem = False, False, max_bytes
    return options
