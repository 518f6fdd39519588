"""What pickers are evaluated on: labelled windows, real ones from a folder or synthetic ones.

A folder holds either ``.npz`` windows (see `geomon.training.recordings`) or a data set in the
format of SeisBench (Woollam et al. 2022, https://doi.org/10.1785/0220210324): ``metadata.csv`` and
``waveforms.hdf5``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.ids import StreamId
from geomon.processing.condition import highpass
from geomon.synthesis.noise import draw_noise
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.source_and_path import SourceAndPath
from geomon.times import parse_time
from geomon.training.evaluate.budget import Continuous
from geomon.training.recordings import (
    LabelledWindow,
    is_training_station,
    read_streams,
    read_windows,
)
from geomon.training.seisbench import Trace, read_traces
from geomon.waveforms import Segment

_START_NS = parse_time("2000-01-01T00:00:00")  # true times do not matter
_COUNTS = 1e9  # a m/s, for synthetic windows
_SECONDS, _P_S = 90, 30  # of synthetic windows, as real ones often are


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Windows to score pickers on, and continuous recordings to set pick budgets with.

    Attributes
    ----------
    name : str
        What reports call it.
    windows : tuple of LabelledWindow
        One labelled event each.
    events : tuple of str
        Which event each window shows: windows of one event are not independent.
    continuous : tuple of Continuous
        May be empty.
    """

    name: str
    windows: tuple[LabelledWindow, ...]
    events: tuple[str, ...]
    continuous: tuple[Continuous, ...] = ()

    def held_out(self) -> "EvaluationSet":
        """Return the part from stations whose windows never train the shipped picker.

        Raises
        ------
        DataError
            If nothing is left.
        """
        keep = [k for k, w in enumerate(self.windows) if not is_training_station(w.station_id)]
        if not keep:
            msg = f"{self.name}: no window is from a station that is kept out of training"
            raise DataError(msg)
        return replace(self._part(keep), name=f"{self.name}, stations kept out of training")

    def at_most(self, count: int) -> "EvaluationSet":
        """Return at most so many windows, evenly spread over all of them."""
        return self._part(spread(len(self.windows), count))

    def with_continuous(self, folder: Path) -> "EvaluationSet":
        """Add a folder of miniSEED files, for pick budgets.

        Raises
        ------
        DataError
            If it holds no recordings.
        """
        recordings = [Continuous(segments) for _, segments in read_streams(folder)]
        if not recordings:
            msg = f"{folder}: no miniSEED recordings there"
            raise DataError(msg)
        return replace(self, continuous=tuple(recordings))

    def _part(self, keep: Sequence[int]) -> "EvaluationSet":
        windows = tuple(self.windows[k] for k in keep)
        return replace(self, windows=windows, events=tuple(self.events[k] for k in keep))


def spread(n: int, most: int) -> list[int]:
    """Return at most so many of `n` positions, evenly spread.

    Examples
    --------
    >>> spread(7, 3)
    [0, 3, 6]
    """
    return [int(k) for k in np.linspace(0, n - 1, min(n, most)).round()]


def read_set(folder: Path) -> EvaluationSet:
    """Read a folder of labelled windows: ``.npz`` files, or a SeisBench data set.

    Raises
    ------
    DataError
        If there are none, or they cannot be read.
    """
    if (folder / "metadata.csv").is_file():
        windows, events = read_seisbench(folder)
    else:
        windows = read_windows(folder) if folder.is_dir() else []
        events = [window.name for window in windows]
    if not windows:
        msg = f"{folder}: no labelled windows; needs .npz files or a SeisBench data set"
        raise DataError(msg)
    return EvaluationSet(folder.name, tuple(windows), tuple(events))


