import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geomon.config import MagnitudeSettings
from geomon.errors import WaveformError
from geomon.events import StationMagnitude
from geomon.ids import SeedId
from geomon.locating.magnitude import (
    NoMagnitude,
    local_magnitude,
    magnitude_span,
    wood_anderson,
)
from geomon.locating.network_magnitude import network_magnitude
from geomon.stations import Response
from geomon.times import NS_PER_S, parse_time
from geomon.waveforms import Segment

RATE = 100.0
STS2 = Response(
    sensitivity=6e8,
    frequency_hz=1.0,
    input_unit="m/s",
    zeros=(0j, 0j),
    poles=(-0.037 + 0.037j, -0.037 - 0.037j, -251.3 + 0j, -131 + 467j, -131 - 467j),
)
CHANNEL = SeedId.parse("XX.S01..HHN")
P_NS = parse_time("2025-01-01T00:00:30")
S_NS = P_NS + 5 * NS_PER_S
SETTINGS = MagnitudeSettings()


def counts_of_sine(frequency_hz: float, amplitude_m: float, seconds: float = 60.0) -> np.ndarray:
    """Counts that a sine of ground displacement makes, from the response at that frequency."""

    def analogue(s: complex) -> complex:
        value = 1 + 0j
        for zero in STS2.zeros:
            value *= s - zero
        for pole in STS2.poles:
            value /= s - pole
        return value

    s = 2j * math.pi * frequency_hz
    factor = STS2.sensitivity * analogue(s) / abs(analogue(2j * math.pi)) * s
    t = np.arange(round(seconds * RATE)) / RATE
    return np.asarray(amplitude_m * (factor * np.exp(s * t)).imag)


@pytest.mark.parametrize("frequency_hz", [0.8, 1.25, 5.3, 17.3])
def test_wood_anderson_of_a_sine_follows_the_formula(frequency_hz: float) -> None:
    drawn = wood_anderson(counts_of_sine(frequency_hz, 1e-6), RATE, STS2, 2080.0)
    s, natural = 2j * math.pi * frequency_hz, 2 * math.pi / 0.8
    gain = abs(2080 * s**2 / (s**2 + 2 * 0.7 * natural * s + natural**2))
    middle = np.abs(drawn[1000:-1000]).max()
    assert middle == pytest.approx(1e-6 * gain * 1000, rel=0.01)


def test_wood_anderson_agrees_with_obspy() -> None:
    from obspy import Trace
    from obspy.signal.invsim import corn_freq_2_paz  # noqa: F401 - the library is there

    rng = np.random.default_rng(3)
    t = np.arange(6000) / RATE
    burst = np.exp(-(((t - 30) / 2) ** 2)) * rng.standard_normal(6000) * 1e5
    counts = np.convolve(burst, np.hanning(15) / 7, mode="same")
    trace = Trace(counts.copy(), {"sampling_rate": RATE})
    reference = abs(np.prod([2j * np.pi - z for z in STS2.zeros]))
    reference /= abs(np.prod([2j * np.pi - p for p in STS2.poles]))
    natural = 2 * np.pi / 0.8
    roots = np.roots([1, 2 * 0.7 * natural, natural**2])
    trace.simulate(
        paz_remove={
            "zeros": list(STS2.zeros), "poles": list(STS2.poles), "gain": 1 / reference,
            "sensitivity": STS2.sensitivity,
        },
        paz_simulate={"zeros": [0j], "poles": list(roots), "gain": 1.0, "sensitivity": 2080e3},
        water_level=60, taper=False,
    )  # fmt: skip
    own = wood_anderson(counts, RATE, STS2, 2080.0)
    assert np.abs(own).max() == pytest.approx(np.abs(trace.data).max(), rel=0.01)


def record(scale: float = 1.0, noise: float = 10.0) -> Segment:
    span = magnitude_span(P_NS, S_NS)
    n = round(span.duration_s * RATE) + 400
    start = span.start_ns - 2 * NS_PER_S
    t = start / NS_PER_S + np.arange(n) / RATE - S_NS / NS_PER_S
    rng = np.random.default_rng(1)
    signal = np.where(t > 0, np.exp(-t / 2) * np.sin(2 * np.pi * 5 * t), 0) * 1e6 * scale
    samples = np.round(signal + noise * rng.standard_normal(n)).astype(np.int32)
    return Segment(CHANNEL, start, RATE, samples)


def measure(segment: Segment, **changes: object) -> StationMagnitude | NoMagnitude:
    arguments = {
        "response": STS2, "p_time_ns": P_NS, "s_time_ns": S_NS, "distance_km": 40.0,
        "settings": SETTINGS,
    }  # fmt: skip
    arguments.update(changes)
    response = arguments.pop("response")
    return local_magnitude([segment], response, **arguments)  # type: ignore[arg-type]


def test_ten_times_the_amplitude_is_one_magnitude_more() -> None:
    small, large = measure(record(1.0)), measure(record(10.0))
    assert isinstance(small, StationMagnitude)
    assert isinstance(large, StationMagnitude)
    assert large.value - small.value == pytest.approx(1.0, abs=0.01)
    expected = math.log10(small.amplitude_mm) + 1.11 * math.log10(0.4) - 0.00189 * 60 + 3
    assert small.value == pytest.approx(expected)
    assert small.magnitude_type == "ML"


