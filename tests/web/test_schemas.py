"""The values in the schemas are those of the corresponding tables, in the same order."""

from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from actors.events import KINDS
from classification import records as classified
from classification import rules
from engine.mailbox import LANES
from storage.reading import EMAIL_STATES
from storage.records import DECIDERS, LABELS
from storage.stats import STEPS
from web import schemas, schemas_learning, schemas_subscriptions, schemas_system


def spelled(struct: type, field: str) -> tuple[Any, ...]:
    """Return the values of a field that is a Literal, or a Literal or None."""
    kind = get_type_hints(struct)[field]
    return next(get_args(each) for each in (kind, *get_args(kind)) if get_origin(each) is Literal)


@pytest.mark.parametrize(
    ("values", "table"),
    [
        (get_args(schemas.Label), LABELS),
        (get_args(schemas.Decider), DECIDERS),
        (get_args(schemas.EmailState), EMAIL_STATES),
        (get_args(schemas.Priority), LANES),
        (spelled(schemas_learning.RuleCondition, "field"), get_args(rules.Field)),
        (spelled(schemas_learning.RuleCondition, "kind"), get_args(rules.Kind)),
        (get_args(schemas_subscriptions.EventKind), KINDS),
        (spelled(schemas_system.TimeseriesQuery, "step"), STEPS),
    ],
)
def test_schemas_and_tables_name_the_same_values(values, table):
    assert values == tuple(table)


def test_the_classifier_and_the_database_have_their_labels_in_one_order():
    assert classified.LABELS == LABELS
