"""Data sets in the format of SeisBench, read and written.

A folder with ``metadata.csv`` and ``waveforms.hdf5``, or chunks of both listed in a file
``chunks``: STEAD, INSTANCE, ETHZ and others are published so. What is written here can be read
with SeisBench's `WaveformDataset`; columns that start with ``geomon_`` keep what its format has no
place for.

Woollam, J. et al. (2022), SeisBench: a toolbox for machine learning in seismology, Seismol. Res.
Lett. 93, 1695-1709, https://doi.org/10.1785/0220210324.
"""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np
from numpy.typing import NDArray

from geomon.errors import DataError
from geomon.events import Phase
from geomon.ids import StreamId
from geomon.picking.prepare import STEP_NS
from geomon.processing.condition import runs
from geomon.times import TimeSpan, format_ns, parse_time
from geomon.training.dataset import Example, Mark, Part, part_of_name
from geomon.training.recordings import recorded
from geomon.waveforms import Segment

_COLUMNS: Mapping[Phase, tuple[str, ...]] = {
    "P": ("p", "pg", "pn", "p1"),
    "S": ("s", "sg", "sn", "s1"),
}
_SPLITS: Mapping[Part, str] = {
    "train": "train", "validation": "dev", "test": "test", "benchmark": "test",
}  # fmt: skip
_START_NS = parse_time("2000-01-01T00:00:00")  # where the true time is not told
_BUCKET = 256  # traces of one length kept in one array


@dataclass(frozen=True, slots=True)
class Trace:
    """One trace of a data set.

    Attributes
    ----------
    row : mapping of str to str
        Its line of the metadata.
    samples : array of float64, shape (n_components, n)
        As stored.
    order : str
        Letters of the components.
    sampling_rate_hz : float
        Samples per second.
    """

    row: Mapping[str, str]
    samples: NDArray[np.float64]
    order: str
    sampling_rate_hz: float

    @property
    def name(self) -> str:
        """Name of the trace; where `write_examples` wrote it, that of its window."""
        return self.row.get("geomon_name") or self.row["trace_name"]

    @property
    def source_id(self) -> str:
        """Event it shows; empty when that is not told."""
        return self.row.get("source_id") or ""

    @property
    def stream_id(self) -> StreamId:
        """Sensor it was recorded with."""
        return StreamId(
            self.row.get("station_network_code") or "XX", self.row["station_code"],
            self.row.get("station_location_code") or "",
            (self.row.get("trace_channel") or "HH")[:2],
        )  # fmt: skip

    @property
    def arrivals(self) -> dict[Phase, float]:
        """First arrival of each phase, in samples of the trace; NaN for none."""
        by_name = {key.lower(): value for key, value in self.row.items() if value}
        return {
            phase: min(
                (
                    float(by_name[f"trace_{name}_arrival_sample"])
                    for name in names
                    if f"trace_{name}_arrival_sample" in by_name
                ),
                default=float("nan"),
            )
            for phase, names in _COLUMNS.items()
        }

    def components(self) -> list[tuple[str, NDArray[np.float64]]]:
        """Return the components that hold data, by letter.

        Raises
        ------
        DataError
            If none does.
        """
        found = [
            (letter, np.ascontiguousarray(one, np.float64))
            for letter, one in zip(self.order, self.samples, strict=True)
            if np.isfinite(one).all() and one.any()
        ]
        if not found:
            msg = f"trace {self.name}: no component has data"
            raise DataError(msg)
        return found


def read_traces(folder: Path, *, with_noise: bool = False) -> Iterator[Trace]:
    """Read the traces of a data set, one at a time: those with an arrival, or all.

    Raises
    ------
    DataError
        If a file is missing or a trace is not as the metadata say.
    """
    try:
        listed = folder / "chunks"
        chunks = listed.read_text(encoding="utf-8").split() if listed.is_file() else [""]
        for chunk in chunks:
            yield from _read_chunk(folder, chunk, with_noise=with_noise)
    except (OSError, KeyError, ValueError, IndexError) as error:
        msg = f"{folder}: not a SeisBench data set ({error})"
        raise DataError(msg) from error


def _read_chunk(folder: Path, chunk: str, *, with_noise: bool) -> Iterator[Trace]:
    with (
        (folder / f"metadata{chunk}.csv").open(encoding="utf-8", newline="") as table,
        h5py.File(folder / f"waveforms{chunk}.hdf5") as file,
    ):
        form = {name: _text(file["data_format"][name][()]) for name in file["data_format"]}
        for row in csv.DictReader(table):
            trace = _trace(row, form, file["data"])
            if with_noise or not np.isnan(list(trace.arrivals.values())).all():
                yield trace


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _trace(
    row: Mapping[str, str], form: Mapping[str, str], data: Mapping[str, NDArray[np.float64]]
) -> Trace:
    # A trace is an array of its own, or "bucket$index,:channels,:samples" of a larger one.
    name, _, place = row["trace_name"].partition("$")
    if place:
        numbers = [int(part.removeprefix(":")) for part in place.split(",")]
        samples = np.asarray(data[name][numbers[0], : numbers[1], : numbers[2]])
    else:
        samples = np.asarray(data[name])
    if form.get("dimension_order", "CW").endswith("C"):
        samples = samples.T
    order = row.get("trace_component_order") or form["component_order"]
    rate = float(row.get("trace_sampling_rate_hz") or form["sampling_rate"])
    return Trace(row, samples, order, rate)


