"""The stores around rules, models, corrections and review, in one record: what is handed down together.

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
    """One system's."""

    rules: RuleStore
    models: ModelStore
    corrections: Corrections
    reprocessing: Reprocessing
    reviews: ReviewStore

    @classmethod
    def of(cls, database: Database) -> "Learning":
        """All of them on one database."""
        return cls(
            RuleStore(database),
            ModelStore(database),
            Corrections(database),
            Reprocessing(database),
            ReviewStore(database),
        )
