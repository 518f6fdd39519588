"""Real recordings to learn from: labelled windows, and continuous ones labelled by a teacher.

Labelled windows are ``.npz`` files as PhaseNet's demonstration data have them: ``data`` of shape
(n, 3) at 100 Hz in E, N, Z order, sample numbers ``itp`` and ``its`` of P and S, and a file name
that starts with ``NETWORK_STATION_``. Continuous recordings are miniSEED files.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.ids import StationId, StreamId
from geomon.picking.card import Picker
from geomon.picking.infer import probabilities
from geomon.picking.peaks import find_peaks
from geomon.picking.prepare import STEP_NS, Gridded, gridded, slots
from geomon.sources.miniseed import decode
from geomon.times import TimeSpan, merged, parse_time
from geomon.training.windows import LENGTH, Recording, scaled_noise
from geomon.waveforms import Segment, span_of

_WINDOW_START_NS = parse_time("2000-01-01T00:00:00")  # labelled windows need some time
_FAINT = 0.1  # teacher's probability from which on a peak becomes a label
_QUIET = 0.1  # and below which everywhere a window is noise
_SAME = 50  # samples within which analyst and teacher mean the same onset
_TRUST = 0.5  # how far from the analyst's pick to the teacher's a label moves


@dataclass(frozen=True, slots=True)
class LabelledWindow:
    """One window with an analyst's P and S.

    `segments` are its channels, from 2000-01-01 on because the true time does not matter;
    `p_index` and `s_index` are samples at 100 Hz.
    """

    name: str
    station_id: StationId
    segments: tuple[Segment, ...]
    p_index: float
    s_index: float

    @property
    def span(self) -> TimeSpan:
        """Span of the window."""
        return TimeSpan(self.segments[0].start_ns, self.segments[0].end_ns)


def is_training_station(station_id: StationId, fold: int = 0) -> bool:
    """Say whether a station's labelled windows train (True) or only test (False) the picker.

    Two thirds of all stations train, by the hash of their name, so that no station is on both
    sides; each `fold` of 0, 1 and 2 keeps another third for testing.
    """
    return hashlib.sha256(str(station_id).encode()).digest()[0] % 3 != fold


def read_windows(folder: Path) -> list[LabelledWindow]:
    """Read a folder of labelled windows, in file name order.

    Raises
    ------
    DataError
        If a file is not such a window.
    """
    windows = []
    for path in sorted(folder.glob("*.npz")):
        try:
            with np.load(path, allow_pickle=False) as content:
                data = np.asarray(content["data"], dtype=np.float64)
                p_index, s_index = float(content["itp"]), float(content["its"])
        except (KeyError, ValueError, OSError) as error:
            msg = f"{path}: not a labelled window ({error})"
            raise DataError(msg) from error
        network, station = path.stem.split("_")[:2]
        stream = StreamId(network, station, "", "HH")
        segments = tuple(
            Segment(stream.seed_id(letter), _WINDOW_START_NS, 100.0, data[:, column])
            for column, letter in enumerate("ENZ")
            if data[:, column].any()
        )
        window = LabelledWindow(path.stem, stream.station_id, segments, p_index, s_index)
        windows.append(window)
    return windows


def read_streams(folder: Path) -> list[tuple[StreamId, tuple[Segment, ...]]]:
    """Read every miniSEED file below a folder; other files are passed over.

    Returns
    -------
    list of (StreamId, segments)
        By sensor and time; one entry for each stretch without a hole of ten minutes.
    """
    by_stream: dict[StreamId, list[Segment]] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for segment in decode(path.read_bytes()).segments:
            by_stream.setdefault(segment.seed_id.stream_id, []).append(segment)
    stretches = []
    for stream in sorted(by_stream):
        segments = by_stream[stream]
        for span in merged(segment.span.padded(300) for segment in segments):
            inside = tuple(segment for segment in segments if segment.span.overlaps(span))
            stretches.append((stream, inside))
    return stretches


def manifest(paths: Iterable[Path]) -> str:
    """Return one hash over names and contents of files."""
    whole = hashlib.sha256()
    for path in sorted(paths):
        whole.update(f"{path.name} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return whole.hexdigest()


def recorded(
    segments: Sequence[Segment], span: TimeSpan
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Bring one sensor's segments onto the grid in Z, N, E order.

    Returns
    -------
    samples : array of float32, shape (n, 3)
    valid : array of bool, shape (n, 3)
    """
    first, n = span.start_ns // STEP_NS, -(-(span.end_ns - span.start_ns) // STEP_NS)
    samples = np.zeros((n, 3), dtype=np.float32)
    valid = np.zeros((n, 3), dtype=np.bool_)
    for column, seed_id in enumerate(slots(sorted({s.seed_id for s in segments}), "ZNE")):
        channel = [segment for segment in segments if segment.seed_id == seed_id]
        grid: Gridded | None = gridded(channel, first, n) if channel else None
        if grid is not None:
            samples[:, column] = grid.samples - np.mean(grid.samples)
            valid[:, column] = grid.valid
    return samples, valid


