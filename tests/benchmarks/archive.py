"""How small, fast and safe the archive is, beside ObsPy and a stock Zarr reader.

The recordings are real where the folder beside the project has them: a 3-component day at 100 Hz
is made of the 12 hours of CX.PB01, twice. Without them, noise stands in, and the figures that need
recordings are not measured. Peers read the same samples from Steim 2 with 512-byte records.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import obspy
import zarr
from obspy import UTCDateTime

from geomon.ids import StreamId
from geomon.sources.miniseed import decode, encode
from geomon.stores.archive import Archive
from geomon.times import NS_PER_DAY, NS_PER_S, TimeSpan, parse_time
from geomon.waveforms import Provenance, Segment
from tests.benchmarks.report import Figure, at_least, at_most, main, versions
from tests.conftest import ROOT
from tests.stores.killing import kill_writers

DAY = parse_time("2014-05-01")
SPAN = TimeSpan(DAY, DAY + NS_PER_DAY)
STREAM = StreamId.parse("CX.PB01..HH")
REQUEST = Provenance("benchmark", "day", "0" * 64)
SHARED = Path(os.environ.get("GEOMON_SHARED", ROOT.parent / "shared")) / "data"
REAL = (
    "deepphasepick_cx/sample_data/archive/2014/CX/PB01/*/*",
    "easyquake_wilz/tests/*.mseed",
    "malmi_hengill/tests/inputs/seismic_data/*/*.mseed",
    "deepphasepick_cx/sample_data/archive/2014/CX/PB02/*/*",
    "deepphasepick_cx/sample_data/CX_*/*.mseed",
)


@dataclass(frozen=True, slots=True)
class Day:
    """A 3-component day: segments, the same as miniSEED files, and what it is made of."""

    segments: tuple[Segment, ...]
    files: tuple[Path, ...]
    made_of: str


def measure(quick: bool) -> Sequence[Figure]:
    """Measure the waveform archive."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        day = _day(folder)
        n = 3 if quick else 9
        archive = Archive.open(folder / "archive")
        archive.write(day.segments, REQUEST)
        return [
            _size(folder, quick),
            *_bulk_read(archive, day, n),
            _window(archive, day, n_windows=20 if quick else 200),
            _decode(day, n),
            _ingest(folder, day, n),
            _late(folder, day, n),
            _memory(folder, day, n_days=1 if quick else 6),
            _kills(folder, n_kills=3 if quick else 200),
        ]


def _day(folder: Path) -> Day:
    segments = []
    made_of = "CX.PB01 12 h twice"
    for seed, component in enumerate("ENZ"):
        seed_id = STREAM.seed_id(component)
        found = sorted(
            SHARED.glob(f"deepphasepick_cx/sample_data/archive/2014/CX/PB01/HH{component}.D/*")
        )
        if found:
            half = obspy.read(str(found[0]), format="MSEED")[0].data[:4_320_000]
            samples = np.concatenate([half, half])
        else:
            made_of = "synthetic noise"
            rng = np.random.default_rng(seed)
            samples = np.round(np.cumsum(rng.normal(0, 20, 8_640_000)) % 4096).astype(np.int32)
        segments.append(Segment(seed_id, DAY, 100.0, samples.astype(np.int32)))
    files = []
    for segment in segments:
        path = folder / f"{segment.seed_id}.mseed"
        path.write_bytes(encode([segment], format_version=2, record_length=512))
        files.append(path)
    return Day(tuple(segments), tuple(files), made_of)


def _cpu_s(action: Callable[[], object], n: int) -> float:
    """Least processor seconds of `n` calls, all threads together, as a busy machine only adds."""
    times = []
    for _ in range(n):
        start = time.process_time()
        action()
        times.append(time.process_time() - start)
    return min(times)


