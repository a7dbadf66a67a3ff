"""Each signal fires on the mail that a person would expect."""

import numpy as np
import pytest

from classification import lexicon, signals
from classification.encoding import Vocabulary, encode
from classification.model import Email


def fired(email):
    row = encode([email], Vocabulary(np.array([], dtype=np.uint32))).signals[0]
    return {name for name, value in zip(signals.NAMES, row, strict=True) if value}


@pytest.mark.parametrize(
    ("email", "name"),
    [
        (Email("x", "y", headers={"X-Calendar-Method": "REQUEST"}), "calendar method"),
        (Email("x", "y", headers={"Content-Type": "text/calendar; charset=utf-8"}), "calendar part"),
        (Email("x", "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:z"), "calendar part"),
        (Email("x", "y", headers={"list-unsubscribe": "<x>"}), "List-Unsubscribe without List-Id"),
        (Email("x", "y", headers={"List-Id": "<x>", "List-Unsubscribe": ["<x>", "<y>"]}), "discussion list"),
        (Email("x", "y", headers={"Precedence": "bulk"}), "bulk precedence"),
        (Email("x", "y", headers={"Auto-Submitted": "auto-replied"}), "automatic sender"),
        (Email("x", "y", headers={"In-Reply-To": "<x>"}), "In-Reply-To"),
        (Email("x", "y", sender="News <newsletter@example.com>"), "sender role name"),
        (Email("RE: x", "y"), "subject says reply"),
        (Email("Fwd: x", "y"), "subject says forward"),
        (Email("[dev] x", "y"), "subject is a list tag"),
        (Email("Accepted: x", "y"), "subject says calendar"),
        (Email("x", "yes, please\n> z"), "quotes earlier mail"),
        (Email("x", "only $5"), "money signs"),
        (Email("x", "20% less"), "percent signs"),
        (Email("BUY THIS NOW", "y"), "shouting"),
        (Email("x", "see https://example.com"), "links"),
        (Email("x", "at 10:30"), "clock time"),
        (Email("x", "on Thursday"), "day named"),
        (Email("x", "Are you available then?"), "asking for a time"),
        (Email("x", "My name is Ann"), "introducing somebody"),
        (Email("x", "Happy birthday!"), "wishes"),
        (Email("x", "click here to unsubscribe"), "way out of a mailing"),
        (Email("x", "Dear Ann,"), "greeting opens the body"),
    ],
)
def test_a_signal_fires_on_its_mail(email, name):
    assert name in fired(email)


def test_a_plain_note_fires_few_signals():
    assert not fired(Email("boat", "it leaks")) & set(lexicon.LEXICON)


def test_every_phrase_of_the_lexicon_has_at_most_three_words():
    for phrases in lexicon.LEXICON.values():
        assert all(1 <= len(phrase.split()) <= 3 for phrase in phrases.split("|"))
