"""Words are split alike from any text, and folded so that forms of one word share what is learned."""

import pytest

from classification.features import fold, occurrences, phrase_key, tokens
from classification.text import read


@pytest.mark.parametrize(
    ("word", "folded"),
    [
        ("10:30", "#time"),
        ("3pm", "#time"),
        ("2024", "#year"),
        ("12/31/2024", "#date"),
        ("monday", "#day"),
        ("sept", "#month"),
        ("meetings", "meet"),
        ("meeting.", "meet"),
        ("planned", "plan"),
        ("parties", "party"),
        ("http://example.com/x", "#link"),
        ("ann@example.com", "#address"),
        ("x" * 100, "#long"),
        ("don't", "don't"),
        ("...", "#mark"),
    ],
)
def test_forms_of_a_word_are_folded(word, folded):
    assert fold(word) == folded


def test_signs_that_tell_are_tokens():
    assert tokens("Save 20% now!", 10) == ["save", "20", "%", "now", "!"]


def test_text_with_accents_is_split_into_the_same_words():
    assert tokens("café, at 10:30!", 10) == ["café", "at", "10:30", "!"]


def test_phrases_of_the_lexicon_are_found_by_their_key():
    found = occurrences([read("x", "well, happy birthday to you")])
    assert phrase_key("happy birthday") in found.keys.tolist()


def test_phrases_do_not_reach_over_the_end_of_an_email():
    found = occurrences([read("x", "happy"), read("birthday", "")])
    assert phrase_key("happy birthday") not in found.keys.tolist()


def test_quoted_words_are_no_own_words():
    found = occurrences([read("x", "fine\n> happy birthday")])
    assert phrase_key("happy birthday") not in found.keys.tolist()