def _size(folder: Path, quick: bool) -> Figure:
    goal = "<= 0.75"
    conditions = "all recordings from 100 Hz at hand, one object a station-day"
    patterns = REAL[:3] if quick else REAL
    paths = [path for pattern in patterns for path in sorted(SHARED.glob(pattern))]
    if not paths:
        why = f"no recordings in {SHARED}"
        return Figure(figure="size against Steim 2", value=None, unit="", goal=goal, conditions=why)
    archive = Archive.open(folder / "size")
    n_steim = 0
    for path in paths:
        segments = [
            s for s in decode(path.read_bytes()).segments
            if s.sampling_rate_hz >= 100 and s.samples.dtype == np.int32
        ]  # fmt: skip
        archive.write(segments, REQUEST)
        n_steim += sum(len(encode([s], format_version=2, record_length=512)) for s in segments)
    n_bytes = sum(series.n_bytes for series in archive.info())
    ratio = n_bytes / n_steim
    n_files = f"{len(paths)} files, {n_steim / 1e6:.0f} MB as Steim 2"
    words, holds = at_most(ratio, 0.75)
    return Figure(
        figure="size against Steim 2, 512-byte records", value=ratio, unit="", goal=words,
        peer="Steim 2", peer_value=1.0, ratio=1 / ratio, holds=holds,
        conditions=f"{conditions}; {n_files}",
    )  # fmt: skip


