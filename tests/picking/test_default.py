"""The shipped picker: what it finds, and what it leaves alone."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from geomon.events import Pick
from geomon.ids import SeedId
from geomon.picking.card import Picker, load_picker, picker_folder
from geomon.picking.infer import pick
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import SourceAndPath
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.training.evaluate import pick_windows, score, score_windows
from geomon.training.evaluate.artefacts import ARTEFACTS, false_picks
from geomon.training.evaluate.labelled import extra_picks
from geomon.training.evaluate.perturbations import Perturbation, gain, rotated
from geomon.training.evaluate.robustness import perturbed, shift_test
from geomon.training.recordings import (
    LabelledWindow,
    is_training_station,
    read_streams,
    read_windows,
    whole_span,
)
from geomon.waveforms import Segment
from tests.picking.conftest import START_NS

N = 1200 * 100
SPAN = TimeSpan(START_NS, START_NS + N * 10_000_000)


@pytest.fixture(scope="module")
def default() -> Picker:
    return load_picker("default")


def noise() -> np.ndarray:
    """Twenty minutes of noise in counts, microseism included, shape (N, 3)."""
    rng = np.random.default_rng(9)
    t = np.arange(N) / 100
    sea = 300 * np.sin(2 * np.pi * t[:, None] / 5 + np.arange(3)) * np.sin(t / 40)[:, None]
    return 100 * lfilter([1], [1, -0.9], rng.normal(size=(N, 3)), axis=0) + sea


def segments(samples: np.ndarray, components: str = "ZNE") -> list[Segment]:
    return [
        Segment(
            SeedId.parse(f"XX.STA..HH{letter}"), START_NS, 100.0,
            np.round(samples[:, column]).astype(np.int32),
        )
        for column, letter in enumerate(components)
    ]  # fmt: skip


def spike(x: np.ndarray, at: int) -> None:
    x[at] += 200 * x.std()


def step(x: np.ndarray, at: int) -> None:
    x[at : at + 3000] += 30_000


def calibration(x: np.ndarray, at: int) -> None:
    t = np.arange(3000) / 100
    x[at : at + 3000] += 20_000 * (np.exp(-t / 0.8) * np.sin(2 * np.pi * t))[:, None]


def recentred(x: np.ndarray, at: int) -> None:
    x[at : at + 3000] += 50_000 * np.exp(-np.arange(3000) / 2000)[:, None]


def zeros(x: np.ndarray, at: int) -> None:
    x[at : at + 3000] = 0


def flat(x: np.ndarray, at: int) -> None:
    x[at : at + 1500] = x[at]


@pytest.mark.fault(55, slow=True)
@pytest.mark.parametrize(
    "happens",
    [None, spike, step, calibration, recentred, zeros, flat],
)
def test_silent_on_what_is_no_earthquake(
    default: Picker, happens: Callable[[np.ndarray, int], None] | None
) -> None:
    samples = noise()
    times = range(3011, N - 4000, 6007)
    if happens is not None:
        for at in times:
            happens(samples, at)
    found = pick(default, segments(samples), SPAN)
    assert len(found) <= len(times) // 10


@pytest.mark.parametrize("kind", ARTEFACTS)
def test_at_most_one_false_pick_an_hour_of_what_goes_wrong_each_minute(
    default: Picker, kind: str
) -> None:
    assert false_picks(default, kind, seconds=7200).believed <= 2


@pytest.mark.fault(54, slow=True)
def test_silent_at_every_gap(default: Picker) -> None:
    whole = segments(noise())
    pieces = [
        Segment(s.seed_id, s.time_ns(at), 100.0, s.samples[at : at + 1500])
        for s in whole
        for at in range(0, N - 1500, 1700)
    ]
    assert len(pick(default, pieces, SPAN)) <= 4


def quakes(snr: float) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Thirty earthquakes on noise, S 1 to 8 s after P; their P and S times in seconds."""
    rng = np.random.default_rng(4)
    samples = noise()
    lead = rng.uniform(1, 8, 30)
    motion = seismograms(
        rng,
        SourceAndPath.draw(
            rng, magnitude=np.full(30, 1.5), hypocentral_distance_km=8 * lead,
            p_time_s=np.full(30, 5.0), s_time_s=5 + lead, head_delay_s=np.zeros(30),
        ),
        n_samples=3500, sampling_rate_hz=100.0,
    )  # fmt: skip
    times = []
    for k, trace in enumerate(motion):
        begin = 3000 + 3800 * k
        first = np.sqrt((trace[:, 500:600] ** 2).mean(axis=1)).max()
        samples[begin : begin + 3500] += trace.T * (snr * 150 / first)
        times.append((begin / 100 + 5, begin / 100 + 5 + lead[k]))
    return samples, times


