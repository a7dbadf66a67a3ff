"""A cheap guess at a text's language, by its script or else by the commonest words of each language.

evaluation.py groups emails by it; labels never depend on it. It knows eight languages in Latin letters and the names of
other scripts, and reports when it cannot tell.
"""

import re
import unicodedata
from collections import Counter

UNTOLD = "cannot tell"
_READ = 2_000
_FEWEST = 3
_WORD = re.compile(r"[^\W\d_]+")
_COMMON = {
    "English": "the and of to in is you that it for on with are this be have from your we will not was i can if",
    "German": "der die und das ist nicht ich sie mit den von für auf ein eine wir zu auch dass bei wird ihre haben",
    "French": "le la les et des est vous que pour dans une nous pas sur avec du votre je au ce sont être à",
    "Spanish": "el la los que y en de es para por una las con su del usted como más se lo al está",
    "Italian": "il di che è per un della una con sono gli del si non le più anche questo al da nel",
    "Portuguese": "o que de e para uma com não os do da em você por mais as no na seu é ao são",
    "Dutch": "de het een en van is dat ik niet op te voor met zijn je aan er u wij naar deze om",
    "Swedish or Danish": "och det att som en på är jag med för den inte av till har vi og er ikke jeg af til ikke",
}
_LANGUAGES: dict[str, list[str]] = {}
for _language, _words in _COMMON.items():
    for _one in set(_words.split()):
        _LANGUAGES.setdefault(_one, []).append(_language)


def guess_language(text: str) -> str:
    """Return the name of a language or a script ("Cyrillic script"), or "cannot tell" on too little evidence."""
    words = _WORD.findall(text[:_READ].lower())
    foreign = Counter(_script(word) for word in words if not word.isascii())
    del foreign["LATIN"]
    if sum(foreign.values()) * 2 > len(words):
        return f"{foreign.most_common(1)[0][0].capitalize()} script"
    votes: Counter[str] = Counter()
    for word in words:
        votes.update(_LANGUAGES.get(word, ()))
    ranked = votes.most_common(2)
    if not ranked or ranked[0][1] < _FEWEST or (len(ranked) > 1 and ranked[0][1] == ranked[1][1]):
        return UNTOLD
    return ranked[0][0]


def _script(word: str) -> str:
    """Return the script of a word's first non-ASCII letter by its Unicode name: LATIN, CYRILLIC, CJK and so on."""
    letter = next(character for character in word if not character.isascii())
    return unicodedata.name(letter, "OTHER").partition(" ")[0]
