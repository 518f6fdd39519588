"""Make a data set of a network's own records: labelled windows, and stretches of quiet."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geomon.caches import cache_folder
from geomon.config import Config
from geomon.errors import DataError
from geomon.events import Phase, Pick
from geomon.ids import StreamId
from geomon.picking.card import load_picker
from geomon.services.champion import ensure_champion, pickers_of
from geomon.services.examination import Window, exam_windows, picks_in
from geomon.services.labelling import labels_of
from geomon.services.reports import Report
from geomon.services.workspace import workspace
from geomon.times import TimeSpan, format_ns, to_ns
from geomon.training.audit import audit
from geomon.training.dataset import (
    BY_PEOPLE,
    WINDOW_NS,
    Example,
    Label,
    Tally,
    cut,
    manifest_hash,
    newest,
    part_of,
    plan,
)
from geomon.training.evaluate.testsets import spread
from geomon.training.recordings import recorded
from geomon.training.seisbench import write_examples
from geomon.training.windows import LENGTH, scaled_noise

_LOW = 0.1  # probability below which everywhere a stretch is quiet
_BEFORE, _AFTER = 3000, 100  # samples around a quiet stretch that hold no pick either
_LEAST_BENCHMARK, _MOST_BENCHMARK = 20, 200


@dataclass(frozen=True, slots=True)
class RetrainSettings:
    """How much is used for what.

    Attributes
    ----------
    most_windows : int
        Labelled windows to learn from, at most.
    n_quiet : int
        Windows of the network's own quiet hours.
    n_budget : int
        Windows of 11 minutes that pick budgets are set on.
    n_synthetic : int
        Synthetic windows of the fixed benchmark.
    benchmark : Path or None
        Labelled windows of one's own for the fixed benchmark.

    Raises
    ------
    DataError
        If there is no such folder.
    """

    most_windows: int = 4000
    n_quiet: int = 200
    n_budget: int = 60
    n_synthetic: int = 120
    benchmark: Path | None = None

    def __post_init__(self) -> None:
        if self.benchmark is not None and not self.benchmark.is_dir():
            msg = f"benchmark {self.benchmark}: no such folder"
            raise DataError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport(Report):
    """What the data set holds, and whether its labels can be trusted.

    `folder` holds it; `counts` says what was kept and dropped, a line each; `refused` is why
    nothing may be learned from the labels, empty when something may; `suspects` are labels to look
    at again.
    """

    folder: str
    sha256: str
    n_train: int
    n_validation: int
    n_exam: int
    counts: tuple[str, ...]
    findings: tuple[str, ...]
    refused: str
    suspects: tuple[str, ...]


def work_folder(config: Config) -> Path:
    """Return where retraining keeps its data sets: beside a local archive, else with caches."""
    if "://" not in config.archive.url:
        return Path(config.archive.url) / ".retraining"
    return cache_folder("retraining") / config.version("network", "archive")


def build(config: Config, span: TimeSpan, settings: RetrainSettings) -> BuildReport:
    """Make a data set of all that is known of a span, and check its labels.

    Raises
    ------
    PickerMismatch
        If the champion cannot be loaded.
    StoreError
        If catalogue or archive fail.
    """
    started = time.monotonic()
    tally = Tally()
    champion = load_picker(pickers_of(config).folder(ensure_champion(config)))
    labels = labels_of(config, span, tally)
    planned = [one for one in plan(labels, tally) if one.part != "test"]
    chosen = newest(planned, settings.most_windows, tally)
    examples = cut(chosen, lambda stream, part: _record(config, stream, part), tally)
    looked = _windows_of([one for one in labels if one.kind in BY_PEOPLE])
    quiet_in = _drawn_for_quiet(config, span, settings.n_quiet)
    low: dict[Phase, float] = dict.fromkeys(champion.card.phases, _LOW)
    picks = picks_in(config, champion, [*looked, *quiet_in], low)
    found = audit(labels, picks)
    noise = _quiet(config, quiet_in, picks, labels, settings.n_quiet, tally)
    sha256 = manifest_hash(examples)
    folder = work_folder(config) / sha256[:16]
    _write(folder, examples, noise)
    _keep_benchmark(config, examples)
    parts = [one.part for one in examples]
    return BuildReport(
        took_s=time.monotonic() - started,
        folder=str(folder),
        sha256=sha256,
        n_train=parts.count("train"),
        n_validation=parts.count("validation"),
        n_exam=len(exam_windows(config, span)),
        counts=tuple(tally.lines()),
        findings=tuple(str(finding) for finding in found.findings),
        refused=found.reason,
        suspects=tuple(
            f"{one.stream_id} {one.phase} {format_ns(one.time_ns)} {one.actor}"
            for one in found.suspects
        ),
    )


def _record(
    config: Config, stream: StreamId, span: TimeSpan
) -> tuple[NDArray[np.float32], NDArray[np.bool_]] | None:
    segments = workspace(config).archive.read_stream(stream, span).segments
    return recorded(segments, span) if segments else None


def _windows_of(labels: Sequence[Label]) -> list[Window]:
    """Return the pieces that labels lie in."""
    places = {(one.stream_id, one.time_ns // WINDOW_NS) for one in labels}
    return [
        (stream, TimeSpan(piece * WINDOW_NS, (piece + 1) * WINDOW_NS))
        for stream, piece in sorted(places)
    ]


def _drawn_for_quiet(config: Config, span: TimeSpan, n_quiet: int) -> list[Window]:
    """Draw pieces of training hours to look for quiet stretches in, a few more than needed."""
    drawn = []
    for stream in workspace(config).archive.streams():
        for piece in range(-(-span.start_ns // WINDOW_NS), span.end_ns // WINDOW_NS):
            window = TimeSpan(piece * WINDOW_NS, (piece + 1) * WINDOW_NS)
            if part_of(stream.station_id, window) == "train":
                luck = hashlib.sha256(f"quiet {stream} {piece}".encode()).hexdigest()
                drawn.append((luck, stream, window))
    return [(stream, window) for _, stream, window in sorted(drawn)[: n_quiet // 4 + 1]]


def _quiet(
    config: Config,
    windows: Sequence[Window],
    picks: dict[StreamId, list[Pick]],
    labels: Sequence[Label],
    most: int,
    tally: Tally,
) -> list[NDArray[np.float16]]:
    """Cut stretches in which no picker fires at a low threshold and nobody saw anything."""
    found: list[NDArray[np.float16]] = []
    for stream, window in dict.fromkeys(windows):
        record = _record(config, stream, window)
        if record is None:
            tally.dropped["quiet stretches: no data"] += 1
            continue
        samples, valid = record
        times = [to_ns(pick.time) for pick in picks.get(stream, ())]
        times += [label.time_ns for label in labels if label.stream_id == stream]
        loud = np.sort((np.array(times, dtype=np.float64) - window.start_ns) / 1e7)
        for start in range(0, samples.shape[0] - LENGTH, LENGTH):
            low, high = np.searchsorted(loud, (start - _BEFORE, start + LENGTH + _AFTER))
            rows = slice(start, start + LENGTH)
            if low != high:
                tally.dropped["quiet stretches: something fires"] += 1
            elif not valid[rows].all():
                tally.dropped["quiet stretches: a gap or a missing component"] += 1
            elif len(found) < most:
                found.append(scaled_noise(samples[rows].astype(np.float64)))
    tally.kept["quiet stretches"] += len(found)
    return found


def _write(folder: Path, examples: list[Example], noise: list[NDArray[np.float16]]) -> None:
    """Write a data set, its noise last: where that is, all is."""
    done = folder / "noise.npy"
    if done.is_file() or not examples:
        return
    write_examples(folder, examples)
    draft = folder / "noise.fresh.npy"
    np.save(draft, np.array(noise, dtype=np.float16).reshape(-1, LENGTH, 3))
    draft.replace(done)


def _keep_benchmark(config: Config, examples: Sequence[Example]) -> None:
    """Keep the first reviewed windows of benchmark stations; what is kept never changes."""
    folder = work_folder(config) / "benchmark"
    some = [
        one
        for one in examples
        if one.part == "benchmark" and any(m.kind in ("manual", "reviewed") for m in one.marks)
    ]
    if folder.is_dir() or len(some) < _LEAST_BENCHMARK:
        return
    draft = folder.with_name("benchmark.fresh")
    write_examples(draft, [some[k] for k in spread(len(some), _MOST_BENCHMARK)])
    draft.replace(folder)
