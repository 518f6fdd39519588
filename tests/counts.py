"""How many kills, damaged inputs and examples the tests try.

Few by default, so that the tests stay quick; ``python -m tests.benchmarks.faults`` raises them.
"""

import os


def _count(name: str, default: int) -> int:
    return int(os.environ.get(name, default))


KILLS = _count("GEOMON_TEST_KILLS", 5)
"""Writers killed while they fetch; a tenth of it while they pick, locate and backfill."""
FUZZ = _count("GEOMON_TEST_FUZZ", 250)
"""Damaged miniSEED inputs decoded."""
EXAMPLES = _count("GEOMON_TEST_EXAMPLES", 30)
"""Examples of a property test of the archive."""
