"""`/models`: which model is live, which runs beside it, how they agree, and promoting one; also `/reprocess`.

Promoting writes the desired state; every process of every node loads the model's file from SQL and switches to it.
"""

from collections import Counter
from typing import Any

import msgspec

from actors.deciding import Score
from actors.events import readable_id
from actors.reprocessing import KIND as REPROCESS
from classification.model import Classifier
from engine.timestamps import timestamp
from storage.model_files import Difference, ModelInfo
from storage.reading import EmailFilter
from web.dispatch import Answer, Call
from web.problems import Problem
from web.rules_trial import label_changes
from web.schemas_learning import ReprocessFilter, ReprocessRequest
from web.tasks import accepted
from web.validation import place_of, read_sender, read_time, whole_filter

DIFFERING = 50


def all_models(call: Call) -> dict[str, Any]:
    """Return all models, newest first, with the shadow's agreement on live mail and on emails that people corrected."""
    learning, deciders = call.services.learning, call.services.classifier
    roles = learning.models.roles()
    live = deciders.live(roles)
    by_role = {roles.previous: "previous", roles.shadow: "shadow", live: "live"}
    shadow = roles.shadow
    compared = [deciders.load(version) for version in (live, shadow) if version]
    scores = {each.version: deciders.score(each, learning.corrections) for each in compared if each}
    return {
        "live": live,
        "shadow": shadow,
        "previous": roles.previous,
        "items": [
            {
                **model_item(each, by_role.get(each.version), scores.get(each.version)),
                "usable": deciders.can_use(each),
            }
            for each in learning.models.all()
        ],
        "agreement": agreement(learning.models.agreement(live, shadow)) if shadow else None,
        "differing": [_differing(each) for each in learning.models.differences(shadow, DIFFERING)] if shadow else [],
    }


def model_item(model: ModelInfo, role: str | None, score: Score | None) -> dict[str, Any]:
    """Return a model as the API shows it."""
    return {
        "version": model.version,
        "role": role,
        "origin": model.origin,
        "parent": model.parent,
        "created_at": timestamp(model.created_at),
        "size_bytes": model.size_bytes,
        "figures": model.figures,
        "corrected": score_item(score) if score else None,
    }


def score_item(score: Score) -> dict[str, Any]:
    """Return a model's score on the corrections."""
    share = round(score.right / score.corrections, 4) if score.corrections else None
    return {"emails": score.corrections, "right": score.right, "share": share}


def agreement(counts: dict[tuple[str, str], int]) -> dict[str, Any]:
    """Return how often the shadow agrees with the live model on live mail."""
    compared = sum(counts.values())
    agreed = sum(count for (live, shadow), count in counts.items() if live == shadow)
    differences = Counter({pair: count for pair, count in counts.items() if pair[0] != pair[1]})
    return {
        "compared": compared,
        "agreed": agreed,
        "share": round(agreed / compared, 4) if compared else None,
        "differences": label_changes(differences),
    }


def _differing(each: Difference) -> dict[str, Any]:
    return {
        "email_id": readable_id(each.key),
        "source": each.source,
        "subject": each.subject,
        "sender": each.sender,
        "classification": each.label,
        "live": each.live_label,
        "shadow": each.shadow_label,
        "shadow_confidence": round(each.confidence, 4),
        "at": timestamp(each.at),
    }


def promote(call: Call, version: str) -> dict[str, Any]:
    """Make a model the live one, on every node and without a restart. Promoting the previous live model rolls back.

    409 if the model does worse than the live one on people's corrections, or did worse on held-out corrections when it
    was trained, unless `force` is true (in the query or a JSON body). Going back to the previous live model is never
    refused.
    """
    models, deciders = call.services.learning.models, call.services.classifier
    packaged, roles = deciders.packaged.version, models.roles()
    live, info = deciders.live(roles), models.get(version)
    if info is None and version != packaged:
        raise Problem(404, f"there is no model {version[:100]!r}")
    candidate = deciders.load(version)
    if candidate is None:
        raise Problem(404, f"there is no usable model {version[:100]!r}")
    if version not in {live, roles.previous} and not (call.query.force or call.body.force):
        _compare(call, live, candidate, info.figures if info else {})
    roles = models.promote(version, packaged)
    call.services.call_out()
    return {"live": roles.live or packaged, "previous": roles.previous, "shadow": roles.shadow}


def _compare(call: Call, live: str, candidate: Classifier, figures: dict[str, Any]) -> None:
    """Raise Problem 409 if the candidate is worse on the corrections than the live model; `figures` are its own."""
    deciders, corrections = call.services.classifier, call.services.learning.corrections
    ours = deciders.load(live)
    if ours is None:
        return
    before, after = deciders.score(ours, corrections), deciders.score(candidate, corrections)
    held_out, prior = (figures.get(name) for name in ("right_held_out", "right_before"))
    if held_out is not None and prior is not None and held_out < prior:
        raise Problem(
            409,
            f"when it was trained, models that had not seen a correction got {held_out:.0%} of them right, the model before it "
            f"{prior:.0%}; force=true promotes it anyway",
        )
    if after.right < before.right:
        raise Problem(
            409,
            f"it gets {after.right} of {after.corrections} corrected emails right, the live one {before.right}; "
            "force=true promotes it anyway",
            live=score_item(before),
            candidate=score_item(after),
        )


def reprocess(call: Call) -> Answer:
    """Classify stored emails again with today's model and rules, as a low-priority task: 202 with its address.

    The task's `counts` say what changed, or with `dry_run` would change: `changed`, and `x_to_y` for each pair of
    labels. A person's label is never overwritten, no state changes, and nothing is fetched. While the task runs, the
    same request returns the same task, unless the model or the rules have changed.
    """
    learning = call.services.learning
    wanted = msgspec.to_builtins(_filter(call.body, call.query.source))
    params = {
        "filter": {name: value for name, value in wanted.items() if value is not None},
        "dry_run": call.body.dry_run,
        "model_version": call.services.classifier.live(learning.models.roles()),
        "rules_version": learning.rules.all()[0],
    }
    return accepted(call.services.tasks.create(REPROCESS, params))


def _filter(request: ReprocessRequest, source: str | None) -> EmailFilter:
    wanted = whole_filter(request, ReprocessFilter, source)
    return EmailFilter(
        source=wanted.source,
        classification=wanted.classification,
        min_confidence=wanted.min_confidence,
        max_confidence=wanted.max_confidence,
        sender=read_sender(place_of(request, "sender"), wanted.sender, 422),
        decided_by=wanted.decided_by,
        model_version=wanted.model_version,
        rule_id=wanted.rule_id,
        since=read_time(place_of(request, "since"), wanted.since, 422),
        until=read_time(place_of(request, "until"), wanted.until, 422),
        q=wanted.q,
    )