def found_times(picks: list[Pick], phase: str) -> list[float]:
    return [(to_ns(p.time) - START_NS) / NS_PER_S for p in picks if p.phase == phase]


@pytest.mark.parametrize(
    ("components", "p_recall", "s_recall"), [("ZNE", 0.9, 0.85), ("Z", 0.85, 0.6)]
)
def test_finds_synthetic_earthquakes(
    default: Picker, components: str, p_recall: float, s_recall: float
) -> None:
    samples, times = quakes(10)
    picks = pick(default, segments(samples, components), SPAN)
    p = score([[t for t, _ in times]], [found_times(picks, "P")], 0.3)
    s = score([[t for _, t in times]], [found_times(picks, "S")], 0.4)
    assert p.recall >= p_recall
    assert s.recall >= s_recall
    assert p.precision >= 0.8
    assert all(0 < one.uncertainty_s < 1 and one.probability <= 1 for one in picks)


@pytest.mark.fault(55, slow=True)
def test_a_spike_before_p_hides_nothing(default: Picker) -> None:
    samples, times = quakes(10)
    largest = np.abs(samples).max()
    for p, _ in times:
        samples[round(100 * p) - 300] += 100 * largest
    picks = pick(default, segments(samples), SPAN)
    assert score([[t for t, _ in times]], [found_times(picks, "P")], 0.3).recall >= 0.9


@pytest.fixture(scope="module")
def held_out(shared_data: Path) -> list[LabelledWindow]:
    """Windows with all components of stations that the picker never saw."""
    return [
        window
        for window in read_windows(shared_data / "phasenet_ncedc" / "dataset" / "waveform_train")
        if not is_training_station(window.station_id) and len(window.segments) == 3
    ]


def test_labelled_windows_of_stations_never_trained_on(
    default: Picker, held_out: list[LabelledWindow]
) -> None:
    picks = pick_windows(default, held_out, {})
    assert score_windows(held_out, picks, "P", 0.1).f1 >= 0.93
    assert score_windows(held_out, picks, "P", 0.5).f1 >= 0.955
    assert score_windows(held_out, picks, "S", 0.1).f1 >= 0.84
    assert score_windows(held_out, picks, "S", 0.5).f1 >= 0.94
    assert extra_picks(held_out, picks) <= 0.05


def test_picks_do_not_depend_on_where_the_grid_falls(
    default: Picker, held_out: list[LabelledWindow]
) -> None:
    moved = shift_test(default, held_out, n_shifts=2)
    assert moved.n_picks > 100
    assert (moved.median_swing <= 0.01, moved.p95_swing <= 0.1, moved.n_gone) == (True, True, 0)


@pytest.mark.parametrize("change", [gain(1000.0), rotated(37.0)], ids=["gain", "rotation"])
def test_picks_do_not_depend_on_gain_or_the_horizontals_azimuths(
    default: Picker, held_out: list[LabelledWindow], change: Perturbation
) -> None:
    effect = perturbed(default, held_out, {"changed": change})[1].change
    assert effect is not None
    assert (effect.median_swing <= 0.01, effect.p95_swing <= 0.1, effect.n_lost) == (True, True, 0)


def test_swarm_never_trained_on(default: Picker, phasenet: Picker, shared_data: Path) -> None:
    """Hengill: the default finds most of what imported PhaseNet finds."""
    mine: dict[str, list[list[float]]] = {"P": [], "S": []}
    theirs: dict[str, list[list[float]]] = {"P": [], "S": []}
    for _, stream in read_streams(shared_data / "malmi_hengill" / "tests" / "inputs"):
        span = whole_span(stream)
        for picker, into in ((default, mine), (phasenet, theirs)):
            picks = pick(picker, stream, span)
            for phase, times in into.items():
                times.append([to_ns(p.time) / 1e9 - 1.546e9 for p in picks if p.phase == phase])
    assert score(theirs["P"], mine["P"], 0.2).recall >= 0.75
    assert score(theirs["S"], mine["S"], 0.2).recall >= 0.8


def test_card_tells_what_it_was_trained_on(default: Picker) -> None:
    data = " ".join(item.name for item in default.card.training.data)
    assert "hengill" not in data
    assert default.card.training.recipe["seed"]
    folder = picker_folder("default")
    assert sum(path.stat().st_size for path in folder.iterdir()) < 3_000_000
