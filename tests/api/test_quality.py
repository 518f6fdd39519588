"""Quality and noise as JSON."""

import numpy as np
import pytest

from geomon.ids import StreamId
from geomon.services.quality import assess
from geomon.times import NS_PER_S
from geomon.waveforms import Provenance, Segment
from tests.api.network import SPAN, fill, make_config

DAY = SPAN.start.date()
QUIET = StreamId.parse("XX.QUIET..HH")


@pytest.fixture(scope="module")
def assessed(tmp_path_factory, serve):
    """A served network with a measured day: five hours at one station, minutes at the others."""
    space = fill(make_config(tmp_path_factory.mktemp("quality")))
    known = space.stations().seed_ids()[0]
    size = 5 * 3600 * 20
    samples = np.random.default_rng(0).integers(-90, 90, size).astype(np.int32)
    start_ns = SPAN.start_ns - 6 * 3600 * NS_PER_S
    parts = [
        Segment(known, start_ns, 20.0, samples),
        Segment(QUIET.seed_id("Z"), start_ns, 20.0, samples),
    ]
    space.archive.write(parts, Provenance("test", "", ""))
    for stream in space.archive.streams():
        assess(space.config, stream, DAY)
    return space, serve(space.config), known


def test_every_channel_of_the_day_is_told(assessed):
    space, client, _ = assessed
    answer = client.get("/api/quality", params={"start": "2024-03-05", "end": "2024-03-06"}).json()
    channels = [row["channel"] for row in answer["rows"]]
    assert channels == sorted(channels)
    assert (
        len(channels)
        == sum(len(space.archive.coverage(stream, SPAN)) for stream in space.archive.streams()) + 1
    )
    row = next(row for row in answer["rows"] if row["channel"] == "XX.QUIET..HHZ")
    assert row["availability"] == pytest.approx(5 / 24)
    assert (row["day"], row["sampling_rate_hz"], row["n_gaps"]) == ("2024-03-05", 20, 1)
    assert row["above_low_db"] is None
    assert client.get("/api/quality").json()["rows"] == answer["rows"]
    some = client.get("/api/quality", params={"stations": "XX.Q*, XX.NONE"}).json()["rows"]
    assert [row["channel"] for row in some] == ["XX.QUIET..HHZ"]
    nothing = client.get("/api/quality", params={"start": "2020-01-01", "end": "2020-01-02"})
    assert nothing.json()["rows"] == []


def test_impossible_questions(assessed):
    _, client, _ = assessed
    for path, status in (
        ("/api/quality?start=2020-01-01&end=2024-01-01", 400),
        ("/api/quality?stations=XX", 400),
        ("/api/quality?stations=XX.'%3B--", 400),
        ("/api/quality/psd", 422),
        ("/api/quality/psd?stream=XX.QUIET", 400),
        ("/api/quality/psd?stream=XX.QUIET..HH&component=zz", 422),
        ("/api/quality/psd?stream=XX.QUIET..HH&start=2020-01-01&end=2024-01-01", 400),
    ):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert answer.json()["detail"]


def test_noise_comes_with_the_models_it_can_be_compared_with(assessed):
    _, client, known = assessed
    stream, component = str(known.stream_id), known.component
    noise = client.get("/api/quality/psd", params={"stream": stream, "component": component}).json()
    assert noise["channel"] == str(known)
    [day] = noise["days"]
    assert (day["day"], day["unit"], day["n_windows"]) == ("2024-03-05", "m/s**2", 9)
    sizes = {len(day[name]) for name in ("periods_s", "low_db", "median_db", "high_db")}
    assert len(sizes) == 1
    assert all(low <= mid <= high for low, mid, high in zip(
        day["low_db"], day["median_db"], day["high_db"], strict=True))  # fmt: skip
    models = noise["models"]
    assert models["periods_s"][0] == 0.1
    assert models["periods_s"][-1] >= day["periods_s"][-1]
    assert all(low < high for low, high in zip(models["low_db"], models["high_db"], strict=True))
    quiet = client.get("/api/quality/psd", params={"stream": str(QUIET)}).json()
    assert quiet["days"][0]["unit"] == "counts"
    assert quiet["models"] is None
    missing = client.get("/api/quality/psd", params={"stream": "XX.NONE..HH"}).json()
    assert (missing["days"], missing["models"]) == ([], None)
