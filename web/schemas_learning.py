"""Data types of the API for what is learned and decided: rules, models, reprocessing, review.

They build on web/schemas.py.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from web.schemas import (
    Confidence,
    Count,
    Cursor,
    Decider,
    EmailId,
    Filter,
    Label,
    Limit,
    Moment,
    Number,
    Priority,
    ResultItem,
    Search,
    SourceName,
    Time,
)

# -- rules


class RuleCondition(msgspec.Struct, forbid_unknown_fields=True):
    """A pattern on the first 16,384 characters of a field; upper and lower case are equal.

    `literal`: text within the field; `glob` (`*`, `?`, `[abc]`): the whole field, for the sender also the bare address;
    `regex`: searched, in RE2's syntax.
    """

    field: Literal["sender", "subject", "body"]
    pattern: Annotated[str, Meta(min_length=1, max_length=500, examples=["*@example.com"])]
    kind: Literal["literal", "glob", "regex"] = "literal"


RuleName = Annotated[str, Meta(min_length=1, max_length=200, examples=["newsletters"])]
RuleConditions = Annotated[list[RuleCondition], Meta(min_length=1, max_length=20)]
RulePlace = Annotated[
    Number,
    Meta(
        description="The rule's place in the order; by default a new rule comes last, and an old one stays where it is"
    ),
]
RuleVersion = Annotated[Number, Meta(description="The version of the rule that you read; 409 if it has changed since")]


class RuleRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A rule: all conditions must hold. The first to match with a classification sets it; likewise for the priority."""

    name: RuleName
    conditions: RuleConditions
    classification: Label | None = None
    priority: Priority | None = None
    enabled: bool = True
    place: RulePlace | None = None
    version: RuleVersion | None = None


class RuleItem(msgspec.Struct):
    """A stored rule; `version` is that of the whole rule set at the rule's last change."""

    id: int
    place: Count
    name: str
    enabled: bool
    conditions: list[RuleCondition]
    classification: Label | None
    priority: Priority | None
    version: int
    created_at: Time
    updated_at: Time


class RuleList(msgspec.Struct):
    """All rules in their order."""

    items: list[RuleItem]
    version: Count


class RuleChangeItem(msgspec.Struct):
    """One change of a rule: the rule as it then was, null if it was deleted."""

    version: int
    at: Time
    rule: RuleItem | None


class RuleAnswer(RuleItem, kw_only=True):
    """A rule with its changes, newest first."""

    history: list[RuleChangeItem]


class RuleTest(msgspec.Struct, forbid_unknown_fields=True):
    """A rule (in `rule`, or the body itself) to try on the newest stored emails, as a new one or in place of `id`."""

    rule: RuleRequest | None = None
    id: Number | None = None
    limit: Annotated[int, Meta(ge=1, le=10_000, description="How many of the newest emails to try it on")] = 1_000
    name: RuleName | None = None
    conditions: RuleConditions | None = None
    classification: Label | None = None
    priority: Priority | None = None
    enabled: bool | None = None
    place: RulePlace | None = None
    version: RuleVersion | None = None


class LabelChange(msgspec.Struct, rename={"before": "from", "after": "to"}):
    """How many emails would change from one label to another."""

    before: Label
    after: Label
    count: Count


class RuleExample(msgspec.Struct):
    """An email that the rule matches, or whose label would change."""

    email_id: EmailId
    source: str
    subject: str
    sender: str
    classification: Label
    would_be: Label


class RuleTestAnswer(msgspec.Struct):
    """What the rule would do, with the other rules as they are. `complete`: all stored emails were looked at."""

    scanned: Count
    matched: Count
    would_change: Count
    changes: list[LabelChange]
    examples: list[RuleExample]
    complete: bool


# -- models


class PromoteQuery(msgspec.Struct):
    """Whether to promote even a model that does worse on the corrections; in the query or in the body."""

    force: bool = False


class Agreement(msgspec.Struct):
    """How often the shadow agreed with the live model, on a sample of live mail."""

    compared: Count
    agreed: Count
    share: Confidence | None
    differences: list[LabelChange]  # from: the live model's, to: the shadow's


class CorrectedScore(msgspec.Struct):
    """How well a model does on the newest emails that people corrected."""

    emails: Count
    right: Count
    share: Confidence | None


class ModelItem(msgspec.Struct):
    """A model; `figures` were measured when it was made, `corrected` is measured now (for the live one and the shadow).

    `usable`: this release can run it, since it ships this model or the one that it was trained from.
    """

    version: str
    role: Literal["live", "shadow", "previous"] | None
    origin: str
    parent: str | None
    created_at: Time
    size_bytes: Count
    figures: dict[str, Any]
    corrected: CorrectedScore | None
    usable: bool


class DifferingEmail(msgspec.Struct):
    """An email that the shadow labels differently from the model that labelled it."""

    email_id: EmailId
    source: str
    subject: str
    sender: str
    classification: Label  # as it counts today
    live: Label
    shadow: Label
    shadow_confidence: Confidence
    at: Time


class ModelList(msgspec.Struct):
    """All models, newest first; which one is live, which one runs beside it, and how they compare."""

    live: str
    shadow: str | None
    previous: str | None
    items: list[ModelItem]
    agreement: Agreement | None
    differing: list[DifferingEmail]


class PromoteAnswer(msgspec.Struct):
    """The model that is live now; every process follows within seconds."""

    live: str
    previous: str | None
    shadow: str | None


# -- reprocessing


class ReprocessFilter(msgspec.Struct, forbid_unknown_fields=True):
    """Which results: those that fit all conditions given."""

    classification: Label | None = None
    min_confidence: Confidence | None = None
    max_confidence: Confidence | None = None
    sender: Filter | None = None
    source: SourceName | None = None
    decided_by: Decider | None = None
    model_version: Annotated[str, Meta(max_length=100)] | None = None
    rule_id: Number | None = None
    since: Moment | None = None
    until: Moment | None = None
    q: Search | None = None


class ReprocessRequest(ReprocessFilter, forbid_unknown_fields=True, kw_only=True):
    """Classify stored results again with today's model and rules; conditions are in `filter` or beside it.

    `dry_run` only counts what would change.
    """

    filter: ReprocessFilter = msgspec.field(default_factory=ReprocessFilter)
    dry_run: bool = False


# -- review


class ReviewQuery(msgspec.Struct):
    """A page of the review queue."""

    source: SourceName | None = None
    limit: Limit = 20
    cursor: Cursor | None = None


class OtherOpinion(msgspec.Struct):
    """An opinion other than the live model's."""

    classification: Label
    confidence: Confidence | None = None
    rule_id: int | None = None


class ReviewItem(msgspec.Struct):
    """A result to look at. `similar`: uncorrected emails of its sender (or subject) with this label, at most 1,000."""

    result: ResultItem
    subject: str
    sender: str
    model: Label
    probabilities: dict[Label, Confidence]
    score: float
    reasons: list[Literal["uncertain", "shadow", "rule", "fakemail"]]
    shadow: OtherOpinion | None
    rule: OtherOpinion | None
    fakemail: OtherOpinion | None
    similar: Count


class ReviewPage(msgspec.Struct):
    """Least certain and most contested first; `total` is the number ranked at present."""

    items: list[ReviewItem]
    next_cursor: str | None
    total: Count
