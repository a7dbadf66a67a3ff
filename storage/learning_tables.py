"""The tables behind rules, models and review, as Peewee models, and their step of the schema's history.

Used by rules.py, model_files.py and review.py; migrations.py calls `create`. As in models.py: times are seconds since the
epoch, small codes indexes into the tuples of records.py.
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
"""Results of less confidence than this are in the review's index; it is literal there, as a partial index wants it."""


class BytesField(Field):
    """Bytes as they are; Peewee's own field asks its database for a type before there is one."""

    field_type = "BLOB"


class RuleRow(Table):
    """A user's rule. Its id is the version of the rules at which it was made, so none is ever used again."""

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
    """What was done to a rule, kept for ever: the rule as it then was, null when it was deleted."""

    version = BigIntegerField(primary_key=True)
    rule_id = BigIntegerField(index=True)
    at = DoubleField()
    document = TextField(null=True)  # JSON


class ModelFileRow(Table):
    """A model: its file, where it came from and what was measured when it was made."""

    version = TextField(primary_key=True)
    origin = TextField()  # packaged | feedback
    parent = TextField(null=True)
    created_at = DoubleField()
    figures = TextField()  # JSON
    file = BytesField()


class ShadowCountRow(Table):
    """How often the live model said one label and the shadow another (or the same), in shards by writer."""

    live = TextField()
    shadow = TextField()
    live_label = SmallIntegerField()
    shadow_label = SmallIntegerField()
    shard = TextField()
    value = BigIntegerField()

    class Meta:
        primary_key = CompositeKey("live", "shadow", "live_label", "shadow_label", "shard")


class ShadowDifferenceRow(Table):
    """An email on which the shadow differs from what was live; the newest are kept."""

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
    """What FakeMail itself says of an email, asked for once it came up for review."""

    ref = BigIntegerField(primary_key=True)
    label = SmallIntegerField()
    confidence = DoubleField()
    at = DoubleField()


TABLES = (RuleRow, RuleChangeRow, ModelFileRow, ShadowCountRow, ShadowDifferenceRow, OpinionRow)


def create() -> None:
    """The migration's step: the tables, and small indexes of what comes up for review."""
    for model in TABLES:
        model.create_table()
    execute(
        "CREATE INDEX IF NOT EXISTS result_uncertain ON result (confidence) WHERE person_label IS NULL AND confidence < 0.6"
    )
    execute("CREATE INDEX IF NOT EXISTS result_ruled ON result (id) WHERE rule_label IS NOT NULL")
    execute("CREATE INDEX IF NOT EXISTS result_corrected ON result (person_at) WHERE person_label IS NOT NULL")
