"""Spares the garbage collector: what was loaded at the start is not looked at again, and young objects are looked at less often.

Called by commands/process.py once all is set up. A batch makes and drops tens of thousands of small objects, none of them in a cycle:
with Python's own thresholds the collector went over all of them a hundred times a batch, for nothing.
"""

import gc

YOUNG, MIDDLE, OLD = 10_000, 20, 100


def spare_collector() -> None:
    """From now on; may be called again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, MIDDLE, OLD)
