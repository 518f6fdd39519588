"""How good and how fast the default picker is, beside imported PhaseNet in the same run."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from geomon.events import Phase
from geomon.ids import SeedId
from geomon.picking.card import Picker, load_picker
from geomon.picking.importers import import_phasenet
from geomon.picking.infer import pick
from geomon.picking.prepare import HALO, PIECE
from geomon.times import NS_PER_S, TimeSpan, parse_time
from geomon.training.evaluate import pick_windows, score_windows
from geomon.training.recordings import LabelledWindow, is_training_station, read_windows
from geomon.waveforms import Segment
from tests.benchmarks.report import Figure, at_least, at_most, main, versions

SHARED = Path(os.environ.get("GEOMON_SHARED", Path(__file__).parents[2].parent / "shared"))
GOALS: dict[tuple[Phase, float], float | None] = {
    ("P", 0.1): None, ("P", 0.5): 0.93, ("S", 0.1): None, ("S", 0.5): 0.90,
}  # fmt: skip


def accuracy(picker: Picker, peer: Picker, windows: Sequence[LabelledWindow]) -> list[Figure]:
    """F1 of both pickers on three-component windows of stations the default never saw."""
    picks, theirs = (pick_windows(one, windows, {}) for one in (picker, peer))
    figures = []
    for (phase, tolerance), goal in GOALS.items():
        value = score_windows(windows, picks, phase, tolerance).f1
        other = score_windows(windows, theirs, phase, tolerance).f1
        words, holds = ("", None) if goal is None else at_least(value, goal)
        figures.append(
            Figure(
                figure=f"{phase} F1 at {tolerance} s",
                value=value,
                unit="",
                goal=words,
                peer="PhaseNet (reference, saw these data)",
                peer_value=other,
                ratio=value / other,
                holds=holds,
                conditions=f"{len(windows)} NCEDC windows of stations kept out of training",
            )
        )
    return figures


def noise_day(seconds: int) -> list[Segment]:
    """Three components of coloured noise, 100 Hz."""
    rng = np.random.default_rng(0)
    start = parse_time("2024-01-01")
    return [
        Segment(
            SeedId.parse(f"XX.NOISE..HH{letter}"),
            start,
            100.0,
            np.cumsum(rng.normal(0, 20, seconds * 100)).astype(np.int32),
        )
        for letter in "ZNE"
    ]


def network_seconds(picker: Picker, shape: tuple[int, int, int], kept: int, repeats: int) -> float:
    """CPU seconds the network takes for a station-day in tensors of which `kept` samples count."""
    waveforms = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    picker.predict(waveforms)
    begin = time.process_time()
    for _ in range(repeats):
        picker.predict(waveforms)
    return (time.process_time() - begin) / repeats / kept * 8_640_000


def speed(picker: Picker, seconds: int) -> list[Figure]:
    """CPU time of a station-day; the network alone in whole pieces and in overlapping windows."""
    segments = noise_day(seconds)
    start = segments[0].start_ns
    pick(picker, segments, TimeSpan(start, start + NS_PER_S))
    begin = time.process_time()
    pick(picker, segments, TimeSpan(start, start + seconds * NS_PER_S))
    whole = (time.process_time() - begin) / seconds * 86_400
    repeats = max(4, seconds // 900)
    ours = network_seconds(picker, (1, PIECE + 2 * HALO, 3), PIECE, repeats)
    theirs = network_seconds(picker, (64, 3072, 3), 64 * 1536, repeats)
    words, holds = at_least(60 / whole, 8)
    machine = versions("tensorflow_cpu")
    return [
        Figure(
            figure="station-days a core-minute, samples to picks",
            value=60 / whole,
            unit="days",
            goal=words,
            holds=holds,
            conditions=f"3 × 100 Hz, {seconds} s, {machine}",
        ),
        Figure(
            figure="station-days a core-minute, network alone",
            value=60 / ours,
            unit="days",
            peer="windows of 3072 samples that overlap by half",
            peer_value=60 / theirs,
            ratio=theirs / ours,
            conditions=f"one thread, {machine}",
        ),
    ]


def silence(picker: Picker, seconds: int) -> Figure:
    """Picks on noise without any earthquake."""
    segments = noise_day(seconds)
    start = segments[0].start_ns
    found = pick(picker, segments, TimeSpan(start, start + seconds * NS_PER_S))
    rate = len(found) / (seconds / 3600)
    words, holds = at_most(rate, 1)
    return Figure(
        figure="false picks on noise",
        value=rate,
        unit="an hour",
        goal=words,
        holds=holds,
        conditions=f"random walk, {seconds} s",
    )


def measure(quick: bool) -> list[Figure]:
    """Measure the default picker against PhaseNet."""
    picker = load_picker("default")
    seconds = 3600 if quick else 86_400
    figures = [*speed(picker, seconds), silence(picker, seconds)]
    windows = SHARED / "data" / "phasenet_ncedc" / "dataset" / "waveform_train"
    checkpoint = SHARED / "weights" / "phasenet" / "model_95.ckpt"
    if not windows.is_dir() or not checkpoint.with_name("model_95.ckpt.index").is_file():
        return [
            *figures,
            Figure(
                figure="F1 on labelled windows",
                value=None,
                unit="",
                conditions=f"needs the recordings and weights in {SHARED}",
            ),
        ]
    kept = [
        window
        for window in read_windows(windows)
        if not is_training_station(window.station_id) and len(window.segments) == 3
    ]
    return [*figures, *accuracy(picker, import_phasenet(checkpoint), kept)]


if __name__ == "__main__":
    main(measure)
