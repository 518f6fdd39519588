"""Exported miniSEED says what the archive holds, or the export fails."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
import obspy
import pytest

from geomon.errors import WaveformError
from geomon.ids import SeedId
from geomon.miniseed import exact_records
from geomon.sources.miniseed import decode
from geomon.stores.archive import Archive
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests.stores.archives import ALL, DAY, FIRST, HH, counts, same, segment


def test_nanoseconds_rates_and_types_survive_miniseed_3(archive: Archive, tmp_path: Path) -> None:
    given = [
        segment(0, counts(50_000), ns=1),
        segment(600, counts(50_000), ns=987_654_321),
        segment(86_390, counts(3000), component="N"),
        segment(0, counts(5000), component="E", rate=40.0),
        segment(500, np.array([-(2**31), 2**31 - 1, 0] * 500, np.int32), component="E"),
        segment(700, counts(900).astype(np.float32) / 3, component="E"),
        segment(800, counts(900).astype(np.float64) / 3, component="E"),
    ]
    archive.write(given, FIRST)
    file = tmp_path / "all.mseed"
    n_samples = archive.export([HH], ALL, file)
    assert n_samples == sum(s.samples.size for s in given)
    decoded = decode(file.read_bytes())
    assert not decoded.is_damaged
    assert same(decoded.segments, given)
    assert [p.name for p in tmp_path.iterdir() if p.is_file()] == ["all.mseed"]


@pytest.mark.parametrize("rate", [30.0, 99.97, 128.0])
def test_times_at_odd_rates_stay_within_a_nanosecond(
    archive: Archive, tmp_path: Path, rate: float
) -> None:
    whole = segment(5, counts(100_000), rate=rate, ns=333)
    archive.write([whole], FIRST)
    archive.export([HH], ALL, tmp_path / "odd.mseed")
    found = decode((tmp_path / "odd.mseed").read_bytes()).segments
    assert sum(s.samples.size for s in found) == 100_000
    assert np.array_equal(np.concatenate([s.samples for s in found]), whole.samples)
    first = 0
    for one in found:
        assert abs(one.start_ns - whole.time_ns(first)) <= 1
        first += one.samples.size


def test_obspy_reads_the_same_from_miniseed_2(archive: Archive, tmp_path: Path) -> None:
    given = [segment(0, counts(50_000), ns=123_000), segment(900, counts(500), component="N")]
    archive.write(given, FIRST)
    z = SeedId.parse("CX.PB01..HHZ")
    span = TimeSpan(DAY + 100 * NS_PER_S, DAY + 400 * NS_PER_S)
    archive.export([z], span, tmp_path / "z.mseed", format_version=2)
    [trace] = obspy.read(str(tmp_path / "z.mseed"), format="MSEED")
    clipped = given[0].clipped(span)
    assert isinstance(clipped, Segment)
    assert trace.stats.starttime.ns == clipped.start_ns
    assert trace.id == "CX.PB01..HHZ"
    np.testing.assert_array_equal(trace.data, clipped.samples)


def test_what_a_format_cannot_hold_is_refused(archive: Archive, tmp_path: Path) -> None:
    archive.write([segment(0, counts(500), ns=1)], FIRST)
    file = tmp_path / "z.mseed"
    file.write_bytes(b"before")
    with pytest.raises(WaveformError, match=r"HHZ: miniSEED 2 cannot hold the time 2024-02-29"):
        archive.export([HH], ALL, file, format_version=2)
    assert file.read_bytes() == b"before"
    assert archive.export([HH], TimeSpan(0, 10), file) == 0
    assert file.read_bytes() == b""


def test_an_export_holds_few_samples_at_a_time(
    archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is cut at any time, also within a record and around midnight; nothing is lost there."""
    given = [
        segment(86_000, counts(90_000), ns=7),
        segment(86_350, 9000, component="N", rate=99.97),
    ]
    archive.write(given, FIRST)
    sizes = []

    def watched(one: Segment, version: Literal[2, 3]) -> Iterator[bytes]:
        sizes.append(one.samples.size)
        return exact_records(one, version)

    monkeypatch.setattr("geomon.stores.archive.exact_records", watched)
    monkeypatch.setattr("geomon.stores.archive._EXPORT_SAMPLES", 100_000)
    n_samples = archive.export([HH], given[0].span.padded(9), tmp_path / "all.mseed")
    assert n_samples == sum(sizes) == 99_000
    assert len(sizes) > 8
    assert max(sizes) < 20_000
    found = decode((tmp_path / "all.mseed").read_bytes()).segments
    for whole in given:
        samples = [s.samples for s in found if s.seed_id == whole.seed_id]
        np.testing.assert_array_equal(np.concatenate(samples), whole.samples)
