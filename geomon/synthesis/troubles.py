"""What goes wrong on a simulated sensor: gaps, overlaps, spikes, steps, pulses, late packets.

Time is cut into half hours since 1970; what happens to a sensor in one follows from the seed,
the sensor and the half hour alone. Which kinds a sensor suffers from depends on its number, so
that a network of twelve shows each of them.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geomon.times import NS_PER_S, TimeSpan

HALF_HOUR_NS = 1800 * NS_PER_S
_LATENCY_S = 4.0  # from the ground to the data centre on a good day


@dataclass(frozen=True, slots=True)
class Spike:
    """One sample of one component that is far off."""

    component: int
    time_ns: int
    counts: int


@dataclass(frozen=True, slots=True)
class Gap:
    """A span that was never recorded; `component` is None for all."""

    component: int | None
    span: TimeSpan


@dataclass(frozen=True, slots=True)
class Late:
    """A span that arrives long after it was recorded."""

    span: TimeSpan
    available_ns: int


@dataclass(frozen=True, slots=True)
class Troubles:
    """All that goes wrong on one sensor in one half hour.

    Attributes
    ----------
    gaps : spans never recorded.
    resent : spans that are sent twice, the same samples.
    spikes : single samples far off.
    steps : spans during which every component is off by so many counts.
    pulses : starts of calibration pulses and their height in counts.
    flats : spans during which every component is zero.
    late : spans that arrive late.
    """

    gaps: tuple[Gap, ...] = ()
    resent: tuple[TimeSpan, ...] = ()
    spikes: tuple[Spike, ...] = ()
    steps: tuple[tuple[TimeSpan, int], ...] = ()
    pulses: tuple[tuple[int, int], ...] = ()
    flats: tuple[TimeSpan, ...] = ()
    late: tuple[Late, ...] = ()

    def gaps_of(self, component: int) -> tuple[TimeSpan, ...]:
        """Return the gaps of one component."""
        return tuple(gap.span for gap in self.gaps if gap.component in {None, component})

    def disturb(
        self, samples: NDArray[np.float64], component: int, start_ns: int, rate: float
    ) -> None:
        """Add steps, pulses, spikes and flat stretches to samples in counts, in place."""
        time_s = np.arange(samples.size) / rate

        def index(time_ns: int) -> int:
            return min(max(-round((start_ns - time_ns) * rate / NS_PER_S), 0), samples.size)

        for span, counts in self.steps:
            samples[index(span.start_ns) : index(span.end_ns)] += counts
        for pulse_ns, counts in self.pulses:
            since = np.maximum(time_s - (pulse_ns - start_ns) / NS_PER_S, 0.0)
            samples += counts * since * np.exp(1 - since)
        for spike in self.spikes:
            at = index(spike.time_ns)
            if spike.component == component and spike.time_ns >= start_ns and at < samples.size:
                samples[at] += spike.counts
        for span in self.flats:
            samples[index(span.start_ns) : index(span.end_ns)] = 0


def latest_ns(now_ns: int) -> int:
    """Return the end of what has arrived from sensors without trouble."""
    return now_ns - round(_LATENCY_S * NS_PER_S)


@lru_cache(maxsize=4096)
def troubles(seed: int, sensor: int, n_components: int, half_hour: int) -> Troubles:
    """Return what goes wrong on a sensor in one half hour since 1970.

    Parameters
    ----------
    seed : int
        Everything random follows from it, >= 0.
    sensor : int
        Number of the sensor.
    n_components : int
        How many channels it has.
    half_hour : int
        Number of the half hour since 1970.

    Returns
    -------
    Troubles
        Often empty.
    """
    rng = np.random.default_rng((seed, 2, sensor, half_hour))
    start_ns = half_hour * HALF_HOUR_NS

    def span(shortest_s: float, longest_s: float) -> TimeSpan:
        first = start_ns + int(rng.uniform(30, 1780 - longest_s) * NS_PER_S)
        return TimeSpan(first, first + int(rng.uniform(shortest_s, longest_s) * NS_PER_S))

    def strikes(every: int, which: int, share: float = 0.75) -> bool:
        return bool(rng.random() < share) and sensor % every == which

    def signed(low: float, high: float) -> int:
        return int(rng.choice((-1, 1)) * np.exp(rng.uniform(np.log(low), np.log(high))))

    def component() -> int:
        return int(rng.integers(n_components))

    gap_spans = [span(3, 45) for _ in range(2)]
    kinds = [None, component()]
    spikes = [Spike(component(), span(1, 2).start_ns, signed(300, 3e5)) for _ in range(3)]
    late = span(120, 900)
    delay_ns = int(rng.uniform(900, 5400) * NS_PER_S)
    return Troubles(
        gaps=tuple(map(Gap, kinds, gap_spans)) if strikes(4, 1) else (),
        resent=(span(10, 40),) if strikes(4, 2) else (),
        spikes=tuple(spikes) if strikes(5, 3) else (),
        steps=((span(30, 90), signed(500, 20_000)),) if strikes(6, 4) else (),
        pulses=((span(1, 2).start_ns, signed(3000, 3e5)),) if strikes(6, 5) else (),
        flats=(span(5, 20),) if strikes(7, 6) else (),
        late=(Late(late, late.end_ns + delay_ns),) if strikes(5, 2) else (),
    )
