"""A known attenuation and known stations are found again, and the file goes into a config."""

import csv
from pathlib import Path

import numpy as np
import pytest
import yaml

from geomon.config import MagnitudeSettings
from geomon.errors import DataError
from geomon.ids import StationId
from geomon.locating.calibration import Amplitude, Calibration, NotCalibrated, as_config, calibrate
from geomon.services.calibration import read_reference

TRUE_A, TRUE_B, TRUE_C = 1.4, 0.004, 2.8


def amplitudes(
    n_events: int = 60, far_km: float = 250.0
) -> tuple[list[Amplitude], dict[str, float]]:
    rng = np.random.default_rng(5)
    corrections = {f"S{k:02d}": float(value) for k, value in enumerate(rng.normal(0, 0.2, 12))}
    made = []
    for event in range(n_events):
        magnitude = float(rng.uniform(1, 4))
        common = rng.normal(0, 0.1)
        for code, correction in corrections.items():
            distance = float(rng.uniform(10, far_km))
            log = magnitude + common - correction - TRUE_A * np.log10(distance / 100)
            log += -TRUE_B * (distance - 100) - TRUE_C + 0.15 * rng.standard_t(4)
            if rng.random() < 0.02:
                log += 2.0
            made.append(
                Amplitude(event, magnitude, StationId("XX", code), float(10**log), distance)
            )
    return made, corrections


def test_attenuation_and_corrections_are_found_again_within_their_errors() -> None:
    made, corrections = amplitudes()
    found = calibrate(made, MagnitudeSettings())
    assert isinstance(found, Calibration)
    settings = found.settings
    for name, true in (("a", TRUE_A), ("b", TRUE_B)):
        error = getattr(settings, name) - true
        assert abs(error) < 3.5 * found.uncertainty[name], name
    assert found.uncertainty["a"] < 0.1
    mean = np.mean(list(corrections.values()))
    for one in settings.station_corrections:
        true = corrections[one.station.removeprefix("XX.")] - mean
        assert one.uncertainty is not None
        assert one.value == pytest.approx(true, abs=0.15)
    assert settings.c == pytest.approx(TRUE_C + mean, abs=0.15)
    assert found.scatter < 0.25 < found.scatter_before


def test_what_the_amplitudes_cannot_tell_stays_as_it_was() -> None:
    made, _ = amplitudes(n_events=8)
    near = [
        Amplitude(one.event, one.magnitude, one.station, one.amplitude_mm, 50.0) for one in made
    ]
    found = calibrate(near, MagnitudeSettings())
    assert isinstance(found, Calibration)
    assert found.settings.b == pytest.approx(MagnitudeSettings().b, abs=1e-3)
    assert found.uncertainty["b"] > 0.0015
    few = calibrate(made[:10], MagnitudeSettings())
    assert few == NotCalibrated("10 amplitudes of 1 events whose magnitude is known; needs 20 of 5")


def test_the_file_is_a_section_of_a_config() -> None:
    made, _ = amplitudes(n_events=10)
    found = calibrate(made, MagnitudeSettings(min_snr=3))
    assert isinstance(found, Calibration)
    section = yaml.safe_load(as_config(found, "reference.xml"))["magnitude"]
    settings = MagnitudeSettings(**section)
    assert settings.a == pytest.approx(found.settings.a, abs=1e-3)
    assert settings.min_snr == 3
    assert len(settings.station_corrections) == 12


def test_a_reference_is_a_table_or_quakeml(tmp_path: Path) -> None:
    path = tmp_path / "reference.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "latitude", "longitude", "magnitude"])
        writer.writerow(["2025-01-01T00:00:00Z", 40, 15, 2.5])
        writer.writerow(["2025-01-01T01:00:00Z", 40, 15, ""])
    assert [one.magnitude for one in read_reference(path)] == [2.5, None]
    path.write_text("time,latitude,longitude,magnitude\n2025-01-01,40,east,1\n")
    with pytest.raises(DataError, match=r"reference\.csv:2: .*'east'; expected time"):
        read_reference(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="neither QuakeML nor a table: no column time"):
        read_reference(path)
