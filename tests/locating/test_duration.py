"""Durations are read off codas, and called what they are."""

import numpy as np
import pytest

from geomon.events import StationMagnitude
from geomon.ids import SeedId
from geomon.locating.duration import duration_magnitude, duration_span, network_duration_magnitude
from geomon.locating.magnitude import NoMagnitude
from geomon.times import NS_PER_S, parse_time
from geomon.waveforms import Segment

P_NS = parse_time("2025-01-01T00:00:30")
RATE = 100.0


def record(decay_s: float, noise: float = 10.0, code: str = "A") -> Segment:
    span = duration_span(P_NS)
    rng = np.random.default_rng(3)
    t = np.arange(round(span.duration_s * RATE)) / RATE - (P_NS - span.start_ns) / NS_PER_S
    signal = np.where(t > 0, 1000 * np.exp(-t / decay_s), 0) * rng.standard_normal(t.size)
    samples = np.rint(signal + noise * rng.standard_normal(t.size) + 500).astype(np.int32)
    return Segment(SeedId("XX", code, "", "HHZ"), span.start_ns, RATE, samples)


def test_duration_is_where_the_coda_sinks_into_noise() -> None:
    found = duration_magnitude(record(10.0), p_time_ns=P_NS, distance_km=20.0)
    assert isinstance(found, StationMagnitude)
    assert found.magnitude_type == "Md"
    seconds = 10 * np.log(1000 / (10 * np.sqrt(3)))  # signal² + noise² = (2 noise)²
    assert found.value == pytest.approx(-0.87 + 2 * np.log10(seconds) + 0.07, abs=0.1)


@pytest.mark.parametrize(
    ("segment", "words"),
    [(record(200.0), "does not end"), (record(1.0, noise=1e5), "no more than before")],
)
def test_no_end_or_no_event_gives_none(segment: Segment, words: str) -> None:
    answer = duration_magnitude(segment, p_time_ns=P_NS, distance_km=20.0)
    assert isinstance(answer, NoMagnitude)
    assert words in answer.reason


def test_three_stations_make_a_magnitude_that_knows_how_rough_it_is() -> None:
    found = [
        duration_magnitude(record(decay, code=code), p_time_ns=P_NS, distance_km=20.0)
        for code, decay in (("A", 8.0), ("B", 10.0), ("C", 12.0))
    ]
    good = [one for one in found if isinstance(one, StationMagnitude)]
    assert network_duration_magnitude(good[:2]) is None
    network = network_duration_magnitude(good)
    assert network is not None
    assert (network.magnitude_type, network.n_stations) == ("Md", 3)
    assert network.uncertainty >= 0.5
