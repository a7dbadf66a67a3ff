"""The stores for rules, models, corrections, reprocessing and review, in one record that is passed around as a whole.

Made by commands/stores.py; used by the deciders, the tasks and the web.
"""

from dataclasses import dataclass

from storage.corrections import Corrections
from storage.database import Database
from storage.model_files import ModelStore
from storage.reprocessing import Reprocessing
from storage.review import ReviewStore
from storage.rules import RuleStore


@dataclass(frozen=True, slots=True)
class Learning:
    """The learning stores of one system."""

    rules: RuleStore
    models: ModelStore
    corrections: Corrections
    reprocessing: Reprocessing
    reviews: ReviewStore

    @classmethod
    def of(cls, database: Database) -> "Learning":
        """Create all stores on one database."""
        return cls(
            RuleStore(database),
            ModelStore(database),
            Corrections(database),
            Reprocessing(database),
            ReviewStore(database),
        )