def _bulk_read(archive: Archive, day: Day, n: int) -> list[Figure]:
    n_bytes = sum(segment.samples.nbytes for segment in day.segments)
    found = archive.read_stream(STREAM, SPAN)
    for segment in day.segments:
        if not np.array_equal(found.of(segment.seed_id)[0].samples, segment.samples):
            raise SystemExit(f"{segment.seed_id}: read back differently")
    ours = _cpu_s(lambda: archive.read_stream(STREAM, SPAN), n)
    obspys = _cpu_s(lambda: [obspy.read(str(f), format="MSEED") for f in day.files], max(3, n // 2))
    source = np.concatenate([segment.samples for segment in day.segments])
    target = np.empty_like(source)
    copy = _cpu_s(lambda: np.copyto(target, source), n)
    array = zarr.open_array(f"{archive.url}/CX/PB01/_.HH@100/2014", mode="r")
    first = 120 * 8_640_000
    stock = _cpu_s(lambda: array[:, first : first + 8_640_000], 1 if n < 5 else 3)
    rate = n_bytes / ours / 1e6
    words, holds = at_least(obspys / ours, 1.5)
    about = f"processor time; {day.made_of}; memcpy {n_bytes / copy / 1e6:.0f} MB/s"
    return [
        Figure(
            figure="bulk read of a 3-C day", value=rate, unit="MB/s", goal=f"{words} × peer",
            peer="obspy.read", peer_value=n_bytes / obspys / 1e6, ratio=obspys / ours, holds=holds,
            conditions=f"{about}; {versions('obspy', 'pcodec', 'numpy')}",
        ),
        Figure(
            figure="bulk read of a 3-C day, same objects", value=rate, unit="MB/s",
            peer="zarr-python", peer_value=n_bytes / stock / 1e6, ratio=stock / ours,
            conditions=f"processor time; {versions('zarr')}",
        ),
    ]  # fmt: skip


def _window(archive: Archive, day: Day, n_windows: int) -> Figure:
    rng = random.Random(1)
    starts = [DAY + rng.randrange(86_340 * 100) * NS_PER_S // 100 for _ in range(n_windows)]
    spans = [TimeSpan(start, start + 60 * NS_PER_S) for start in starts]
    archive.read_stream(STREAM, spans[0])
    begun = time.process_time()
    for span in spans:
        archive.read_stream(STREAM, span)
    ours = (time.process_time() - begun) / n_windows

    def read(span: TimeSpan) -> None:
        start, end = UTCDateTime(ns=span.start_ns), UTCDateTime(ns=span.end_ns)
        for file in day.files:
            obspy.read(str(file), format="MSEED", starttime=start, endtime=end)

    begun = time.process_time()
    for span in spans[: max(10, n_windows // 10)]:
        read(span)
    obspys = (time.process_time() - begun) / max(10, n_windows // 10)
    words, holds = at_most(ours / obspys, 0.1)
    return Figure(
        figure="random window of 60 s x 3, warm", value=ours * 1e3, unit="ms",
        goal=f"{words} × peer", peer="obspy.read(starttime, endtime)", peer_value=obspys * 1e3,
        ratio=obspys / ours, holds=holds, conditions=f"{n_windows} windows; {day.made_of}",
    )  # fmt: skip


def _decode(day: Day, n: int) -> Figure:
    buffers = [file.read_bytes() for file in day.files]
    ours = _cpu_s(lambda: [decode(buffer) for buffer in buffers], n)
    obspys = _cpu_s(lambda: [obspy.read(str(f), format="MSEED") for f in day.files], max(3, n // 2))
    words, holds = at_least(obspys / ours, 1.5)
    return Figure(
        figure="decode and validate a 3-C day", value=ours * 1e3, unit="ms",
        goal=f"{words} × faster than peer", peer="obspy.read", peer_value=obspys * 1e3,
        ratio=obspys / ours, holds=holds, conditions=f"Steim 2, 512-byte records; {day.made_of}",
    )  # fmt: skip


def _ingest(folder: Path, day: Day, n: int) -> Figure:
    buffers = [file.read_bytes() for file in day.files]
    places = iter(range(1000))

    def ingest() -> None:
        archive = Archive.open(folder / f"ingest{next(places)}")
        archive.write([s for b in buffers for s in decode(b).segments], REQUEST)

    seconds = _cpu_s(ingest, n)
    words, holds = at_least(86_400 / seconds, 60_000)
    return Figure(
        figure="ingest, Steim 2 bytes to committed object", value=86_400 / seconds,
        unit="× real time a core", goal=words, holds=holds,
        conditions=f"3-C day at 100 Hz, {seconds:.2f} s of processor time; {day.made_of}",
    )  # fmt: skip


def _late(folder: Path, day: Day, n: int) -> Figure:
    low, high = 3600 * 700, 3600 * 700 + 30_000
    parts = [
        Segment(s.seed_id, s.time_ns(a), s.sampling_rate_hz, s.samples[a:b])
        for s in day.segments
        for a, b in ((0, low), (high, s.samples.size))
    ]
    late = [
        Segment(s.seed_id, s.time_ns(low), s.sampling_rate_hz, s.samples[low:high])
        for s in day.segments
    ]
    times = []
    for number in range(n):
        archive = Archive.open(folder / f"late{number}")
        archive.write(parts, REQUEST)
        begun = time.process_time()
        [report] = archive.write(late, REQUEST)
        times.append(time.process_time() - begun)
        if report.n_new_samples != 90_000:
            raise SystemExit(f"late data: {report.n_new_samples} new samples instead of 90000")
    value = min(times) * 1e3
    words, holds = at_most(value, 100)
    return Figure(
        figure="late 5 minutes x 3 merged into a day", value=value, unit="ms", goal=words,
        holds=holds, conditions=f"processor time; {day.made_of}",
    )  # fmt: skip


def _memory(folder: Path, day: Day, n_days: int) -> Figure:
    """Ingest days one after the other in a process of its own, and ask for its largest size."""
    command = [
        sys.executable, "-m", "tests.benchmarks.archive", "--ingest-days", str(n_days),
        str(folder / "memory"), *map(str, day.files),
    ]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    kilobytes = int(done.stdout)
    words, holds = at_most(kilobytes / 1024, 600)
    return Figure(
        figure="memory of an ingest worker", value=kilobytes / 1024, unit="MiB", goal=words,
        holds=holds, conditions=f"{n_days} 3-C days at 100 Hz, one after the other",
    )  # fmt: skip


def ingest_days(n_days: int, root: Path, files: Sequence[Path]) -> None:
    """Decode and archive the same day `n_days` times, each on a later date."""
    archive = Archive.open(root)
    for number in range(n_days):
        segments = [
            Segment(s.seed_id, s.start_ns + number * NS_PER_DAY, s.sampling_rate_hz, s.samples)
            for file in files
            for s in decode(file.read_bytes()).segments
        ]
        archive.write(segments, REQUEST)
        del segments
    status = Path("/proc/self/status").read_text()  # getrusage counts the parent before exec, too
    print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def _kills(folder: Path, n_kills: int) -> Figure:
    found = kill_writers(folder / "kills", n_kills, random.Random(2))
    n_bad = found.n_lost + found.n_mixed + found.n_damaged
    words, holds = at_most(n_bad, 0)
    return Figure(
        figure="writers killed: archives lost, mixed or unreadable", value=n_bad, unit="",
        goal=words, holds=holds,
        conditions=f"{n_kills} SIGKILLs at random moments, {found.n_pieces} writes told as done",
    )  # fmt: skip


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ingest-days"]:
        ingest_days(int(sys.argv[2]), Path(sys.argv[3]), [Path(file) for file in sys.argv[4:]])
    else:
        main(measure)
