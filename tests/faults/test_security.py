"""What strangers send is data, never a command, a path, an address or a program."""

import io
import os
import pickle
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from geomon.config import FilesSource
from geomon.errors import ConfigError, DataError, StationMetadataError
from geomon.services.ingest import ingest
from geomon.sources.stationxml import read_stations
from geomon.stores.quakeml_reading import read_quakeml
from tests import faultproxy as f
from tests.faults.networks import Configured, assert_everything_archived
from tests.sources.conftest import SPAN

LAUGHS = "".join(f'<!ENTITY l{k} "{f"&l{k - 1};" * 10}">' for k in range(1, 10))


@pytest.mark.fault(48)
@pytest.mark.parametrize(
    ("root", "read"),
    [("FDSNStationXML", read_stations), ("quakeml", partial(read_quakeml, name="x.xml"))],
    ids=["StationXML", "QuakeML"],
)
def test_entities_are_neither_read_nor_multiplied(
    tmp_path: Path, httpserver: HTTPServer, root: str, read: Callable[[bytes], object]
) -> None:
    """A secret file, an address of the inner network, and a billion laughs."""
    secret = tmp_path / "secret"
    secret.write_text("the-secret")
    inner = httpserver.url_for("/inner")
    for entities in (
        f'<!ENTITY e SYSTEM "file://{secret}">',
        f'<!ENTITY e SYSTEM "{inner}">',
        f'<!ENTITY % e SYSTEM "{inner}">%e;',
        f'<!ENTITY l0 "ha">{LAUGHS}<!ENTITY e "&l9;">',
    ):
        content = f"<!DOCTYPE {root} [{entities}]><{root}>&e;</{root}>".encode()
        with pytest.raises((StationMetadataError, DataError)) as raised:
            read(content)
        assert "the-secret" not in str(raised.value)
        assert len(str(raised.value)) < 500
    assert httpserver.log == []


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.place),))


@pytest.mark.fault(49)
def test_a_pickle_is_never_unpickled(
    proxy: f.FaultProxy, configured: Configured, tmp_path: Path
) -> None:
    place = tmp_path / "exploded"
    content = pickle.dumps(Bomb(place))
    pickle.load(io.BytesIO(content))
    assert place.is_dir()  # so it would go off
    place.rmdir()
    proxy.script = [f.altered(lambda _: content), f.altered(lambda whole: content + whole)]
    config = configured(proxy.url)
    assert ingest(config, SPAN).n_failed == 0
    assert_everything_archived(config)
    folder = tmp_path / "files"
    folder.mkdir()
    (folder / "waveforms.mseed").write_bytes(content)
    (folder / "waveforms.pickle").write_bytes(content)
    files = configured(proxy.url).model_copy(update={"source": FilesSource(paths=(folder,))})
    assert ingest(files, SPAN).n_new_samples == 0
    assert not place.exists()


@pytest.mark.fault(20, 51)
@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data/", "http://localhost:22/", "//10.0.0.1/query",
        "file:///etc/passwd", "gopher://127.0.0.1:70/", "http://127.0.0.1@10.0.0.1/",
        "http://127.0.0.1:80/query", "\\\\10.0.0.1\\share",
    ],
)  # fmt: skip
def test_no_answer_leads_to_another_host(
    proxy: f.FaultProxy, configured: Configured, location: str
) -> None:
    """Python itself tells of every name looked up and every connection made."""
    seen: set[object] = set()
    watching = True

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event == "socket.connect":
            seen.add(arguments[1])
        elif watching and event == "socket.getaddrinfo":
            seen.add(tuple(arguments[:2]))

    sys.addaudithook(note)  # there is no way to remove it again
    proxy.always = f.redirect(location)
    report = ingest(configured(proxy.url, max_attempts=2), SPAN)
    watching = False
    port = int(proxy.url.rpartition(":")[2])
    assert seen == {("127.0.0.1", port)}
    assert set(report.outcomes) <= {"rejected", "network"}
    assert report.n_new_samples == 0


@pytest.mark.fault(51)
@pytest.mark.parametrize("url", ["file:///etc", "gopher://127.0.0.1", "//10.0.0.1", "http://"])
def test_a_config_names_web_addresses_only(configured: Configured, url: str) -> None:
    with pytest.raises(ConfigError, match=r"source\.urls"):
        ingest(configured(url), SPAN)
