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
from typing import NamedTuple

import numpy as np
import obspy
import zarr
from obspy import UTCDateTime

from geomon.ids import SeedId, StreamId
from geomon.miniseed import encode
from geomon.sources.miniseed import decode
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
            _memory(folder, day, n_days=1 if quick else 5),
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


class Seconds(NamedTuple):
    """Time on the clock, and of processors, all threads together."""

    wall: float
    cpu: float


def _seconds(action: Callable[[], object], n: int) -> Seconds:
    """Least times of `n` calls, as a busy machine only adds."""
    times = []
    for _ in range(n):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return Seconds(*(min(column) for column in zip(*times, strict=True)))


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
    source = np.concatenate([segment.samples for segment in day.segments])
    target = np.empty_like(source)
    copy = _seconds(lambda: np.copyto(target, source), n).wall
    ours = _seconds(lambda: archive.read_stream(STREAM, SPAN), n)
    obspys = _seconds(lambda: [obspy.read(str(f), format="MSEED") for f in day.files], n)
    array = zarr.open_array(Path(archive.url) / "CX/PB01/_.HH@100/2014", mode="r")
    first = 120 * 8_640_000
    stock = _seconds(lambda: array[:, first : first + 8_640_000], 1 if n < 5 else 3)
    words, holds = at_least(obspys.wall / ours.wall, 1.5)
    cores = len(os.sched_getaffinity(0))
    about = f"{day.made_of}; memcpy {n_bytes / copy / 1e6:.0f} MB/s"
    return [
        Figure(
            figure="bulk read of a 3-C day", value=n_bytes / ours.wall / 1e6, unit="MB/s",
            goal=f"{words} × peer", peer="obspy.read", peer_value=n_bytes / obspys.wall / 1e6,
            ratio=obspys.wall / ours.wall, holds=holds,
            conditions=f"{cores} cores; {about}; {versions('obspy', 'pcodec', 'numpy')}",
        ),
        Figure(
            figure="bulk read of a 3-C day, a core", value=n_bytes / ours.cpu / 1e6, unit="MB/s",
            peer="obspy.read", peer_value=n_bytes / obspys.cpu / 1e6,
            ratio=obspys.cpu / ours.cpu, conditions="processor time of all threads together",
        ),
        Figure(
            figure="bulk read of a 3-C day, same objects", value=n_bytes / ours.wall / 1e6,
            unit="MB/s", peer="zarr-python", peer_value=n_bytes / stock.wall / 1e6,
            ratio=stock.wall / ours.wall, conditions=versions("zarr"),
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
    decode(buffers[0])  # compiles
    ours = _seconds(lambda: [decode(buffer) for buffer in buffers], n).cpu
    obspys = _seconds(lambda: [obspy.read(str(f), format="MSEED") for f in day.files], n).cpu
    words, holds = at_least(obspys / ours, 1.5)
    return Figure(
        figure="decode and validate a 3-C day", value=ours * 1e3, unit="ms",
        goal=f"{words} × faster than peer", peer="obspy.read", peer_value=obspys * 1e3,
        ratio=obspys / ours, holds=holds,
        conditions=f"processor time; Steim 2, 512-byte records; {day.made_of}",
    )  # fmt: skip


def _ingest(folder: Path, day: Day, n: int) -> Figure:
    buffers = [file.read_bytes() for file in day.files]
    places = iter(range(1000))

    def ingest() -> None:
        archive = Archive.open(folder / f"ingest{next(places)}")
        archive.write([s for b in buffers for s in decode(b).segments], REQUEST)

    seconds = _seconds(ingest, n).cpu
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
    """Ingest days of three stations as a user does, and ask for the process's largest size."""
    recordings = folder / "recordings"
    recordings.mkdir()
    for number in range(n_days):
        for station in ("PB01", "PB02", "PB03"):
            segments = [
                Segment(
                    SeedId("CX", station, "", s.seed_id.channel),
                    s.start_ns + number * NS_PER_DAY, s.sampling_rate_hz, s.samples,
                )
                for s in day.segments
            ]  # fmt: skip
            content = encode(segments, format_version=2, record_length=512)
            (recordings / f"{station}.{number}").write_bytes(content)
    (folder / "stations.csv").write_text(
        "network,station,latitude,longitude,elevation\n"
        "CX,PB01,-21.04,-69.49,900\nCX,PB02,-21.3,-69.9,1015\nCX,PB03,-22.05,-69.75,1460\n"
    )
    (folder / "network.yaml").write_text(
        "network: {name: memory, stations: stations.csv}\n"
        "source: {kind: files, paths: [recordings]}\narchive: {url: days}\n"
    )
    command = [
        sys.executable, "-m", "tests.benchmarks.archive", "--ingest-days", str(n_days),
        str(folder / "network.yaml"),
    ]  # fmt: skip
    done = subprocess.run(
        command, check=True, capture_output=True, text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(folder)},
    )  # fmt: skip
    kilobytes = int(done.stdout)
    words, holds = at_most(kilobytes / 1024, 600)
    return Figure(
        figure="memory of an ingest worker",
        value=kilobytes / 1024,
        unit="MiB",
        goal=words,
        holds=holds,
        conditions=f"one request for {n_days} days of three 3-C stations at 100 Hz, quality too",
    )


def ingest_days(n_days: int, config: Path) -> None:
    """Ingest `n_days` and print the largest size of this process, kilobytes."""
    from geomon.config import load_config
    from geomon.services.ingest import ingest

    report = ingest(load_config(config), TimeSpan(DAY, DAY + n_days * NS_PER_DAY))
    if report.n_failed or report.n_complete != 3 * n_days:
        raise SystemExit(f"not ingested: {report.summary()}")
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
        ingest_days(int(sys.argv[2]), Path(sys.argv[3]))
    else:
        main(measure)
