"""`/rules`: a user's own ordered rules, and a test that shows what one would change in stored mail before it is saved.

storage/rules.py stores them, classification/rules.py applies them. A change is announced, so that every process of
every node has it within seconds.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from actors.deciding import to_rule
from classification.rules import MAX_PROGRAMS, Condition, RuleError, RuleSet, check
from engine.timestamps import timestamp
from engine.turns import off_the_hub
from storage.rules import MAX_RULES, NewRule, RuleCondition, StoredRule, TooManyRulesError
from web.dispatch import Answer, Call
from web.problems import Problem, misfit
from web.rules_trial import on_trial, try_rule
from web.schemas_learning import RuleRequest, RuleTest
from web.validation import read_number

MAX_CHARACTERS = 256 * 1024
"""Of the patterns of all rules together: compiling so many blocks a process for a quarter of a second."""


def all_rules(call: Call) -> dict[str, Any]:
    """Return all rules in their order."""
    version, rules = call.services.learning.rules.all()
    return {"items": [rule_item(each) for each in rules], "version": version}


def one_rule(call: Call, rule_id: str) -> dict[str, Any]:
    """Return one rule, with every change made to it."""
    rule = _rule(call, rule_id)
    history = [
        {"version": each.version, "at": timestamp(each.at), "rule": rule_item(each.rule) if each.rule else None}
        for each in call.services.learning.rules.history(rule.id)
    ]
    return {**rule_item(rule), "history": history}


def create(call: Call) -> Answer:
    """Create a rule, at its `place` or as the last one. It applies to new mail within seconds.

    `POST /reprocess` applies it to stored mail.
    """
    _check(call, call.body, None)
    try:
        rule = call.services.learning.rules.create(_wanted(call.body))
    except TooManyRulesError:
        raise Problem(409, f"there are already {MAX_RULES} rules, which is the limit") from None
    call.services.call_out()
    return Answer(rule_item(rule), 201, headers=(("Location", f"/rules/{rule.id}"),))


def replace(call: Call, rule_id: str) -> dict[str, Any]:
    """Replace a whole rule. With `version`, 409 if somebody else has changed the rule since."""
    rule = _rule(call, rule_id)
    _check(call, call.body, rule.id)
    changed = _known(call.services.learning.rules.replace(rule.id, _wanted(call.body), call.body.version))
    call.services.call_out()
    return rule_item(changed)


def delete(call: Call, rule_id: str) -> Answer:
    """Delete a rule. What it decided stays until it is reprocessed."""
    if not call.services.learning.rules.delete(_rule(call, rule_id).id):
        raise Problem(404, "there is no such rule")
    call.services.call_out()
    return Answer(None, 204)


def test(call: Call) -> dict[str, Any]:
    """Return what a rule would match and change among the newest stored emails; nothing is saved or changed."""
    wanted, rule = call.body, _rule_in(call.body)
    if wanted.id is not None:
        _known(call.services.learning.rules.get(wanted.id))
    now, then = (off_the_hub(_ready, each) for each in _check(call, rule, wanted.id))
    return try_rule(call.services.learning.reprocessing, now, then, wanted.limit)


def _rule_in(wanted: RuleTest) -> RuleRequest:
    """Return the rule in the body, or that is the body; raises Problem 422 for both, and for neither."""
    names = [field.name for field in msgspec.structs.fields(RuleRequest)]
    given = {name: value for name in names if (value := getattr(wanted, name)) is not None}
    if wanted.rule is not None:
        if given:
            raise misfit(next(iter(given)), "belongs in rule, not beside it")
        return wanted.rule
    if not given:
        raise misfit("rule", "is missing")
    for name in ("name", "conditions"):
        if name not in given:
            raise misfit(name, "is missing")
    return RuleRequest(**given)


def rule_item(rule: StoredRule) -> dict[str, Any]:
    """Return a rule as the API shows it."""
    return {
        "id": rule.id,
        "place": rule.place,
        "name": rule.name,
        "enabled": rule.enabled,
        "conditions": [{"field": each.field, "pattern": each.pattern, "kind": each.kind} for each in rule.conditions],
        "classification": rule.classification,
        "priority": rule.priority,
        "version": rule.version,
        "created_at": timestamp(rule.created_at),
        "updated_at": timestamp(rule.updated_at),
    }


def _rule(call: Call, rule_id: str) -> StoredRule:
    return _known(call.services.learning.rules.get(read_number(rule_id)))


def _known(rule: StoredRule | None) -> StoredRule:
    if rule is None:
        raise Problem(404, "there is no such rule")
    return rule


def _wanted(request: RuleRequest) -> NewRule:
    conditions = tuple(RuleCondition(each.field, each.kind, each.pattern) for each in request.conditions)
    return NewRule(request.name, conditions, request.classification, request.priority, request.enabled, request.place)


def _check(call: Call, request: RuleRequest, replaced: int | None) -> tuple[list[StoredRule], list[StoredRule]]:
    """Return the rules as they are, and as they would be with this one; raises Problem 422 naming the unfit field."""
    if request.classification is None and request.priority is None:
        raise misfit("classification", "a rule must give a classification, a priority, or both")
    conditions = tuple(Condition(each.field, each.kind, each.pattern) for each in request.conditions)
    _, rules = call.services.learning.rules.all()
    others = [each for each in rules if each.id != replaced]
    old_place = next((each.place for each in rules if each.id == replaced), len(others) + 1)
    place = min(request.place or old_place, len(others) + 1)
    then = [*others[: place - 1], on_trial(_wanted(request), place), *others[place - 1 :]]
    if _characters(then) > max(MAX_CHARACTERS, _characters(rules)):  # beyond the limit already, only growth is refused
        raise misfit("conditions", f"the patterns of all rules together have more than {MAX_CHARACTERS} characters")
    try:
        size = off_the_hub(_programs, conditions, others)
    except RuleError as error:
        raise misfit(f"conditions[{error.condition}].pattern", str(error)) from None
    if size > MAX_PROGRAMS:
        raise misfit("conditions", "the regular expressions of all rules together are too large")
    return rules, then


def _characters(rules: Sequence[StoredRule]) -> int:
    return sum(len(condition.pattern) for rule in rules for condition in rule.conditions)


def _programs(conditions: Sequence[Condition], others: Sequence[StoredRule]) -> int:
    """Return the size of all rules' regular expressions, 0 if `conditions` have none.

    Raises RuleError for one of `conditions`.
    """
    size = check(conditions)
    regexes = [each for rule in others for each in to_rule(rule).conditions if each.kind == "regex"]
    return size + check(regexes) if size else 0


def _ready(rules: Sequence[StoredRule]) -> RuleSet:
    return RuleSet([to_rule(each) for each in rules if each.enabled])
