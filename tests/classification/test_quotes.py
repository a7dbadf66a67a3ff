"""A reply is judged by its own words: every style of quoting is cut away."""

import pytest

from classification.quotes import split_quotes
from classification.text import read

OWN = "Thursday is fine."

QUOTED = {
    "outlook": f"{OWN}\n\n-----Original Message-----\nFrom: Ann\nSent: Monday\n\nold words",
    "outlook header": f"{OWN}\n\nFrom: Ann <a@b.c>\nSent: Monday\nTo: Bob\nSubject: x\n\nold words",
    "gmail": f"{OWN}\n\nOn Mon, Jan 3, 2022 at 9:00 AM Ann <a@b.c>\nwrote:\n\nold words",
    "marked lines": f"On Monday Ann wrote:\n> old words\n> more\n\n{OWN}\n",
    "forwarded": f"{OWN}\n\n---------- Forwarded message ----------\nFrom: Ann\n\nold words",
    "lotus": f"{OWN}\n\n---------------------- Forwarded by Ann/HOU/EES on 01/02/2001 ------\n\nold words",
    "signature": f"{OWN}\n-- \nold words",
    "list footer": f"{OWN}\n_______________________________\nlist mailing list\nold words",
    "phone": f"{OWN}\nSent from my iPhone\nold words",
}


@pytest.mark.parametrize("kind", QUOTED)
def test_quoted_words_are_cut_from_ones_own(kind):
    own, quoted = split_quotes(QUOTED[kind])
    assert own.strip() == OWN
    assert "old words" in quoted


def test_words_between_marked_lines_are_kept():
    own, _ = split_quotes("> first question\nyes\n> second question\nno\n")
    assert own.split() == ["yes", "no"]


def test_a_bare_forward_is_judged_by_what_it_forwards():
    text = read(
        "Fw: party",
        "\n\n-----Original Message-----\nFrom: Ann\nSent: Monday\nTo: Bob\nSubject: party\n\nCome at eight!",
    )
    assert text.forward
    assert "Come at eight!" in text.own
    assert "From: Ann" not in text.own


def test_text_without_quotes_is_left_alone():
    assert split_quotes("To: me it seems fine.\nFrom: now on, too.") == (
        "To: me it seems fine.\nFrom: now on, too.",
        "",
    )
