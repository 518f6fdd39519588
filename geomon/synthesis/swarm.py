"""True earthquakes of a simulated network: when, where, how large, and how they radiate.

Time is cut into half hours since 1970; the earthquakes of one follow from the seed and the half
hour alone. They keep a distance of their own from each other, except that every eighth follows
5 to 10 s after its predecessor; the last one of every hour is split by the full hour, and one in
every first half hour by the 10-minute mark, so that any midnight and any usual tile has an event
across its edge.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from geomon.synthesis.sensors import CENTRE
from geomon.times import NS_PER_S, from_ns

HALF_HOUR_NS = 1800 * NS_PER_S
MAX_MAGNITUDE = 3.0
_SOURCES_KM = ((-6.0, 4.0, 5.0), (8.0, -5.0, 9.0))  # east and north of the centre, depth
_SPREAD_KM = (1.5, 1.5, 1.2)
_DEPTHS_KM = (3.0, 12.0)
_B_VALUE = 1.0
_SPLIT_LEAD_S = 2.2  # the P of a swarm event comes before that, its S later


@dataclass(frozen=True, slots=True, order=True)
class TrueEvent:
    """One simulated earthquake.

    Attributes
    ----------
    time_ns : int
        Origin time, nanoseconds since 1970 UTC.
    latitude, longitude, depth_km : float
        Hypocentre; depth below sea level.
    magnitude : float
        Local magnitude.
    stress_drop_pa : float
        Brune stress drop.
    strike_deg, dip_deg, rake_deg : float
        Double couple (Aki and Richards, 2002, chapter 4).
    half_hour, number : int
        Which half hour since 1970, and its place in it.
    """

    time_ns: int
    latitude: float
    longitude: float
    depth_km: float
    magnitude: float
    stress_drop_pa: float
    strike_deg: float
    dip_deg: float
    rake_deg: float
    half_hour: int
    number: int

    @property
    def time(self) -> datetime:
        """Origin time, UTC."""
        return from_ns(self.time_ns)


@lru_cache(maxsize=1024)
def events_of(seed: int, events_per_hour: float, half_hour: int) -> tuple[TrueEvent, ...]:
    """Return the earthquakes of one half hour since 1970, in time order.

    Parameters
    ----------
    seed : int
        Everything random follows from it, >= 0.
    events_per_hour : float
        Mean rate.
    half_hour : int
        Number of the half hour since 1970.

    Returns
    -------
    tuple of TrueEvent
        Half of `events_per_hour`, rounded up or down by chance.
    """
    from pyproj import Geod

    rng = np.random.default_rng((seed, 3, half_hour))
    count = int(events_per_hour / 2 + rng.random())
    if count == 0:
        return ()
    seconds = _origin_times_s(rng, count, ends_an_hour=half_hour % 2 == 1)
    rank = (rng.permutation(count) + rng.random(count)) / count
    magnitude = -np.log10(1 - rank * (1 - 10 ** (-_B_VALUE * MAX_MAGNITUDE))) / _B_VALUE
    source = np.array(_SOURCES_KM)[rng.integers(0, len(_SOURCES_KM), count)]
    east, north, depth = (source + rng.normal(0, 1, (count, 3)) * _SPREAD_KM).T
    longitude, latitude, _ = Geod(ellps="WGS84").fwd(
        np.full(count, CENTRE[1]), np.full(count, CENTRE[0]),
        np.degrees(np.arctan2(east, north)), 1000 * np.hypot(east, north),
    )  # fmt: skip
    return tuple(
        TrueEvent(
            time_ns=half_hour * HALF_HOUR_NS + round(float(seconds[i]) * NS_PER_S),
            latitude=float(latitude[i]),
            longitude=float(longitude[i]),
            depth_km=float(np.clip(depth[i], *_DEPTHS_KM)),
            magnitude=round(float(magnitude[i]), 2),
            stress_drop_pa=float(10 ** rng.normal(6.5, 0.25)),
            strike_deg=float(rng.normal(40, 20)),
            dip_deg=float(rng.uniform(50, 85)),
            rake_deg=float(rng.normal(-60, 30)),
            half_hour=half_hour,
            number=i,
        )
        for i in range(count)
    )


def _origin_times_s(
    rng: np.random.Generator, count: int, *, ends_an_hour: bool
) -> NDArray[np.float64]:
    """Origin times after the start of a half hour, increasing."""
    slot = 1800 / count
    seconds = (np.arange(count) + rng.uniform(0.25, 0.75, count)) * slot
    follows = np.arange(count) % 8 == 5
    seconds[follows] = seconds[np.flatnonzero(follows) - 1] + rng.uniform(5, 10, follows.sum())
    if ends_an_hour:
        seconds[-1] = 1800 - _SPLIT_LEAD_S
    elif count > 4:
        seconds[np.argmin(np.abs(seconds - 600))] = 600 - _SPLIT_LEAD_S
    return np.sort(seconds)


def radiation(
    event: TrueEvent, azimuth_deg: NDArray[np.float64], takeoff_deg: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the far-field radiation of P, SV and SH (Aki and Richards, 2002, eqs. 4.89-4.91).

    Parameters
    ----------
    event : TrueEvent
        Its double couple is used.
    azimuth_deg : array of float64
        Source to station.
    takeoff_deg : array of float64
        From straight down (0) to straight up (180).

    Returns
    -------
    tuple of three arrays
        Dimensionless, in [-1, 1]; P positive away from the source.
    """
    strike, dip, rake = np.radians((event.strike_deg, event.dip_deg, event.rake_deg))
    i, phi = np.radians(takeoff_deg), np.radians(azimuth_deg) - strike
    sin_2phi, cos_2phi = np.sin(2 * phi), np.cos(2 * phi)
    one = np.cos(rake) * np.sin(dip)
    two = np.cos(rake) * np.cos(dip)
    three = np.sin(rake) * np.sin(2 * dip)
    four = np.sin(rake) * np.cos(2 * dip)
    p = (
        one * np.sin(i) ** 2 * sin_2phi
        - two * np.sin(2 * i) * np.cos(phi)
        + three * (np.cos(i) ** 2 - np.sin(i) ** 2 * np.sin(phi) ** 2)
        + four * np.sin(2 * i) * np.sin(phi)
    )
    sv = (
        four * np.cos(2 * i) * np.sin(phi)
        - two * np.cos(2 * i) * np.cos(phi)
        + 0.5 * one * np.sin(2 * i) * sin_2phi
        - 0.5 * three * np.sin(2 * i) * (1 + np.sin(phi) ** 2)
    )
    sh = (
        two * np.cos(i) * np.sin(phi)
        + one * np.sin(i) * cos_2phi
        + four * np.cos(i) * np.cos(phi)
        - 0.5 * three * np.sin(i) * sin_2phi
    )
    return p, sv, sh
