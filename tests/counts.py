"""How many kills and damaged inputs the tests try; `tests.stores.contents.examples` has examples.

Few by default, so that the tests stay quick; ``python -m tests.benchmarks.faults`` raises them.
"""

import os


def _count(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


KILLS = _count("GEOMON_TEST_KILLS", 3)
"""Writers killed while they fetch; a tenth of it while they pick, locate and backfill."""
FUZZ = _count("GEOMON_TEST_FUZZ", 200)
"""Damaged miniSEED inputs decoded."""
