"""Real recordings: the Hengill swarm of 2018-12-30, from files and over FDSN dataselect."""

import numpy as np
import pytest

from geomon import config
from geomon.config import Network
from geomon.sources.fdsn import FdsnSource
from geomon.sources.files import FilesSource
from geomon.times import TimeSpan
from tests.servers import dataselect_server

SPAN = TimeSpan.parse("2018-12-30T03:00:00", "2018-12-30T03:05:00")


@pytest.fixture(scope="module")
def hengill(shared_data):
    return shared_data / "malmi_hengill"


def test_files_and_web_service_bring_the_same(hengill):
    folder = hengill / "tests/inputs/seismic_data"
    table = hengill / "tests/inputs/station_inventory/stations.csv"
    files = FilesSource(config.FilesSource(paths=(folder,)), Network(name="files", stations=table))
    xml = Network(name="xml", stations=hengill / "derived/stations.xml")
    from_table = files.stations(SPAN)
    assert len(from_table.station_ids()) == 20
    assert len(from_table.seed_ids()) == 60
    read = files.fetch(from_table.seed_ids(), SPAN)
    assert (read.outcome, read.problems, read.missing) == ("data", (), ())
    with dataselect_server(folder) as url:
        for network in (files.network, xml):
            source = FdsnSource(config.FdsnSource(urls=(url,)), network)
            assert source.stations(SPAN).seed_ids() == from_table.seed_ids()
            fetched = source.fetch(from_table.seed_ids(), SPAN)
            source.close()
            assert (fetched.outcome, fetched.problems, fetched.missing) == ("data", (), ())
            assert fetched.provenance.sha256 == read.provenance.sha256
            for one, two in zip(fetched.segments, read.segments, strict=True):
                assert (one.seed_id, one.start_ns) == (two.seed_id, two.start_ns)
                np.testing.assert_array_equal(one.samples, two.samples)
