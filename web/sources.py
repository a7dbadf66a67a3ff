"""The rule for `source=`: on every route that takes one, an unknown name is a 404 that lists the configured sources.

Called by web/dispatch.py before a handler runs. A source that is no longer configured still has its emails in the
books, so its name is accepted.
"""

from typing import Any

from engine.unicode import storable
from web.problems import Problem
from web.services import Services


def check_sources(services: Services, *read: Any, path: str) -> None:
    """Check the `source` of each parsed query or body, and of the `filter` in it; raises Problem 404."""
    filters = [getattr(each, "filter", None) for each in read]
    for name in (getattr(each, "source", None) for each in (*read, *filters)):
        if isinstance(name, str) and name not in services.sources:
            try:
                services.books.source(storable(name))
            except LookupError:
                raise no_source(services, name, state="unknown" if "{email_id}" in path else None) from None


def no_source(services: Services, name: str, **members: Any) -> Problem:
    """Return the problem of an unknown source, with the names of the configured ones."""
    return Problem(404, f"there is no source {name[:100]!r}", sources=sorted(services.sources), **members)
