"""Rules on sender, subject and body: what each kind of pattern means, precedence, and bounded matching time."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classification.records import Email
from classification.rules import MAX_PATTERN, MAX_TEXT, Condition, Rule, RuleError, RuleSet, check

EMAIL = Email("Ünvoice 12 [x]", "Let us meet\non Monday at 10.\n", "Anna <anna@Example.org>")


def rule(number, *conditions, classification="meeting", priority=None):
    return Rule(number, tuple(Condition(*each) for each in conditions), classification, priority)


def judged(rules, email=EMAIL):
    """Return the verdict on an email that some rule matches."""
    verdict = RuleSet(rules).judge(email)
    assert verdict is not None
    return verdict


def matches(field, kind, pattern, email=EMAIL):
    check([Condition(field, kind, pattern)])
    return RuleSet([rule(1, (field, kind, pattern))]).judge(email) is not None


@pytest.mark.parametrize(
    ("field", "kind", "pattern", "expected"),
    [
        ("subject", "literal", "üNVOICE", True),
        ("subject", "literal", "[X]", True),
        ("subject", "literal", "voice 1.", False),
        ("sender", "literal", "example.org", True),
        ("sender", "glob", "*@example.org", True),
        ("sender", "glob", "anna@*", True),
        ("sender", "glob", "nna@*", False),
        ("sender", "glob", "Anna*", True),
        ("subject", "glob", "?nvoice [0-9]? [[]x]", True),
        ("subject", "glob", "[!a]nvoice*", True),
        ("subject", "glob", "invoice", False),
        ("subject", "glob", "*[", False),
        ("body", "glob", "*meet*monday*", True),
        ("body", "glob", "meet", False),
        ("body", "regex", r"monday\s+at \d+", True),
        ("body", "regex", r"^monday", False),
        ("body", "regex", r"(?-i)monday", False),
    ],
)
def test_what_a_pattern_means(field, kind, pattern, expected):
    assert matches(field, kind, pattern) is expected


def test_all_conditions_of_a_rule_must_hold():
    both = rule(1, ("subject", "literal", "nvoice"), ("body", "literal", "monday"))
    one = rule(2, ("subject", "literal", "nvoice"), ("body", "literal", "tuesday"))
    twice = rule(3, ("subject", "literal", "nvoice"), ("subject", "literal", "nvoice"))
    assert judged([one, both, twice]).matched == (1, 3)


def test_the_first_rule_with_a_classification_decides_it_and_likewise_the_priority():
    anything = ("sender", "glob", "*")
    rules = [
        rule(1, ("subject", "literal", "no")),
        rule(2, anything, classification=None, priority="high"),
        rule(3, anything, classification="intro"),
        rule(4, anything, classification="promotion", priority="low"),
    ]
    verdict = judged(rules)
    assert (verdict.matched, verdict.classification, verdict.rule_id, verdict.priority) == (
        (2, 3, 4),
        "intro",
        3,
        "high",
    )
    assert RuleSet(rules).sets_priority
    assert not RuleSet(rules[:1]).sets_priority


def test_no_rules_say_nothing():
    assert not RuleSet()
    assert RuleSet().judge_all([EMAIL, EMAIL]) == [None, None]


@pytest.mark.parametrize(
    "pattern", ["(", "a)(b", "(?=x)", r"(a)\1", "x{1001}", "((a{100}){100}){100}", "[ab]*a[ab]{900}c.{900}x.{900}"]
)
def test_what_the_engine_cannot_do_or_what_grows_too_large_is_refused_by_name(pattern):
    with pytest.raises(RuleError) as refused:
        check([Condition("subject", "literal", "x"), Condition("body", "regex", pattern)])
    assert refused.value.condition == 1


@pytest.mark.parametrize("pattern", ["", "x" * (MAX_PATTERN + 1)])
def test_an_empty_or_endless_pattern_is_refused(pattern):
    with pytest.raises(RuleError):
        check([Condition("subject", "literal", pattern)])


def test_a_pattern_that_would_back_track_takes_no_time():
    began = time.perf_counter()
    assert not matches("body", "regex", "(a*)*(a|aa)+b", Email("", "a" * 100_000))
    assert not matches("body", "regex", "^(([a-z])+.)+[0-9]([a-z])+$", Email("", "a" * 100_000))
    assert time.perf_counter() - began < 1


def test_a_thousand_rules_cost_little_more_than_one():
    few = RuleSet([rule(1, ("subject", "literal", "word"))])
    many = RuleSet([rule(number, ("subject", "literal", f"word {number}x")) for number in range(1000)])

    def cost(rules):
        rules.judge(EMAIL)
        began = time.perf_counter()
        for _ in range(300):
            rules.judge(EMAIL)
        return time.perf_counter() - began

    assert min(cost(many) for _ in range(3)) < 20 * min(cost(few) for _ in range(3)) + 0.01


def test_only_the_beginning_of_a_long_text_is_looked_at():
    assert not matches("body", "literal", "needle", Email("", "x" * MAX_TEXT + "needle"))


@given(text=st.text(max_size=40), pattern=st.text(min_size=1, max_size=8))
def test_a_literal_is_found_wherever_it_stands(text, pattern):
    assert matches("subject", "literal", pattern, Email(text + pattern + text, ""))


@given(pattern=st.text(alphabet=r"ab[]!^-\*?.", min_size=1, max_size=8), text=st.text(max_size=8))
def test_any_glob_is_read_or_refused(pattern, text):
    with suppress(RuleError):
        matches("subject", "glob", pattern, Email(text, ""))
