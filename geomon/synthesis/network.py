"""A simulated network with known truth: stations, earthquakes, arrivals, and every sample.

Everything follows from a seed. Samples are made in blocks of ten minutes since 1970 and
earthquakes in half hours, so that any request, however cut, gets the same samples, and any hour
of any year has its own swarm. What is simulated and from which sources is told in
`geomon.synthesis.seismogram` (waves), `.noise`, `.rays` (travel times), `.sensors` (stations and
their oddities), `.swarm` (earthquakes) and `.troubles` (gaps, overlaps, spikes, late packets).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from geomon.config import SimulatedSource
from geomon.errors import StationMetadataError
from geomon.ids import SeedId, StationId
from geomon.stations import FOREVER_NS, Stations
from geomon.synthesis.instruments import counts_per_velocity
from geomon.synthesis.rays import first_arrivals
from geomon.synthesis.seismogram import seismograms
from geomon.synthesis.sensors import Sensor, place_sensors
from geomon.synthesis.source_and_path import SourceAndPath
from geomon.synthesis.swarm import HALF_HOUR_NS, TrueEvent, events_of, radiation
from geomon.synthesis.troubles import Troubles, latest_ns, troubles
from geomon.times import NS_PER_S, TimeSpan, merged, parse_time, subtracted
from geomon.velocity import LayeredModel
from geomon.waveforms import Segment

if TYPE_CHECKING:
    import pandas as pd

_BLOCK_S = 600
_BLOCK_NS = _BLOCK_S * NS_PER_S
_LONGEST_NS = 180 * NS_PER_S  # no earthquake is felt longer than that
_LEAD_S = 1.0  # of an earthquake's record before its first P
_BAND_HZ = (2.0, 20.0)  # where signal is compared with noise
_SIGNAL_S = 1.5
_MIN_SNR = 5.0
_OPENED_NS = parse_time("2000-01-01T00:00:00")


@dataclass(frozen=True, slots=True)
class TrueArrival:
    """When the waves of an earthquake reach a station, and how they come.

    `p_ns` and `s_ns` are nanoseconds since 1970; `distance_km` and `azimuth_deg` lead from the
    epicentre to the station; `takeoff_deg` and `incidence_deg` are those of P, as in `Rays`.
    """

    station_id: StationId
    p_ns: int
    s_ns: int
    distance_km: float
    azimuth_deg: float
    hypocentral_distance_km: float
    takeoff_deg: float
    incidence_deg: float


@dataclass(frozen=True)
class Scenario:
    """A simulated network and its earthquakes.

    Attributes
    ----------
    model : LayeredModel
        What waves travel through; stations add up to 0.1 s of their own.
    seed : int
        Everything random follows from it, >= 0.
    n_stations : int
        Number of stations.
    events_per_hour : float
        Mean rate of earthquakes.

    Examples
    --------
    >>> model = LayeredModel("crust", (0.0, 12.0), (5.8, 6.3), (3.35, 3.65))
    >>> scenario = Scenario(model, seed=1)
    >>> span = TimeSpan.parse("2024-05-01T23:30", "2024-05-02T00:30")
    >>> len(scenario.events(span))
    48
    """

    model: LayeredModel
    seed: int = 1
    n_stations: int = 12
    events_per_hour: float = 48.0

    @classmethod
    def of(cls, source: SimulatedSource, model: LayeredModel) -> "Scenario":
        """Make the scenario a configuration describes."""
        return cls(model, source.seed, source.n_stations, source.events_per_hour)

    @cached_property
    def sensors(self) -> tuple[Sensor, ...]:
        """All sensors, in station order."""
        return place_sensors(self.seed, self.n_stations)

    @cached_property
    def stations(self) -> Stations:
        """Station metadata as the network publishes them, valid from 2000 on."""
        epoch = TimeSpan(_OPENED_NS, FOREVER_NS)
        return Stations.of(c for sensor in self.sensors for c in sensor.channels(epoch))

    @cached_property
    def _places(self) -> dict[SeedId, tuple[Sensor, int]]:
        return {
            seed_id: (sensor, component)
            for sensor in self.sensors
            for component, seed_id in enumerate(sensor.seed_ids())
        }

    def events(self, span: TimeSpan) -> tuple[TrueEvent, ...]:
        """Return the earthquakes with origin times in a span, in time order."""
        first, last = span.start_ns // HALF_HOUR_NS, -(-span.end_ns // HALF_HOUR_NS)
        return tuple(
            event
            for half_hour in range(first, last)
            for event in events_of(self.seed, self.events_per_hour, half_hour)
            if span.contains(event.time_ns)
        )

    def arrivals(self, event: TrueEvent) -> dict[StationId, TrueArrival]:
        """Return the true arrivals of an earthquake, station by station."""
        return {arrival.station_id: arrival for arrival in _arrivals(self, event)}

    def n_stations_above_noise(self, event: TrueEvent) -> int:
        """Count the stations that record an earthquake well enough to pick both P and S.

        A station counts when, from 2 to 20 Hz, the peak in the 1.5 s from P and from S on, noise
        left out, is at least five times the root mean square of its noise then, plus the peaks of
        other earthquakes running through; and when it has no gap there. A vertical-only station
        counts by its P.
        """
        return len(
            {
                sensor.stream_id.station_id
                for sensor in self.sensors
                if _is_seen(self, event, sensor)
            }
        )

    def segments(
        self, seed_id: SeedId, span: TimeSpan, *, now_ns: int | None = None
    ) -> tuple[Segment, ...]:
        """Return what a data centre would answer for one channel.

        Parameters
        ----------
        seed_id : SeedId
            One of the network's channels.
        span : TimeSpan
            Samples are timed in [start, end).
        now_ns : int, optional
            Only what had arrived by then, nanoseconds since 1970; by default all of it.

        Returns
        -------
        tuple of Segment
            int32 counts; in time order, followed by what was sent twice.

        Raises
        ------
        StationMetadataError
            If the network has no such channel.
        """
        if seed_id not in self._places:
            msg = f"{seed_id}: no such channel in the simulated network"
            raise StationMetadataError(msg)
        sensor, component = self._places[seed_id]
        end_ns = span.end_ns if now_ns is None else min(span.end_ns, latest_ns(now_ns))
        open_span = TimeSpan(_OPENED_NS, max(end_ns, _OPENED_NS)).intersection(span)
        absent: list[TimeSpan] = []
        again: list[TimeSpan] = []
        for part in open_span.steps(HALF_HOUR_NS):
            trouble = self._troubles(sensor, part.start_ns)
            absent += trouble.gaps_of(component)
            again += trouble.resent
            absent += [
                late.span
                for late in trouble.late
                if now_ns is not None and late.available_ns > now_ns
            ]
        present = subtracted(open_span, absent)
        twice = [
            part
            for extra in merged(again)
            for part in subtracted(extra.intersection(open_span), absent)
        ]
        made = (_segment(self, sensor, component, part) for part in [*present, *twice])
        return tuple(segment for segment in made if segment is not None)

    def signal(self, event: TrueEvent, sensor: Sensor) -> tuple[int, NDArray[np.float32]]:
        """Return what an earthquake alone makes a sensor count.

        Returns
        -------
        (int, array of float32, shape (n_components, n_samples))
            Index of the first sample, as in `ContinuousNoise.samples`, and counts without noise.
        """
        return _record(self, event, sensor)

    def truth(self, span: TimeSpan) -> "pd.DataFrame":
        """Return the earthquakes of a span as a table.

        Columns are time, latitude, longitude, depth_km, magnitude and n_stations_above_noise.
        """
        import pandas as pd

        columns = ("time", "latitude", "longitude", "depth_km", "magnitude")
        events = self.events(span)
        table = pd.DataFrame({name: [getattr(e, name) for e in events] for name in columns})
        table["n_stations_above_noise"] = [self.n_stations_above_noise(e) for e in events]
        return table

    def _troubles(self, sensor: Sensor, time_ns: int) -> Troubles:
        half_hour = time_ns // HALF_HOUR_NS
        return troubles(self.seed, sensor.index, len(sensor.components), half_hour)


@lru_cache(maxsize=4096)
def _arrivals(scenario: Scenario, event: TrueEvent) -> tuple[TrueArrival, ...]:
    """Trace rays from an earthquake to every sensor, in sensor order."""
    from pyproj import Geod

    sensors = scenario.sensors
    latitude = np.array([sensor.latitude for sensor in sensors])
    longitude = np.array([sensor.longitude for sensor in sensors])
    depth = np.array([-sensor.elevation_m / 1000 for sensor in sensors])
    azimuth, _, metres = Geod(ellps="WGS84").inv(
        np.full_like(longitude, event.longitude), np.full_like(latitude, event.latitude),
        longitude, latitude,
    )  # fmt: skip
    distance = np.asarray(metres) / 1000
    p, s = (
        first_arrivals(
            scenario.model, phase, distance_km=distance, source_depth_km=event.depth_km,
            station_depth_km=depth,
        )
        for phase in ("P", "S")
    )  # fmt: skip
    return tuple(
        TrueArrival(
            station_id=sensor.stream_id.station_id,
            p_ns=event.time_ns + round((float(p.time_s[i]) + sensor.delay_s[0]) * NS_PER_S),
            s_ns=event.time_ns + round((float(s.time_s[i]) + sensor.delay_s[1]) * NS_PER_S),
            distance_km=float(distance[i]),
            azimuth_deg=float(azimuth[i]) % 360,
            hypocentral_distance_km=float(np.hypot(distance[i], event.depth_km - depth[i])),
            takeoff_deg=float(p.takeoff_deg[i]),
            incidence_deg=float(p.incidence_deg[i]),
        )
        for i, sensor in enumerate(sensors)
    )


@lru_cache(maxsize=1024)
def _record(
    scenario: Scenario, event: TrueEvent, sensor: Sensor
) -> tuple[int, NDArray[np.float32]]:
    """Return an earthquake's own counts on a sensor: index of the first sample, (n, samples)."""
    rate = sensor.sampling_rate_hz
    arrival = _arrivals(scenario, event)[sensor.index]
    first = int((arrival.p_ns - sensor.offset_ns) * rate // NS_PER_S - _LEAD_S * rate)
    start_ns = round(first * NS_PER_S / rate) + sensor.offset_ns
    p_s, s_s = (arrival.p_ns - start_ns) / NS_PER_S, (arrival.s_ns - start_ns) / NS_PER_S
    n_samples = round((s_s + 20 + 14 * max(event.magnitude, 0)) * rate)
    rng = np.random.default_rng((scenario.seed, 4, event.half_hour, event.number, sensor.index))
    p, sv, sh = radiation(event, np.array([arrival.azimuth_deg]), np.array([arrival.takeoff_deg]))
    # Above a few hertz scattering blurs the pattern, and nothing is quite nodal (Takemura et al.,
    # 2009, https://doi.org/10.1111/j.1365-246X.2009.04210.x).
    paths = SourceAndPath.draw(
        rng,
        magnitude=[event.magnitude],
        hypocentral_distance_km=[arrival.hypocentral_distance_km],
        p_time_s=[p_s],
        s_time_s=[s_s],
        azimuth_deg=[arrival.azimuth_deg],
        incidence_deg=[arrival.incidence_deg],
        stress_drop_pa=event.stress_drop_pa,
        q0=150.0,
        q_exponent=0.5,
        kappa_s=sensor.kappa_s,
        polarity=np.where(p >= 0, 1.0, -1.0),
        radiation_p=np.sqrt(0.5 * p**2 + 0.5 * 0.52**2),
        radiation_s=np.sqrt(0.5 * (sv**2 + sh**2) + 0.5 * 0.63**2),
        s_polarization_deg=np.degrees(np.arctan2(sh, sv)),
        site_frequency_hz=sensor.site_frequency_hz,
        site_gain=sensor.site_gain,
        head_delay_s=0.0,
    )
    up, north, east = seismograms(rng, paths, n_samples=n_samples, sampling_rate_hz=rate)[0]
    angles = np.radians(sensor.azimuths_deg[1:])
    ground = np.stack([up, *(np.cos(a) * north + np.sin(a) * east for a in angles)])
    fade = np.minimum(1, (n_samples - np.arange(n_samples)) / (0.3 * n_samples))
    ground *= np.sin(0.5 * np.pi * fade) ** 2
    n_fft = int(fft.next_fast_len(n_samples + round(10 * rate), real=True))
    gain = counts_per_velocity(sensor.response, np.fft.rfftfreq(n_fft, 1 / rate))
    counts = fft.irfft(fft.rfft(ground, n_fft, axis=-1) * gain, n_fft, axis=-1)[:, :n_samples]
    return first, np.asarray(counts, np.float32)


@lru_cache(maxsize=192)
def _block(scenario: Scenario, sensor: Sensor, block: int) -> NDArray[np.int32]:
    """Return ten minutes of a sensor, shape (n_components, n_samples)."""
    rate = sensor.sampling_rate_hz
    count = round(_BLOCK_S * rate)
    first = block * count
    start_ns = block * _BLOCK_NS + sensor.offset_ns
    counts = np.stack(
        [
            sensor.noise(scenario.seed, component).samples(first, count).astype(np.float64)
            for component in range(len(sensor.components))
        ]
    )
    span = TimeSpan(start_ns - _LONGEST_NS, start_ns + _BLOCK_NS)
    for event in scenario.events(span):
        at, record = _record(scenario, event, sensor)
        low, high = max(at, first), min(at + record.shape[1], first + count)
        if low < high:
            counts[:, low - first : high - first] += record[:, low - at : high - at]
    counts += sensor.dc_counts
    trouble = scenario._troubles(sensor, block * _BLOCK_NS)
    for component, samples in enumerate(counts):
        trouble.disturb(samples, component, start_ns, rate)
    digits = np.rint(np.clip(counts, -(2**31) + 1, 2**31 - 1)).astype(np.int32)
    digits.flags.writeable = False
    return digits


def _segment(scenario: Scenario, sensor: Sensor, component: int, span: TimeSpan) -> Segment | None:
    """Cut the samples timed in a span out of the blocks; None when there are none."""
    rate = sensor.sampling_rate_hz
    interval_ns = round(NS_PER_S / rate)
    first = -((sensor.offset_ns - span.start_ns) // interval_ns)
    last = -((sensor.offset_ns - span.end_ns) // interval_ns)
    per_block = round(_BLOCK_S * rate)
    if first >= last:
        return None
    parts = [
        _block(scenario, sensor, block)[component][
            max(first - block * per_block, 0) : last - block * per_block
        ]
        for block in range(first // per_block, (last - 1) // per_block + 1)
    ]
    seed_id = sensor.seed_ids()[component]
    return Segment(seed_id, first * interval_ns + sensor.offset_ns, rate, np.concatenate(parts))


def _is_seen(scenario: Scenario, event: TrueEvent, sensor: Sensor) -> bool:
    """Tell whether P and S of an earthquake stand out of a sensor's noise."""
    arrival = _arrivals(scenario, event)[sensor.index]
    needed = TimeSpan(arrival.p_ns, arrival.s_ns).padded(2.0)
    for time_ns in (needed.start_ns, needed.end_ns):
        trouble = scenario._troubles(sensor, time_ns)
        spoiled = [gap.span for gap in trouble.gaps] + list(trouble.flats)
        if any(span.overlaps(needed) for span in spoiled):
            return False
    phases = [(arrival.p_ns, slice(0, 1))]
    if len(sensor.components) > 1:
        phases.append((arrival.s_ns, slice(1, None)))
    for time_ns, components in phases:
        peak = _peak(scenario, event, sensor, time_ns)[components].max()
        noise = sensor.noise(scenario.seed, components.start).rms(time_ns, *_BAND_HZ)
        others = [
            other
            for other in scenario.events(TimeSpan(time_ns - 40 * NS_PER_S, time_ns + NS_PER_S))
            if other != event
        ]
        for other in others:
            noise += float(_peak(scenario, other, sensor, time_ns)[components].max()) / _MIN_SNR
        if peak < _MIN_SNR * noise:
            return False
    return True


def _peak(
    scenario: Scenario, event: TrueEvent, sensor: Sensor, time_ns: int
) -> NDArray[np.float64]:
    """Peak of each component just after a time, in the band compared with noise, in counts."""
    first, record = _record(scenario, event, sensor)
    rate = sensor.sampling_rate_hz
    frequency = np.fft.rfftfreq(record.shape[1], 1 / rate)
    low, high = _BAND_HZ
    inside = 1 / np.sqrt(1 + (low / np.maximum(frequency, 1e-9)) ** 8)
    inside /= np.sqrt(1 + (frequency / high) ** 8)
    band = fft.irfft(fft.rfft(record, axis=-1) * inside, record.shape[1], axis=-1)
    at = round((time_ns - sensor.offset_ns) * rate / NS_PER_S) - first
    window = band[:, max(at, 0) : max(at + round(_SIGNAL_S * rate), 0)]
    if window.shape[1] == 0:
        return np.zeros(record.shape[0])
    return np.asarray(np.abs(window).max(axis=1), np.float64)
