"""Reduces garbage collection: objects loaded at the start are not scanned again, and young objects less often.

Called by commands/process.py once everything is set up. A batch makes and drops tens of thousands of small objects,
none of them in a cycle: with Python's default thresholds the collector scanned all of them a hundred times per batch,
to no effect.
"""

import gc

YOUNG, MIDDLE, OLD = 10_000, 20, 100


def spare_collector() -> None:
    """Freeze the objects that exist now and raise the thresholds; may be called again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
