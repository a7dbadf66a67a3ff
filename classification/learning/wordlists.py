"""The word-list labeller that such systems commonly ship: the first list with a match wins.

Used only in evaluation, as the baseline for the model to beat.
"""

from collections.abc import Sequence

from classification.records import LABELS, Classification, Email

LISTS: dict[str, tuple[str, ...]] = {
    "meeting": ("meeting", "appointment", "calendar", "schedule", "zoom", "teams", "join", "invite"),
    "promotion": ("offer", "discount", "sale", "promotion", "deal", "limited time", "exclusive", "buy", "subscribe"),
    "intro": (
        "introduction",
        "hello",
        "hi",
        "greetings",
        "welcome",
        "nice to meet",
        "introducing",
        "new",
        "connect",
    ),
}


class WordLists:
    """Labels an email by the first list with a word anywhere in subject or body. `classify` is like Classifier's."""

    version = "word-lists"

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Label each email; the confidence is always 1."""
        return [self._answer(self.label(email)) for email in emails]

    def label(self, email: Email) -> str:
        """Return the label of the first list that matches, or else `unknown`."""
        text = f"{email.subject} {email.body}".lower()
        return next((label for label, words in LISTS.items() if any(word in text for word in words)), "unknown")

    def _answer(self, label: str) -> Classification:
        shares = {name: float(name == label) for name in LABELS}
        return Classification(label, 1.0, shares, self.version, below_threshold=False, runner_up="unknown", flags=())
