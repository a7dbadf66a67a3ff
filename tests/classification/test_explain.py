"""The evidence has the weights behind the label and its exact positions, and removing it has the predicted effect."""

import json

import pytest

from classification import text
from classification.features import occurrences, phrases
from classification.model import Email

EMAIL = Email(
    "Re: Lunch on Thursday?",
    "Hi Bob,\n\nCould we meet for lunch at 12:30 on Thursday? Don't forget the café.\n\nAnn\n\n> buy now",
    sender="Ann <ann@news.example.com>",
    headers={"In-Reply-To": "<a@b>"},
)


def test_phrases_carry_the_same_keys_as_the_batch_encoding():
    read = text.read(EMAIL.subject, EMAIL.body, EMAIL.sender)
    found = occurrences([read])
    assert {phrase.key for phrase in phrases(read)} <= set(found.keys.tolist())


def test_evidence_points_to_the_words_in_the_text(classifier):
    explanation = classifier.explain(EMAIL)
    fields = {"subject": EMAIL.subject, "body": EMAIL.body, "sender": EMAIL.sender}
    placed = [entry for entry in explanation.evidence if entry.start is not None]
    assert placed
    for entry in placed:
        first = entry.name.split()[0]
        assert first in fields[entry.field][entry.start : entry.end].lower()


def test_what_the_senders_address_tells_is_named_as_such(classifier):
    email = Email("Your order", "Save money on our new range today", sender="Shop <news@shop.example.com>")
    found = [
        entry for entry in classifier.explain(email).evidence if entry.field == "sender" and entry.kind == "phrase"
    ]
    assert {email.sender[entry.start : entry.end] for entry in found} & {"news", "com"}


def test_the_strongest_reason_of_a_clear_meeting_speaks_for_meeting(classifier):
    explanation = classifier.explain(EMAIL)
    assert explanation.classification.label == "meeting"
    assert any(entry.label == "meeting" for entry in explanation.evidence[:5])
    weights = [entry.weight for entry in explanation.evidence]
    assert weights == sorted(weights, reverse=True)


def test_the_explanation_agrees_with_classify(classifier):
    (answer,) = classifier.classify([EMAIL])
    assert classifier.explain(EMAIL).classification.label == answer.label


def test_a_flip_names_what_to_take_away_and_what_comes_then(classifier):
    email = Email("Thursday", "I can call you about the report on Thursday")
    explanation = classifier.explain(email)
    if explanation.flip is not None:
        assert explanation.flip["label"] != explanation.classification.label
        assert explanation.flip["without"]


def test_an_explanation_turns_into_json(classifier):
    assert json.loads(json.dumps(classifier.explain(EMAIL).to_dict()))["runner_up"]


def test_nothing_to_explain_is_no_error(classifier):
    assert classifier.explain(Email("", "")).classification.label == "unknown"


def test_the_same_words_at_the_same_place_are_one_reason(classifier):
    """The words also count in the opening and the subject, each with its own weight."""
    found = [(entry.name, entry.field, entry.start) for entry in classifier.explain(EMAIL).evidence]
    assert len(found) == len(set(found))


def places(classifier, email):
    """Return the email's text at the positions of the evidence, by the words reported there."""
    fields = {"subject": email.subject, "body": email.body, "sender": email.sender}
    return {
        (entry.field, entry.name): fields[entry.field][entry.start : entry.end].lower()
        for entry in classifier.explain(email).evidence
        if entry.kind == "phrase" and entry.start is not None
    }


def letters(words):
    return "".join(filter(str.isalnum, words))


@pytest.mark.parametrize(
    "email",
    [
        Email("İİİ meeting", "İstanbul İzmir: can we have a meeting on tuesday?", "x@example.com"),
        Email("İİİ", "İ sale, save 50% on everything, unsubscribe below", "İ <sale@shop.com>"),
        Email("a", "", "Sale <sale@sale.com>"),
    ],
)
def test_places_are_those_of_the_given_text(classifier, email):
    found = places(classifier, email)
    assert found
    for (_, name), there in found.items():
        assert letters(there) == letters(name)


def test_a_name_of_the_senders_address_is_not_sought_in_its_domain_or_the_name_before_it(classifier):
    found = [each for each in phrases(text.read("", "", "Sale <sale@sale.com>")) if each.words == "sale"]
    assert [(each.start, each.end) for each in found] == [(6, 10)]


def test_what_a_style_or_a_tag_says_is_no_place_of_a_word(classifier):
    body = (
        "<html><style>.sale { save: 50% }</style><body class='sale save 50% unsubscribe'>"
        "<p>Our big <b>sale</b>: save <i style='sale'>50%</i> on everything, unsubscribe</p></body></html>"
    )
    shown = body.index("Our big")
    found = [each for each in classifier.explain(Email("", body)).evidence if each.field == "body" and each.start]
    assert {each.name for each in found} & {"sale", "save", "unsubscribe"}
    assert all(each.start >= shown for each in found)
    tags = [each for each in found if "<" in body[each.start : each.end]]
    assert all(each.name.split()[0] == body[each.start :].split("<", maxsplit=1)[0].lower().strip() for each in tags)