def read_examples(folder: Path) -> list[Example]:
    """Read a data set as windows to learn from.

    What `write_examples` wrote comes back as it was. Of other data sets, arrivals are taken for an
    analyst's, traces without any for noise, and the split is theirs; where there is none, the hash
    of the event decides.

    Raises
    ------
    DataError
        If it is no such data set.
    """
    return [_example(trace) for trace in read_traces(folder, with_noise=True)]


def _example(trace: Trace) -> Example:
    row, stream = trace.row, trace.stream_id
    start_ns = parse_time(row["trace_start_time"]) if row.get("trace_start_time") else _START_NS
    if "geomon_marks" in row:
        samples = np.ascontiguousarray(trace.samples.T, np.float32)
        valid = np.ones(samples.shape, dtype=np.bool_)
        for component, first, last in json.loads(row["geomon_gaps"]):
            valid[first:last, component] = False
        marks = tuple(Mark(*values) for values in json.loads(row["geomon_marks"]))
        written: Part = cast("Part", row["geomon_part"])
        return Example(
            trace.name, stream, start_ns, written, trace.source_id, samples, valid, marks
        )
    segments = [
        Segment(stream.seed_id(letter), start_ns, trace.sampling_rate_hz, one)
        for letter, one in trace.components()
    ]
    end_ns = max(segment.end_ns for segment in segments)
    span = TimeSpan(start_ns, end_ns).aligned(STEP_NS)
    samples, valid = recorded(segments, span)
    shift = (start_ns - span.start_ns) / STEP_NS
    marks = tuple(
        Mark(index * 100 / trace.sampling_rate_hz + shift, phase, "manual")
        for phase, index in trace.arrivals.items()
        if not np.isnan(index)
    )
    splits = {name: part for part, name in _SPLITS.items() if part != "benchmark"}
    told = splits.get(row.get("split") or "")
    part: Part = told or part_of_name(trace.source_id or trace.name)
    return Example(trace.name, stream, span.start_ns, part, trace.source_id, samples, valid, marks)


def write_examples(folder: Path, examples: Iterable[Example]) -> int:
    """Write windows as a SeisBench data set; return how many.

    Raises
    ------
    DataError
        If there are none.
    """
    ordered = sorted(examples, key=lambda one: (one.samples.shape[0], one.name))
    if not ordered:
        msg = f"{folder}: no windows to write"
        raise DataError(msg)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    with h5py.File(folder / "waveforms.hdf5", "w") as file:
        form = {
            "dimension_order": "CW", "component_order": "ZNE", "sampling_rate": 100.0,
            "measurement": "velocity", "unit": "counts", "instrument_response": "not restituted",
        }  # fmt: skip
        for name, value in form.items():
            file[f"data_format/{name}"] = value
        for number, begin in enumerate(range(0, len(ordered), _BUCKET)):
            some = ordered[begin : begin + _BUCKET]
            longest = max(one.samples.shape[0] for one in some)
            bucket = np.zeros((len(some), 3, longest), dtype=np.float32)
            for k, one in enumerate(some):
                n = one.samples.shape[0]
                bucket[k, :, :n] = np.where(one.valid, one.samples, 0).T
                rows.append(_row(one) | {"trace_name": f"bucket{number}${k},:3,:{n}"})
            file.create_dataset(f"data/bucket{number}", data=bucket, compression="lzf")
    with (folder / "metadata.csv").open("w", encoding="utf-8", newline="") as table:
        writer = csv.DictWriter(table, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return len(rows)


def _row(one: Example) -> dict[str, Any]:
    stream = one.stream_id
    middle = one.samples.shape[0] / 2
    first: dict[Phase, str] = {}
    for phase in ("P", "S"):
        onsets = [m.index for m in one.marks if m.phase == phase and m.kind in _ONSETS]
        # The window was cut around its event's onsets: they are nearest to the middle.
        first[phase] = f"{min(onsets, key=lambda at: abs(at - middle)):.3f}" if onsets else ""
    gaps = [
        (component, begin, end)
        for component in range(3)
        for begin, end in runs(~one.valid[:, component]).tolist()
    ]
    people = any(mark.kind in ("manual", "reviewed") for mark in one.marks)
    return {
        "trace_name": "",
        "split": _SPLITS[one.part],
        "source_id": one.event_id,
        "station_network_code": stream.network,
        "station_code": stream.station,
        "station_location_code": stream.location,
        "trace_channel": stream.band_instrument,
        "trace_start_time": format_ns(one.start_ns),
        "trace_sampling_rate_hz": 100.0,
        "trace_npts": one.samples.shape[0],
        "trace_component_order": "ZNE",
        "trace_category": "earthquake" if any(first.values()) else "noise",
        "trace_P_arrival_sample": first["P"],
        "trace_P_status": ("manual" if people else "automatic") if first["P"] else "",
        "trace_S_arrival_sample": first["S"],
        "trace_S_status": ("manual" if people else "automatic") if first["S"] else "",
        "geomon_name": one.name,
        "geomon_part": one.part,
        "geomon_gaps": json.dumps(gaps),
        "geomon_marks": json.dumps([[m.index, m.phase, m.kind] for m in one.marks]),
    }


_ONSETS = frozenset({"manual", "reviewed", "automatic"})
