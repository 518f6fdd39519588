"""The sensors of a simulated network: where they stand, what they are, how odd they are.

Stations lie on a sunflower spiral (Vogel, 1979), which covers a disk evenly for any number of
them. Real networks are never uniform, so the first dozen are a tour of what breaks software:

=====  =====================================================================================
 no.   what is special
=====  =====================================================================================
  2    a station code of five letters
  3    two sensors under two location codes: a seismometer and an accelerometer at 200 Hz
  4    40 samples a second
  5    200 samples a second
  6    vertical component only, short period
  7    short period, 100 Hz, samples off the whole 10 ms
  8    horizontals named 1 and 2, turned
  9    no response in the metadata
=====  =====================================================================================

Location codes are empty and ``00`` in turn.
"""

from dataclasses import dataclass

import numpy as np

from geomon.ids import SeedId, StreamId
from geomon.stations import Channel, Response
from geomon.synthesis.instruments import ACCELEROMETER, BROADBAND, SHORT_PERIOD
from geomon.synthesis.noise import ContinuousNoise
from geomon.times import TimeSpan

NETWORK = "XX"
CENTRE = (46.0, 7.5)
_GOLDEN_ANGLE = np.pi * (3 - np.sqrt(5))
_RADIUS_KM = 26.0  # of a network of twelve; the area grows with their number


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor of the network and the ground it stands on.

    Attributes
    ----------
    index : int
        Its number in the network; seeds everything random about it.
    stream_id : StreamId
        Its codes.
    components : str
        Last letters of its channels, vertical first.
    azimuths_deg : tuple of float
        Where each horizontal points, in the order of `components`; 0 for the vertical.
    latitude, longitude, elevation_m : float
        Where it stands.
    sampling_rate_hz : float
        Samples per second.
    offset_ns : int
        Time of its samples after whole sampling intervals since 1970.
    response : Response
        What it does to ground velocity.
    is_response_known : bool
        Whether the metadata tell.
    noise_level : float
        Between the low (0) and the high (1) noise model.
    day_night_db : float
        How much louder the day is from 1 to 30 Hz.
    dc_counts : int
        Its offset from zero.
    delay_s : (float, float)
        How much later P and S come than in the layered model.
    site_frequency_hz, site_gain, kappa_s : float
        Site response, as in `SourceAndPath`.
    """

    index: int
    stream_id: StreamId
    components: str
    azimuths_deg: tuple[float, ...]
    latitude: float
    longitude: float
    elevation_m: float
    sampling_rate_hz: float
    offset_ns: int
    response: Response
    is_response_known: bool
    noise_level: float
    day_night_db: float
    dc_counts: int
    delay_s: tuple[float, float]
    site_frequency_hz: float
    site_gain: float
    kappa_s: float

    def seed_ids(self) -> tuple[SeedId, ...]:
        """Return the names of its channels, vertical first."""
        return tuple(self.stream_id.seed_id(component) for component in self.components)

    def channels(self, epoch: TimeSpan) -> tuple[Channel, ...]:
        """Return its channels as station metadata tell them."""
        return tuple(
            Channel(
                seed_id=seed_id,
                epoch=epoch,
                latitude=self.latitude,
                longitude=self.longitude,
                elevation_m=self.elevation_m,
                azimuth_deg=azimuth,
                dip_deg=-90.0 if seed_id.component == "Z" else 0.0,
                sampling_rate_hz=self.sampling_rate_hz,
                response=self.response if self.is_response_known else None,
                response_problem="" if self.is_response_known else "not in the metadata",
            )
            for seed_id, azimuth in zip(self.seed_ids(), self.azimuths_deg, strict=True)
        )

    def noise(self, seed: int, component: int) -> ContinuousNoise:
        """Return the noise of one of its channels, in counts."""
        return ContinuousNoise(
            seed=seed,
            stream=3 * self.index + component,
            sampling_rate_hz=self.sampling_rate_hz,
            level=self.noise_level,
            response=self.response,
            gain_db=0.0 if component == 0 else 2.0,
            day_night_db=self.day_night_db,
            longitude_deg=self.longitude,
        )


def place_sensors(seed: int, n_stations: int) -> tuple[Sensor, ...]:
    """Lay out a network.

    Parameters
    ----------
    seed : int
        Everything random follows from it, >= 0.
    n_stations : int
        Number of stations; sensors are one more from the third station on.

    Returns
    -------
    tuple of Sensor
        In station order.
    """
    sensors: list[Sensor] = []
    for number in range(1, n_stations + 1):
        rng = np.random.default_rng((seed, 1, number))
        base = _base(rng, number, n_stations, len(sensors))
        sensors.append(base)
        if number == 3:
            sensors.append(_accelerometer(base))
    return tuple(sensors)


def _base(rng: np.random.Generator, number: int, n_stations: int, index: int) -> Sensor:
    """Make the main sensor of station `number`, with its peculiarity."""
    from pyproj import Geod

    radius_km = _RADIUS_KM * np.sqrt(max(n_stations, 12) / 12)
    distance_km = radius_km * np.sqrt((number - 0.5) / n_stations) + rng.normal(0, 1.0)
    azimuth = np.degrees(number * _GOLDEN_ANGLE) + rng.normal(0, 5)
    longitude, latitude, _ = Geod(ellps="WGS84").fwd(
        CENTRE[1], CENTRE[0], azimuth, 1000 * abs(distance_km)
    )
    band, rate, response, components, turn = "HH", 100.0, BROADBAND, "ZNE", 0.0
    if number == 4:
        band, rate = "BH", 40.0
    elif number == 5:
        rate = 200.0
    elif number == 6:
        band, response, components = "EH", SHORT_PERIOD, "Z"
    elif number == 7:
        band, response = "EH", SHORT_PERIOD
    elif number == 8:
        components, turn = "Z12", 37.0
    delay_s = float(rng.normal(0, 0.03))
    return Sensor(
        index=index,
        stream_id=StreamId(
            NETWORK, "GMALP" if number == 2 else f"GM{number:02d}", "00" if number % 2 else "", band
        ),
        components=components,
        azimuths_deg=(0.0, turn, turn + 90.0)[: len(components)],
        latitude=round(float(latitude), 5),
        longitude=round(float(longitude), 5),
        elevation_m=float(round(rng.uniform(400, 2600))),
        sampling_rate_hz=rate,
        offset_ns=1_234_000 if number == 7 else 0,
        response=response,
        is_response_known=number != 9,
        noise_level=float(rng.uniform(0.2, 0.52)),
        day_night_db=float(rng.uniform(4, 14)),
        dc_counts=int(rng.integers(-3000, 3000)),
        delay_s=(delay_s, 1.7 * delay_s + float(rng.normal(0, 0.02))),
        site_frequency_hz=float(np.exp(rng.uniform(np.log(1.5), np.log(15)))),
        site_gain=float(rng.uniform(0.2, 2.0)),
        kappa_s=float(rng.uniform(0.008, 0.035)),
    )


def _accelerometer(beside: Sensor) -> Sensor:
    """Make the second sensor of a site; its own noise is what it mostly records."""
    codes = beside.stream_id
    return Sensor(
        index=beside.index + 1,
        stream_id=StreamId(codes.network, codes.station, "10", "HN"),
        components=beside.components,
        azimuths_deg=beside.azimuths_deg,
        latitude=beside.latitude,
        longitude=beside.longitude,
        elevation_m=beside.elevation_m,
        sampling_rate_hz=200.0,
        offset_ns=0,
        response=ACCELEROMETER,
        is_response_known=True,
        noise_level=0.6,
        day_night_db=0.0,
        dc_counts=-12_000,
        delay_s=beside.delay_s,
        site_frequency_hz=beside.site_frequency_hz,
        site_gain=beside.site_gain,
        kappa_s=beside.kappa_s,
    )