def read_seisbench(folder: Path) -> tuple[list[LabelledWindow], list[str]]:
    """Read the earthquakes of a SeisBench data set: traces with a P or an S arrival.

    Returns
    -------
    windows : list of LabelledWindow
        In the order of the metadata; a phase without arrival has an index of NaN.
    events : list of str
        ``source_id`` of each, or the trace's name where there is none.

    Raises
    ------
    DataError
        If a file is missing or a trace is not as the metadata say.
    """
    found = list(read_traces(folder))
    windows = [_window(trace) for trace in found]
    return windows, [trace.source_id or trace.name for trace in found]


def _window(trace: Trace) -> LabelledWindow:
    stream, rate = trace.stream_id, trace.sampling_rate_hz
    segments = tuple(
        Segment(stream.seed_id(letter), _START_NS, rate, samples)
        for letter, samples in trace.components()
    )
    return LabelledWindow(
        trace.name, stream.station_id, segments,
        trace.arrivals["P"] * 100 / rate, trace.arrivals["S"] * 100 / rate,
    )  # fmt: skip


def synthetic_set(count: int = 120, *, seed: int = 7) -> EvaluationSet:
    """Make labelled windows of synthetic earthquakes on synthetic noise.

    P at 30 s of 90, S 0.5 to 25 s later, P 3 to 300 times as strong as the noise. S is labelled
    where amplitudes grow by half with it, as an analyst would see.

    Parameters
    ----------
    count : int
        Windows, each of its own event.
    seed : int
        Of all randomness; training uses other ones.
    """
    rng = np.random.default_rng((seed, 4242))
    windows: list[LabelledWindow] = []
    for first in range(0, count, 32):
        windows += _synthetic_windows(rng, first, min(32, count - first))
    return EvaluationSet(
        f"{count} synthetic windows", tuple(windows), tuple(window.name for window in windows)
    )


def _synthetic_windows(rng: np.random.Generator, first: int, n: int) -> list[LabelledWindow]:
    lead = np.exp(rng.uniform(np.log(0.5), np.log(25), n))
    distance = lead * rng.uniform(7.0, 9.0, n)
    paths = SourceAndPath.draw(
        rng,
        magnitude=rng.uniform(-0.5, 4.0, n) + np.clip(np.log10(distance / 30), -1, 1),
        hypocentral_distance_km=distance,
        p_time_s=np.full(n, float(_P_S)),
        s_time_s=_P_S + lead,
    )
    size = _SECONDS * 100
    motion = seismograms(rng, paths, n_samples=size, sampling_rate_hz=100.0)
    noise = draw_noise(rng, level=rng.uniform(0, 0.8, n), n_samples=size, sampling_rate_hz=100.0)
    windows = []
    for k in range(n):
        event, quiet = motion[k].T.astype(np.float64), noise[k].T.astype(np.float64)
        at = 100 * _P_S
        level = highpass(quiet, 1.0, 100.0)[200:].std()
        strength = highpass(event, 1.0, 100.0)[at : at + 100].std(axis=0).max()
        gain = level / max(float(strength), 1e-30) * 10 ** rng.uniform(0.5, 2.5)
        samples = np.round((quiet + gain * event) * _COUNTS)
        s_index = at + 100 * float(lead[k])
        stream = StreamId("XX", f"S{first + k:04d}", "", "HH")
        windows.append(
            LabelledWindow(
                f"synthetic {first + k}",
                stream.station_id,
                tuple(
                    Segment(stream.seed_id(letter), _START_NS, 100.0, samples[:, column])
                    for column, letter in enumerate("ZNE")
                ),
                float(at),
                s_index if _grows(samples[:, 1:], round(s_index)) else float("nan"),
            )
        )
    return windows


def _grows(samples: NDArray[np.float64], at: int) -> bool:
    """Say whether the horizontals get half as strong again at an onset."""
    seen = highpass(samples, 1.0, 100.0)
    before, after = seen[at - 105 : at - 5], seen[at : at + 60]
    return bool(after.std(axis=0).max() > 1.5 * before.std(axis=0).max())
