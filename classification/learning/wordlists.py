"""The word-list labeller that such systems commonly ship: the first list with a match wins.

Only evaluation uses it, as the baseline that the model has to beat. It relies on nothing.
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
    """Labels by the first list of which a word stands anywhere in subject or body; has `classify` as Classifier has."""

    version = "word-lists"

    def classify(self, emails: Sequence[Email]) -> list[Classification]:
        """Label each email; the confidence is 1, since word lists know no doubt."""
        return [self._answer(self.label(email)) for email in emails]

    def label(self, email: Email) -> str:
        """Return the label of the first list that matches, else `unknown`."""
        text = f"{email.subject} {email.body}".lower()
        return next((label for label, words in LISTS.items() if any(word in text for word in words)), "unknown")

    def _answer(self, label: str) -> Classification:
        shares = {name: float(name == label) for name in LABELS}
        return Classification(label, 1.0, shares, self.version, below_threshold=False, runner_up="unknown", flags=())
