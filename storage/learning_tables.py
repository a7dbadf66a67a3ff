"""The tables for rules, models and review, as Peewee models, and their migration step.

Used by rules.py, model_files.py and review.py; migrations.py calls `create`. As in models.py, times are seconds since
the epoch, and small codes are indexes into the tuples of records.py.
"""

# ruff: noqa: D106  (Peewee's inner Meta holds options)

from peewee import (
    BigIntegerField,
    BooleanField,
    CompositeKey,
    DoubleField,
    Field,
    IntegerField,
    SmallIntegerField,
    TextField,
)

from storage.models import Table
from storage.statements import execute

UNCERTAIN = 0.6
"""The review's index holds results below this confidence. It repeats the value, as a partial index needs a literal."""


class BytesField(Field):
    """Raw bytes. Peewee's own field asks the database for a type when no database is set yet."""

    field_type = "BLOB"


class RuleRow(Table):
    """A user's rule. Its id is the rules' version at its creation, so ids are never reused."""

    id = BigIntegerField(primary_key=True)
    place = IntegerField()  # the order, from 1 up
    name = TextField()
    enabled = BooleanField()
    conditions = TextField()  # JSON
    classification = SmallIntegerField(null=True)
    priority = SmallIntegerField(null=True)
    version = BigIntegerField()
    created_at = DoubleField()
    updated_at = DoubleField()


class RuleChangeRow(Table):
    """A change to a rule, kept for ever: the rule as it became, or null if it was deleted."""

    version = BigIntegerField(primary_key=True)
    rule_id = BigIntegerField(index=True)
    at = DoubleField()
    document = TextField(null=True)  # JSON


class ModelFileRow(Table):
    """A model: its file, its origin and the figures measured when it was made."""

    version = TextField(primary_key=True)
    origin = TextField()  # packaged | feedback
    parent = TextField(null=True)
    created_at = DoubleField()
    figures = TextField()  # JSON
    file = BytesField()


class ShadowCountRow(Table):
    """How often the live model gave one label and the shadow another (or the same), sharded by writer."""

    live = TextField()
    shadow = TextField()
    live_label = SmallIntegerField()
    shadow_label = SmallIntegerField()
    shard = TextField()
    value = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("live", "shadow", "live_label", "shadow_label", "shard")


class ShadowDifferenceRow(Table):
    """An email that the shadow and the live model labelled differently; only the newest are kept."""

    shadow = TextField()
    ref = BigIntegerField()
    live = TextField()
    live_label = SmallIntegerField()
    shadow_label = SmallIntegerField()
    confidence = DoubleField()  # the shadow's
    at = DoubleField()

    class Meta:
        primary_key = CompositeKey("shadow", "ref")


class OpinionRow(Table):
    """FakeMail's own label for an email, requested when the email came up for review."""

    ref = BigIntegerField(primary_key=True)
    label = SmallIntegerField()
    confidence = DoubleField()
    at = DoubleField()


TABLES = (RuleRow, RuleChangeRow, ModelFileRow, ShadowCountRow, ShadowDifferenceRow, OpinionRow)


def create() -> None:
    """Create the tables, and small indexes of what comes up for review."""
    for model in TABLES:
        model.create_table()
    execute(
        "CREATE INDEX IF NOT EXISTS result_uncertain ON result (confidence) WHERE person_label IS NULL AND confidence < 0.6"
    )
    execute("CREATE INDEX IF NOT EXISTS result_ruled ON result (id) WHERE rule_label IS NOT NULL")
    execute("CREATE INDEX IF NOT EXISTS result_corrected ON result (person_at) WHERE person_label IS NOT NULL")
