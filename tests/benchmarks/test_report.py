"""Tables of figures: peers side by side, and what rows share said once."""

import json
from dataclasses import asdict, replace

import numpy as np

from tests.benchmarks.report import Figure, as_table
from tests.benchmarks.table import names


def test_peers_share_a_row_and_long_conditions_become_notes() -> None:
    about = "57 windows of stations nobody trained on"
    one = Figure(
        figure="P F1", value=0.95, unit="", goal=">= 0.9", peer="PhaseNet", peer_value=0.97,
        ratio=0.98, holds=True, conditions=f"95 % 0.91 to 0.98; {about}",
    )  # fmt: skip
    other = replace(one, peer="GPD", peer_value=0.8, ratio=1.19)
    bad = replace(one, figure="S F1", value=float("nan"), holds=False, conditions=about)
    unknown = Figure(figure="speed", value=None, unit="days", conditions="needs SeisBench")
    table = as_table([one, other, bad, bad, unknown])
    assert table.splitlines()[2:] == [
        "| P F1 (95 % 0.91 to 0.98) [1] | 0.95 | >= 0.9 | PhaseNet: 0.97 (0.98 ×); "
        "GPD: 0.8 (1.2 ×) | yes |",
        "| S F1 [1] | nan | >= 0.9 | PhaseNet: 0.97 (0.98 ×); PhaseNet: 0.97 (0.98 ×) | **no** |",
        "| speed (needs SeisBench) | not measured |  |  | - |",
        "",
        f"[1] {about}.",
    ]


def test_numpys_numbers_can_be_written_and_fail() -> None:
    value = np.float64(2.0)
    one = Figure(figure="misses", value=value, unit="", goal="<= 1", holds=np.less_equal(value, 1))
    assert one.holds is False
    assert json.loads(json.dumps(asdict(one)))["value"] == 2


def test_parts_of_a_benchmark_are_no_benchmarks() -> None:
    assert {"archive", "picking"} <= set(names())
    assert not {"picking_accuracy", "report", "ablation", "test_report"} & set(names())
