"""Text is split into words consistently, and forms of one word are folded so that they share what is learned."""

import pytest

from classification.features import SENDER, blocks_of, fold, occurrences, phrase_key, phrases, tokens, word_key
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


@pytest.mark.parametrize(
    ("sender", "words"),
    [
        ("Ann Lee <ann.lee-news@mail.example.co.uk>", ["ann", "lee", "news", "uk"]),
        ("offers@shop.example.COM", ["offers", "com"]),
        ("Lee, Ann", ["lee", "ann"]),
        ("<a@b>", ["b"]),
        ("", []),
        ("\ud800@\ud800.\ud800", ["\ud800"]),
        ("x@" + "y" * 10_000, ["y" * 318]),
    ],
)
def test_of_a_sender_the_names_and_the_last_part_of_the_domain_count(sender, words):
    text = read("x", "y", sender)
    found = [phrase for phrase in phrases(text) if phrase.field == "sender"]
    assert [phrase.words for phrase in found] == words
    assert all(text.sender[phrase.start : phrase.end].lower() == phrase.words for phrase in found)
    keys = occurrences([text]).keys[blocks_of([text]) == SENDER].tolist()
    assert {phrase.key for phrase in found} <= set(keys)


def test_a_senders_words_are_not_those_of_the_text():
    text = read("", "", "offers@shop.example.com")
    (offers, _) = (phrase.key for phrase in phrases(text))
    assert offers == word_key("offers", SENDER)
    assert offers not in occurrences([read("offers", "offers")]).keys.tolist()
