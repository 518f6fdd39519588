"""Matching and scores, how sure they are, budgets, tasks and calibration."""

from collections.abc import Sequence
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geomon.errors import DataError
from geomon.events import Phase, Pick
from geomon.ids import SeedId
from geomon.times import from_ns
from geomon.training.evaluate.bootstrap import difference, interval, rate_interval
from geomon.training.evaluate.budget import LOWEST, counted, matched_thresholds, station_days
from geomon.training.evaluate.calibration import calibration
from geomon.training.evaluate.labelled import (
    extra_picks,
    grouped,
    kept,
    score_windows,
    snr_db,
)
from geomon.training.evaluate.scores import Score, match, metric, score
from geomon.training.evaluate.tasks import OnsetTimes, area_under_curve, matthews
from geomon.training.evaluate.testsets import synthetic_set
from geomon.training.recordings import LabelledWindow

times = st.lists(st.floats(0, 20, allow_nan=False), max_size=12)


@given(times, times, st.floats(0.01, 2))
def test_matching_is_one_to_one_and_within_tolerance(
    one: list[float], two: list[float], tolerance: float
) -> None:
    pairs = match(one, two, tolerance)
    assert len({i for i, _ in pairs}) == len(pairs) == len({j for _, j in pairs})
    assert all(abs(one[i] - two[j]) <= tolerance for i, j in pairs)
    left = set(range(len(one))) - {i for i, _ in pairs}
    right = set(range(len(two))) - {j for _, j in pairs}
    assert not any(abs(one[i] - two[j]) <= tolerance for i in left for j in right)


def test_scores() -> None:
    result = score([[1.0, 5.0], [3.0]], [[1.05, 4.9, 8.0], []], 0.5)
    assert (result.n_true, result.n_found) == (3, 3)
    assert result.recall == result.precision == result.f1 == pytest.approx(2 / 3)
    assert result.bias_s == pytest.approx(-0.025)
    assert result.mae_s == pytest.approx(0.075)
    assert result.part([1]).recall == 0
    assert result.part([0]).residuals_s == pytest.approx([0.05, -0.1])
    nothing = score([[]], [[]], 0.5)
    assert np.isnan([nothing.f1, nothing.bias_s, nothing.mae_s, nothing.std_s]).all()


def records(share_found: float, n: int = 200, seed: int = 0) -> Score:
    """One true pick a record, found in a share of them."""
    found = np.random.default_rng(seed).random(n) < share_found
    counts = np.stack([np.ones(n), found, found], axis=1).astype(np.int64)
    return Score(counts, np.zeros(int(found.sum())))


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    truth = float(metric("recall", [100, 80, 80]))
    found = [interval(records(0.8, seed=k), "recall", draws=400) for k in range(200)]
    held = np.mean([one.low <= truth <= one.high for one in found])
    assert 0.88 <= held <= 0.99
    assert all(one.low <= one.estimate <= one.high for one in found)


