"""The moment of a Brune source is found again, through noise, instrument and attenuation."""

import numpy as np
import pytest

from geomon.ids import SeedId
from geomon.locating.magnitude import NoMagnitude
from geomon.locating.moment import (
    SourceSpectrum,
    moment_magnitude_of,
    network_moment_magnitude,
    source_spectrum,
    spectrum_spans,
)
from geomon.processing.response import counts_per_unit
from geomon.stations import Response
from geomon.times import NS_PER_S, parse_time
from geomon.waveforms import Segment

RATE, VS, DISTANCE_KM = 100.0, 3.5, 30.0
P_NS = parse_time("2025-01-01T00:00:30")
S_NS = P_NS + 5 * NS_PER_S
RESPONSE = Response(6e8, 1.0, "m/s", (0j, 0j), (-0.037 + 0.037j, -0.037 - 0.037j))


def pair(
    moment: float, corner_hz: float, noise: float, seed: int = 0, station: str = "A"
) -> list[tuple[Segment, Response]]:
    """Two horizontals that share a Brune pulse with attenuation, as counts among white noise."""
    rng = np.random.default_rng(seed)
    start = spectrum_spans(P_NS, S_NS)[1].start_ns - NS_PER_S
    n = 4096
    frequency = np.fft.rfftfreq(n, 1 / RATE)
    level = 2 * 0.63 * moment / (4 * np.pi * 2700 * (1000 * VS) ** 3 * 1000 * DISTANCE_KM)
    t_star = DISTANCE_KM / VS / 150 + 0.02
    pulse = level / (1 + 1j * frequency / corner_hz) ** 2 * np.exp(-np.pi * t_star * frequency)
    velocity = (
        pulse * 2j * np.pi * frequency * np.exp(-2j * np.pi * frequency * (S_NS - start) / 1e9)
    )
    velocity[1:] *= counts_per_unit(RESPONSE, frequency[1:]) * RATE
    signal = np.fft.irfft(velocity, n)
    share = rng.uniform(0, np.pi / 2)
    return [
        (
            Segment(
                SeedId("XX", station, "", f"HH{component}"), start, RATE,
                np.rint(signal * part + noise * rng.standard_normal(n)).astype(np.int32),
            ),
            RESPONSE,
        )
        for component, part in (("E", np.cos(share)), ("N", np.sin(share)))
    ]  # fmt: skip


def measure(horizontals: list[tuple[Segment, Response]]) -> SourceSpectrum | NoMagnitude:
    return source_spectrum(
        horizontals, p_time_ns=P_NS, s_time_ns=S_NS, distance_km=DISTANCE_KM, vs_km_s=VS
    )


@pytest.mark.parametrize(("magnitude", "corner_hz"), [(1.5, 15.0), (2.5, 6.0), (3.5, 2.5)])
def test_the_moment_is_found_again(magnitude: float, corner_hz: float) -> None:
    found = measure(pair(10 ** (1.5 * magnitude + 9.1), corner_hz, noise=2.0))
    assert isinstance(found, SourceSpectrum)
    assert found.magnitude == pytest.approx(magnitude, abs=0.15)
    assert found.corner_hz == pytest.approx(corner_hz, rel=0.4)
    assert found.magnitude == moment_magnitude_of(found.moment_nm)
    assert 0.1 < found.uncertainty < 0.4


def test_noise_gaps_and_one_horizontal_give_none() -> None:
    horizontals = pair(1e11, 15.0, noise=1e5)
    weak = measure(horizontals)
    assert isinstance(weak, NoMagnitude)
    assert "out of the noise" in weak.reason
    one = measure(horizontals[:1])
    assert isinstance(one, NoMagnitude)
    assert "one horizontal" in one.reason
    (segment, _), other = horizontals
    late = Segment(segment.seed_id, P_NS, RATE, segment.samples)
    cut = measure([(late, RESPONSE), other])
    assert isinstance(cut, NoMagnitude)
    assert "no gapless record" in cut.reason


def test_stations_agree_on_a_median_with_its_error() -> None:
    spectra = [
        measure(pair(10 ** (1.5 * 2 + 9.1), 9.0, noise=2.0, seed=k, station=f"S{k}"))
        for k in range(6)
    ]
    good = [one for one in spectra if isinstance(one, SourceSpectrum)]
    network = network_moment_magnitude(good)
    assert network is not None
    assert network.magnitude_type == "Mw"
    assert network.value == pytest.approx(2.0, abs=0.15)
    assert network.n_stations == 6
    assert network.uncertainty < good[0].uncertainty
    assert network_moment_magnitude([]) is None
