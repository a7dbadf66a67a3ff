"""The simulator's own opinion of an email, from nothing but a word list.

The review queue shows the answer of FakeMail's `POST /classify` beside our classification but never uses it as a
result, so a crude stand-in is enough: the label with the most words wins, with a confidence of at most 0.8.
"""

import re

_WORDS = {
    "meeting": ("meeting", "appointment", "calendar", "schedule", "zoom", "teams", "join", "invite"),
    "promotion": ("offer", "discount", "sale", "promotion", "deal", "limited time", "exclusive", "buy", "subscribe"),
    "intro": ("introduction", "welcome", "nice to meet", "introducing", "new", "connect", "hello", "greetings"),
}
_PATTERNS = {label: re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE) for label, words in _WORDS.items()}
_READ_CHARACTERS = 2000


def opinion(subject: str, body: str) -> tuple[str, float]:
    """Return a label and a confidence between 0.3 and 0.8."""
    text = f"{subject}\n{body[:_READ_CHARACTERS]}"
    counts = {label: len(pattern.findall(text)) for label, pattern in _PATTERNS.items()}
    label = max(counts, key=lambda name: counts[name])
    if not counts[label]:
        return "unknown", 0.3
    return label, round(0.3 + 0.5 * counts[label] / sum(counts.values()), 2)