def taught(teacher: Picker, segments: Sequence[Segment], span: TimeSpan) -> Recording:
    """Label a recording with a teacher's probabilities, faint peaks included."""
    samples, valid = recorded(segments, span)
    curves = probabilities(teacher, segments, span)
    index, column, height = [], [], []
    for number, phase in enumerate(("P", "S")):
        curve = np.ascontiguousarray(curves.probabilities[:, curves.phases.index(phase)])
        for peak in find_peaks(curve, _FAINT):
            index.append(peak.index + peak.shift)
            column.append(number)
            height.append(peak.probability)
    return Recording(
        samples, valid, np.array(index), np.array(column, dtype=np.int64), np.array(height), False
    )


def labelled(window: LabelledWindow, teacher: Picker | None) -> Recording:
    """Turn a labelled window into a recording.

    A teacher adds what the analyst left out, and steadies what the analyst picked: people's picks
    scatter, S most.
    """
    analyst = (window.p_index, window.s_index)
    marks = [(analyst[0], 0, 1.0), (analyst[1], 1, 1.0)]
    if teacher is not None:
        found = taught(teacher, window.segments, window.span)
        for index, column, height in zip(found.index, found.column, found.height, strict=True):
            if abs(index - analyst[column]) > _SAME:
                marks.append((float(index), int(column), float(height)))
            else:
                place = (1 - _TRUST) * analyst[column] + _TRUST * float(index)
                marks[column] = (place, int(column), 1.0)
    samples, valid = recorded(window.segments, window.span)
    index, column, height = (np.array(values) for values in zip(*marks, strict=True))
    return Recording(samples, valid, index, column, height, True)


def noise_before(window: LabelledWindow) -> NDArray[np.float16]:
    """Make a noise window of what was recorded before P, continued back and forth."""
    samples, _ = recorded(window.segments, window.span)
    part = samples[: round(window.p_index) - 150].astype(np.float64)
    part -= np.linspace(part[0], part[-1], part.shape[0])
    repeats = -(-LENGTH // (2 * part.shape[0]))
    whole = np.concatenate([part, part[::-1]] * repeats)[:LENGTH]
    for column in np.flatnonzero(~whole.any(axis=0)):
        whole[:, column] = np.roll(whole[:, 0], 3000 * (column + 1))
    return scaled_noise(whole)


def quiet_windows(
    recording: Recording, count: int, rng: np.random.Generator
) -> list[NDArray[np.float16]]:
    """Cut up to `count` windows out of a taught recording in which the teacher sees nothing."""
    n = recording.samples.shape[0]
    loud = np.sort(recording.index[recording.height > _QUIET])
    windows: list[NDArray[np.float16]] = []
    for start in rng.permutation(np.arange(0, n - LENGTH, LENGTH // 2)):
        low, high = np.searchsorted(loud, (start - 3000, start + LENGTH + 100))
        rows = slice(start, start + LENGTH)
        if low == high and recording.valid[rows].all() and len(windows) < count:
            windows.append(scaled_noise(recording.samples[rows].astype(np.float64)))
    return windows


def whole_span(segments: Sequence[Segment]) -> TimeSpan:
    """Return the span of some segments on whole grid samples.

    Raises
    ------
    DataError
        If there are none.
    """
    span = span_of(segments)
    if span is None:
        msg = "no segments: nothing to learn from"
        raise DataError(msg)
    return span.aligned(STEP_NS)