def test_windows_of_one_event_are_drawn_together() -> None:
    one = records(0.8)
    alone = interval(one, "recall")
    together = interval(one, "recall", groups=[str(k // 20) for k in range(200)])
    # Twenty copies of ten outcomes say no more than the ten.
    copies = Score(np.repeat(one.counts[:10], 20, axis=0), np.zeros(0))
    copied = interval(copies, "recall", groups=[str(k // 20) for k in range(200)])
    assert copied.high - copied.low > 2 * (alone.high - alone.low)
    assert together.estimate == alone.estimate
    with pytest.raises(DataError, match="same records"):
        interval(one, groups=["a"])


def test_differences_are_paired() -> None:
    good, same = records(0.8), records(0.8)
    worse = Score(good.counts.copy(), good.residuals_s)
    worse.counts[:20, 2] = 0
    assert difference(good, same) == difference(same, good)
    assert difference(good, same).high == 0
    gain = difference(good, worse)
    assert gain.low > 0
    assert gain.estimate == pytest.approx(good.f1 - worse.f1)
    with pytest.raises(DataError, match="same records"):
        difference(good, records(0.8, n=50))


def test_rates_of_few_things_are_unsure() -> None:
    none, some = rate_interval(0, 2.0), rate_interval(8, 2.0)
    assert none.low == 0
    assert none.high > 1.5
    assert some.low < 4.0 < some.high


def picks(
    window: LabelledWindow, phase: Phase, seconds: Sequence[float], chance: float = 0.9
) -> list[Pick]:
    start = from_ns(window.span.start_ns)
    seed_id = SeedId.parse("XX.S..HHZ")
    return [Pick(start + timedelta(seconds=t), seed_id, phase, chance, 0.05) for t in seconds]


@pytest.fixture(scope="module")
def windows() -> tuple[LabelledWindow, ...]:
    return synthetic_set(6).windows


def test_only_picks_near_the_event_count(windows: tuple[LabelledWindow, ...]) -> None:
    window = windows[0]
    s = window.s_index / 100 if window.s_index == window.s_index else 31.0
    found = [*picks(window, "P", [30.02, 28.0, s + 3.2]), *picks(window, "S", [29.0], 0.2)]
    result = score_windows([window], [found], "P", 0.1)
    assert (result.n_true, result.n_found) == (1, 2)
    assert result.residuals_s == pytest.approx([0.02])
    assert extra_picks([window], [found]) == 2
    assert extra_picks([window], kept([found], {"P": 0.5, "S": 0.5})) == 1


def test_a_phase_nobody_labelled_is_not_missed(windows: tuple[LabelledWindow, ...]) -> None:
    from dataclasses import replace

    window = replace(windows[0], s_index=float("nan"))
    assert score_windows([window], [[]], "S", 0.5).n_true == 0
    assert score_windows([window], [picks(window, "P", [30.0])], "P", 0.5).f1 == 1


def test_windows_fall_into_classes(windows: tuple[LabelledWindow, ...]) -> None:
    by_snr = grouped(windows, "signal-to-noise ratio")
    assert sorted(k for rows in by_snr.values() for k in rows) == list(range(6))
    assert all(snr_db(window) > 5 for window in windows)
    assert list(grouped(windows, "sampling rate")) == ["100 Hz"]
    assert list(grouped(windows, "components")) == ["ZNE"]


def test_matched_budget_keeps_exactly_as_many_picks(windows: tuple[LabelledWindow, ...]) -> None:
    chances = np.linspace(0.05, 0.95, 19)
    mine = [one for c in chances for one in picks(windows[0], "P", [10.0], float(c))]
    limits = matched_thresholds(mine, {"P": 7, "S": 2})
    assert counted(mine, limits) == {"P": 7, "S": 0}
    assert limits["S"] == LOWEST
    assert matched_thresholds(mine, {"P": 100})["P"] == LOWEST
    with pytest.raises(DataError, match="no continuous recordings"):
        station_days([])


def test_calibration_sees_overconfidence(windows: tuple[LabelledWindow, ...]) -> None:
    # Half of the windows have a true pick, all say 0.9; residuals are 0.01 and 0.2 s, sigma 0.05.
    offsets = (0.01, 0.2, 0.01, 2.0, 2.0, 2.0)
    found = [picks(w, "P", [30 + off]) for w, off in zip(windows, offsets, strict=True)]
    result = calibration(windows, found, "P", 0.5)
    assert [(row.n, row.share_true) for row in result.reliability] == [(6, 0.5)]
    assert result.expected_error == pytest.approx(0.4)
    assert result.n == 3
    assert result.within_1_sigma == result.within_2_sigma == pytest.approx(2 / 3)


def test_task_statistics() -> None:
    assert area_under_curve(np.array([0.9, 0.8]), np.array([0.1, 0.2])) == 1
    assert np.isnan(area_under_curve(np.array([]), np.array([0.1])))
    truth = np.array([True, True, False, False])
    assert matthews(truth, truth) == 1
    assert matthews(~truth, truth) == -1
    assert matthews(np.ones(4, dtype=bool), truth) == 0
    times = OnsetTimes.of(np.array([0.1, -0.1, 1.0]))
    assert times.outliers == pytest.approx(1 / 3)
    assert times.modified_mae_s == times.modified_rmse_s == pytest.approx(0.1)
    assert times.mae_s == pytest.approx(0.4)
    assert OnsetTimes.of(np.array([])).n == 0
