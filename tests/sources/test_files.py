"""Folders of miniSEED files."""

import os

import numpy as np
import pytest

from geomon import config
from geomon.errors import ConfigError
from geomon.miniseed import encode
from geomon.sources import fileindex
from geomon.sources.files import FilesSource
from geomon.times import NS_PER_S, TimeSpan
from geomon.waveforms import Segment
from tests.sources.conftest import CHANNELS, PB01, PB02, RECORDINGS, SPAN, START_NS


@pytest.fixture(autouse=True)
def caches(tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("caches")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


def source_of(folder, network) -> FilesSource:
    return FilesSource(config.FilesSource(paths=(folder,)), network)


def test_what_was_recorded_comes_back_bit_for_bit(recordings_folder, network):
    fetched = source_of(recordings_folder, network).fetch(CHANNELS, SPAN)
    assert fetched.outcome == "data"
    assert fetched.missing == ()
    for segment in fetched.segments:
        np.testing.assert_array_equal(segment.samples, RECORDINGS[segment.seed_id].samples)


def test_stations_of_a_table_get_the_channels_of_the_recordings(recordings_folder, network):
    source = source_of(recordings_folder, network)
    assert source.stations(SPAN).seed_ids() == sorted(CHANNELS)
    assert source.spans()[PB02] == SPAN


def test_only_the_blocks_asked_for_are_read(tmp_path, network):
    segment = RECORDINGS[PB02]
    (tmp_path / "odd name").write_bytes(encode([segment, RECORDINGS[PB01[0]]], record_length=512))
    (tmp_path / "notes.txt").write_text("not seismic")
    source = source_of(tmp_path, network)
    span = TimeSpan(START_NS, START_NS + 10 * NS_PER_S)
    fetched = source.fetch([PB02], span)
    assert fetched.n_bytes < 60_000
    [part] = fetched.segments
    np.testing.assert_array_equal(part.samples, segment.samples[:400])


def test_a_file_that_appears_later_is_found(tmp_path, network):
    source = source_of(tmp_path, network)
    assert source.fetch([PB02], SPAN).outcome == "nodata"
    (tmp_path / "late").write_bytes(encode([RECORDINGS[PB02]]))
    assert source.fetch([PB02], SPAN).outcome == "data"


def test_links_are_followed_once_and_hidden_files_left_alone(tmp_path, network):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "day").write_bytes(encode([RECORDINGS[PB02]]))
    top = tmp_path / "top"
    top.mkdir()
    (top / "year").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "circle").symlink_to(top)
    (top / ".hidden").write_bytes(encode([RECORDINGS[PB01[0]]]))
    (top / "dangling").symlink_to(tmp_path / "nothing")
    os.mkfifo(top / "pipe")
    assert list(source_of(top, network).spans()) == [PB02]


@pytest.mark.fault(23)
def test_a_damaged_file_is_read_around_the_damage_and_named(tmp_path, network):
    content = bytearray(encode([RECORDINGS[PB02]], format_version=2, record_length=512))
    content[5120:5632] = bytes(512)
    (tmp_path / "damaged").write_bytes(content)
    fetched = source_of(tmp_path, network).fetch([PB02], SPAN)
    assert fetched.outcome == "data"
    assert any("damaged" in line for line in fetched.problems)
    n_kept = sum(segment.samples.size for segment in fetched.segments)
    assert n_kept / 24_000 > 1 - 1.1 * 512 / len(content)
    assert len(fetched.missing) == 1


def test_without_a_station_file_the_error_says_what_to_do(tmp_path, network):
    bare = network.model_copy(update={"stations": None})
    with pytest.raises(ConfigError, match=r"network\.stations is missing"):
        source_of(tmp_path, bare)
    with pytest.raises(ConfigError, match="does not exist"):
        source_of(tmp_path / "absent", network)


def test_what_was_scanned_is_remembered(recordings_folder, network, monkeypatch):
    before = source_of(recordings_folder, network).spans()
    monkeypatch.setattr(fileindex, "_scan_file", None)
    source = source_of(recordings_folder, network)
    assert source.spans() == before
    assert source.fetch(CHANNELS, SPAN).missing == ()


def test_a_damaged_index_or_no_place_for_one_means_scanning_again(
    recordings_folder, network, caches, monkeypatch
):
    before = source_of(recordings_folder, network).spans()
    [index] = caches.glob("geomon/files/*.sqlite")
    index.write_bytes(b"no database at all" * 1000)
    assert source_of(recordings_folder, network).spans() == before
    (caches / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches / "file"))
    assert source_of(recordings_folder, network).spans() == before


def test_changed_and_removed_files_are_noticed(tmp_path, network):
    path = tmp_path / "growing"
    path.write_bytes(encode([RECORDINGS[PB02]]))
    source = source_of(tmp_path, network)
    assert list(source.spans()) == [PB02]
    path.write_bytes(encode([RECORDINGS[PB01[0]]]))
    assert list(source.spans()) == [PB01[0]]
    path.unlink()
    assert source.spans() == {}


def test_an_sds_archive_is_read_whatever_its_files_are_called(tmp_path, network):
    """Files of a day hold records that begin before midnight; both versions may be mixed."""
    segment = RECORDINGS[PB02]
    year = tmp_path / "2014" / PB02.network / PB02.station / f"{PB02.channel}.D"
    year.mkdir(parents=True)
    half = segment.samples.size // 2
    parts = [
        Segment(PB02, segment.start_ns, segment.sampling_rate_hz, segment.samples[:half]),
        Segment(PB02, segment.time_ns(half), segment.sampling_rate_hz, segment.samples[half:]),
    ]
    for number, part in enumerate(parts):
        content = encode([part], format_version=2 + number, record_length=512)
        (year / f"CX.PB02..BHZ.D.2014.{121 + number}").write_bytes(content)
    [found] = source_of(tmp_path, network).fetch([PB02], SPAN).segments
    np.testing.assert_array_equal(found.samples, segment.samples)
