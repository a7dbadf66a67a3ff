"""Rules keep their order, and each change raises their version and is recorded; on both databases."""

import pytest

from engine.errors import StaleError
from storage.desired import Desired
from storage.rules import RULES, NewRule, RuleCondition, RuleStore


@pytest.fixture
def rules(db):
    return RuleStore(db)


def rule(name, **changes):
    fields = {"conditions": (RuleCondition("subject", "literal", name),), "classification": "meeting"}
    return NewRule(**{"name": name, **fields, **changes})


def names(rules):
    return [each.name for each in rules.all()[1]]


def test_a_rule_comes_back_as_it_was_given(rules):
    made = rules.create(rule("a", priority="high", enabled=False))
    assert rules.get(made.id) == made
    assert (made.classification, made.priority, made.enabled, made.place) == ("meeting", "high", False, 1)
    assert made.conditions == (RuleCondition("subject", "literal", "a"),)
    assert rules.get(made.id + 1) is None


def test_they_stand_in_the_order_of_their_places(rules):
    made = {name: rules.create(rule(name)) for name in "abc"}
    rules.create(rule("first", place=1))
    assert names(rules) == ["first", "a", "b", "c"]
    rules.replace(made["c"].id, rule("c", place=2))
    assert names(rules) == ["first", "c", "a", "b"]
    rules.replace(made["a"].id, rule("A"))
    assert names(rules) == ["first", "c", "A", "b"]
    rules.delete(made["c"].id)
    assert [(each.place, each.name) for each in rules.all()[1]] == [(1, "first"), (2, "A"), (3, "b")]


def test_each_change_raises_the_version_that_all_processes_watch(rules, db):
    assert rules.all() == (0, [])
    made = rules.create(rule("a"))
    assert (made.version, rules.all()[0], Desired(db).get(RULES)) == (1, 1, 1)
    assert rules.replace(made.id, rule("b")).version == 2
    assert rules.delete(made.id)
    assert (rules.all()[0], Desired(db).get(RULES)) == (3, 3)


def test_what_was_done_is_remembered_and_no_id_is_used_twice(rules):
    made = rules.create(rule("a"))
    rules.replace(made.id, rule("b"))
    rules.delete(made.id)
    history = rules.history(made.id)
    assert [each.rule and each.rule.name for each in history] == [None, "b", "a"]
    assert rules.create(rule("c")).id > made.id
    assert not rules.delete(made.id)
    assert rules.replace(made.id, rule("d")) is None


def test_who_changes_an_old_version_is_told(rules):
    made = rules.create(rule("a"))
    rules.replace(made.id, rule("b"), expected=made.version)
    with pytest.raises(StaleError):
        rules.replace(made.id, rule("c"), expected=made.version)
    assert names(rules) == ["b"]