@pytest.mark.fault(36, slow=True)
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"response": None, "response_problem": "no stages"}, "no usable response: no stages"),
        ({"distance_km": 5000.0}, "limit 600"),
        ({"distance_km": 0.0}, "limit 600"),
        ({"p_time_ns": P_NS - 300 * NS_PER_S}, "no gapless record"),
    ],
)
def test_absence_says_why(changes: dict[str, object], words: str) -> None:
    answer = measure(record(), **changes)
    assert isinstance(answer, NoMagnitude)
    assert words in answer.reason
    assert answer.seed_id == CHANNEL


@pytest.mark.fault(31, 55, slow=True)
def test_noise_flat_lines_clipping_and_nan_give_none() -> None:
    noisy = measure(record(1e-6, noise=100.0))
    assert isinstance(noisy, NoMagnitude)
    assert "times the noise" in noisy.reason
    good = record()
    flat = Segment(CHANNEL, good.start_ns, RATE, np.full(good.samples.size, 7, np.int32))
    clipped = Segment(CHANNEL, good.start_ns, RATE, np.clip(good.samples, -200_000, 200_000))
    for segment in (flat, clipped):
        answer = measure(segment)
        assert isinstance(answer, NoMagnitude)
        assert "clipped" in answer.reason
    broken = good.samples.astype(np.float64)
    broken[1500] = np.nan
    answer = measure(Segment(CHANNEL, good.start_ns, RATE, broken))
    assert isinstance(answer, NoMagnitude)
    with pytest.raises(WaveformError, match="no segment"):
        local_magnitude([], STS2, p_time_ns=0, s_time_ns=1, distance_km=1.0, settings=SETTINGS)


def station(code: str, channel: str, value: float) -> StationMagnitude:
    return StationMagnitude(SeedId("XX", code, "", channel), "ML", value, 1.0, 10.0)


def test_network_magnitude_counts_a_station_once_and_ignores_verticals() -> None:
    found = network_magnitude(
        [
            station("A", "HHN", 1.0), station("A", "HHE", 1.2), station("A", "HHZ", 9.0),
            station("B", "HHN", 1.3), station("C", "HHN", 1.5),
        ]
    )  # fmt: skip
    assert found is not None
    assert found.value == pytest.approx(1.3, abs=0.02)
    assert (found.n_stations, found.magnitude_type) == (3, "ML")
    vertical = network_magnitude([station("A", "HHZ", 2.0)])
    assert vertical is not None
    assert vertical.magnitude_type == "MLv"


def test_stations_that_saw_nothing_pull_the_magnitude_down() -> None:
    seen = [station("A", "HHN", 1.4), station("B", "HHN", 1.5)]
    alone = network_magnitude(seen)
    assert alone is not None
    hidden = [NoMagnitude(SeedId("XX", f"Q{k}", "", "HHN"), "noise", limit=1.3) for k in range(4)]
    together = network_magnitude(seen, hidden)
    assert together is not None
    assert together.value < alone.value - 0.1
    assert together.n_stations == 2
    # Noise that would have hidden a magnitude 4 says nothing, nor does a missing response.
    deaf = [NoMagnitude(SeedId("XX", "Q", "", "HHN"), "noise", limit=4.0)] * 3
    deaf.append(NoMagnitude(SeedId("XX", "R", "", "HHN"), "no response"))
    unchanged = network_magnitude(seen, deaf)
    assert unchanged is not None
    assert unchanged.value == pytest.approx(alone.value, abs=0.02)


def test_weak_stations_do_not_bias_a_small_event() -> None:
    rng = np.random.default_rng(6)
    errors, naive = [], []
    for _ in range(200):
        true = rng.normal(1.0, 0.25, 16)
        noise = rng.uniform(0.7, 1.6, 16)
        seen = [station(f"S{k}", "HHN", v) for k, v in enumerate(true) if v > noise[k]]
        hidden = [
            NoMagnitude(SeedId("XX", f"S{k}", "", "HHN"), "noise", limit=float(noise[k]))
            for k in range(16) if true[k] <= noise[k]
        ]  # fmt: skip
        found = network_magnitude(seen, hidden)
        if found is not None:
            errors.append(found.value - 1.0)
            naive.append(np.median([one.value for one in seen]) - 1.0)
    assert abs(np.mean(errors)) < 0.03
    assert np.mean(naive) > 0.1


def test_a_correction_is_added_to_its_station_only() -> None:
    corrected = MagnitudeSettings(station_corrections=({"station": "XX.S01", "value": 0.25},))
    plain, other = measure(record()), measure(record(), settings=corrected)
    assert isinstance(plain, StationMagnitude)
    assert isinstance(other, StationMagnitude)
    assert other.value - plain.value == pytest.approx(0.25)
    assert corrected.correction(SeedId.parse("XX.S02..HHN").station_id) == 0


@settings(deadline=None)
@given(st.lists(st.floats(-5, 8) | st.just(math.nan) | st.just(math.inf), max_size=12))
def test_network_magnitude_is_finite_or_absent(values: list[float]) -> None:
    found = network_magnitude([station(f"S{k}", "HHN", v) for k, v in enumerate(values)])
    finite = [v for v in values if math.isfinite(v)]
    if not finite:
        assert found is None
    else:
        assert found is not None
        assert math.isfinite(found.value)
        assert 0 < found.uncertainty < 20
        assert min(finite) - 0.01 <= found.value <= max(finite) + 0.01
