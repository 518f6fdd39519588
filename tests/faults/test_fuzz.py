"""Thousands of damaged inputs: what is read is true or marked as doubtful, and nothing breaks."""

import pytest

from tests.counts import FUZZ
from tests.faults.fuzzing import fuzz


@pytest.mark.fault(21, 23, 24, 25, 28, 29, 30, 33, figure=True)
def test_damaged_input_is_never_silently_wrong(record_property) -> None:
    found = fuzz(0, FUZZ)
    record_property("fuzzed inputs", found.n_inputs + len(found.crashed) + len(found.hung))
    record_property("fuzzed samples", found.n_samples)
    record_property("fuzzed wrong", len(found.wrong))
    record_property("fuzzed crashes", len(found.crashed))
    record_property("fuzzed hangs", len(found.hung))
    assert (found.wrong, found.crashed, found.hung) == ([], [], [])
    assert found.n_inputs == FUZZ
