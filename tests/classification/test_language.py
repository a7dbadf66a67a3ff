"""The language guess for an evaluation's slices is cheap, and returns nothing where it cannot tell."""

import pytest

from classification.language import UNTOLD, guess_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I will not be in the office on Monday, but you can call me.", "English"),
        ("Ich bin am Montag nicht im Büro, aber Sie können mich auch mit der Post erreichen.", "German"),
        ("Je ne suis pas au bureau lundi, mais vous pouvez appeler dans la journée.", "French"),
        ("El lunes no estoy en la oficina, pero usted me puede llamar por la tarde.", "Spanish"),
        ("Lunedì non sono in ufficio, ma il collega che mi sostituisce è alla scrivania.", "Italian"),
        ("Não estou no escritório na segunda, mas você pode ligar para o meu colega.", "Portuguese"),
        ("Ik ben maandag niet op het kantoor, maar je kunt mij wel bellen.", "Dutch"),
        ("Jag är inte på kontoret på måndag, men du kan ringa till mig och det är bra.", "Swedish or Danish"),
        ("Добрый день, меня не будет до понедельника.", "Cyrillic script"),
        ("月曜日はオフィスにいません", "Cjk script"),
        ("لن أكون في المكتب يوم الاثنين", "Arabic script"),
    ],
)
def test_a_sentence_is_told_by_its_commonest_words_or_its_script(text, language):
    assert guess_language(text) == language


@pytest.mark.parametrize("text", ["", "FYI", "42", "\x00\ud800\u200b", "Qx zvb trw", "😀" * 1_000])
def test_what_says_too_little_is_left_untold(text):
    assert guess_language(text) == UNTOLD
