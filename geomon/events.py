"""Picks, origins, magnitudes and events, in the words of QuakeML 1.2 and the units of the field.

A *pick* is a phase read on one stream; tied to an origin it is an *arrival*. Depths are
kilometres below sea level, positive down; azimuths are degrees clockwise from north;
uncertainties are one standard deviation, ellipses and intervals hold 68 %.
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from geomon.ids import SeedId
from geomon.times import to_ns

type Phase = Literal["P", "S"]
type Polarity = Literal["positive", "negative", "undecidable"]
type EvaluationMode = Literal["automatic", "manual"]
type ReviewState = Literal["automatic", "reviewed", "confirmed", "rejected"]

RELATIVE = ", relative"
"""How the names of methods end that place events relative to their neighbours."""


@dataclass(frozen=True, slots=True, order=True)
class Pick:
    """One phase onset read on one stream.

    Attributes
    ----------
    time : datetime, UTC
        Arrival time of the phase at the station.
    seed_id : SeedId
        Channel the phase is seen best on: vertical for P, a horizontal for S where there is one.
    phase : {"P", "S"}
        Phase hint.
    probability : float, in [0, 1]
        Picker output at the pick.
    uncertainty_s : float
        One standard deviation of `time`.
    snr : float or None
        Ratio of the root mean squares 2 s after and 5 s before the pick, in the picker's band.
    amplitude : float or None
        Largest absolute deviation from the local mean within 2 s after the pick, in counts.
    polarity : {"positive", "negative", "undecidable"}
        Direction of the first motion, in counts; undecidable unless it is clear.
    polarity_probability : float or None
        That the direction is right; None where it is undecidable or nobody said. Picks that
        differ in nothing else are the same pick.
    picker : str
        Name and hash of the picker, or the analyst's name for a manual pick.
    evaluation_mode : {"automatic", "manual"}
        Who made it.
    """

    time: datetime
    seed_id: SeedId
    phase: Phase
    probability: float
    uncertainty_s: float
    snr: float | None = None
    amplitude: float | None = None
    polarity: Polarity = "undecidable"
    polarity_probability: float | None = field(default=None, compare=False)
    picker: str = ""
    evaluation_mode: EvaluationMode = "automatic"

    @property
    def pick_id(self) -> str:
        """Name made of stream, phase, time and picker: the same pick always has the same id."""
        key = f"{self.seed_id.stream_id}/{self.phase}/{to_ns(self.time)}/{self.picker}"
        return hashlib.sha256(key.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Arrival:
    """A pick tied to an origin.

    `residual_s` is observed minus predicted, positive when late; `weight` in [0, 1] says how much
    the pick counted in the location.
    """

    pick: Pick
    distance_km: float
    azimuth_deg: float
    residual_s: float
    weight: float


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when, from one method, with its uncertainty.

    Attributes
    ----------
    time, latitude, longitude, depth_km
        Best estimate (degrees, kilometres below sea level).
    time_uncertainty_s : float
        One standard deviation of the origin time.
    covariance_km2 : tuple of 6 floats
        Posterior covariance of (east, north, down): xx, xy, xz, yy, yz, zz.
    ellipse_km : (float, float)
        Semi-major and semi-minor axis of the 68 % epicentre ellipse.
    ellipse_azimuth_deg : float
        Azimuth of the semi-major axis, in [0, 180).
    depth_interval_km : (float, float)
        Shallow and deep end of the 68 % depth interval.
    rms_s : float
        Weighted root mean square residual.
    azimuthal_gap_deg, nearest_station_km : float
        Geometry of the stations used.
    n_stations, n_phases : int
        Stations and phases used.
    quality : {"A", "B", "C", "D"}
        Class from gap, nearest station, count and ellipse; D is outside the network or poor.
    method, velocity_model : str
        How it was located, and in which model (name and hash).
    """

    time: datetime
    latitude: float
    longitude: float
    depth_km: float
    time_uncertainty_s: float
    covariance_km2: tuple[float, float, float, float, float, float]
    ellipse_km: tuple[float, float]
    ellipse_azimuth_deg: float
    depth_interval_km: tuple[float, float]
    rms_s: float
    azimuthal_gap_deg: float
    nearest_station_km: float
    n_stations: int
    n_phases: int
    quality: Literal["A", "B", "C", "D"]
    method: str
    velocity_model: str
    arrivals: tuple[Arrival, ...] = ()


@dataclass(frozen=True, slots=True)
class StationMagnitude:
    """One channel's magnitude; `amplitude_mm` is the largest Wood-Anderson deflection."""

    seed_id: SeedId
    magnitude_type: str
    value: float
    amplitude_mm: float
    distance_km: float


@dataclass(frozen=True, slots=True)
class Magnitude:
    """A network magnitude: median of the station magnitudes, with its standard error."""

    value: float
    magnitude_type: str
    uncertainty: float
    n_stations: int
    station_magnitudes: tuple[StationMagnitude, ...] = ()


@dataclass(frozen=True, slots=True)
class FocalMechanism:
    """A double couple and how well first motions determine it.

    Attributes
    ----------
    strike_deg, dip_deg, rake_deg : float
        One nodal plane; strike in [0, 360), dip in [0, 90], rake in (-180, 180].
    auxiliary : (float, float, float)
        Strike, dip and rake of the other.
    uncertainty_deg : float
        Root mean square angle between the nodal planes of likely mechanisms and of this one.
    probability : float
        That the true mechanism is within 45 degrees of this one.
    misfit : float
        Share of polarities it contradicts, each counted by how far it lies from the nodal planes.
    station_distribution_ratio : float
        How far from the nodal planes the polarities lie, 1 far, 0 all on them.
    n_polarities : int
        Polarities used.
    quality : {"A", "B", "C", "D"}
        Class after Hardebeck and Shearer.
    """

    strike_deg: float
    dip_deg: float
    rake_deg: float
    auxiliary: tuple[float, float, float]
    uncertainty_deg: float
    probability: float
    misfit: float
    station_distribution_ratio: float
    n_polarities: int
    quality: Literal["A", "B", "C", "D"]


@dataclass(frozen=True, slots=True)
class Event:
    """Origin, magnitude and picks believed to be one earthquake, as the catalogue holds it.

    `event_id` is empty until the catalogue has given the event one. `valid_from` is when this
    revision became the current one; `run` names the run that made it. `other_magnitudes` are of
    other types than the preferred one.
    """

    preferred_origin: Origin
    preferred_magnitude: Magnitude | None = None
    event_id: str = ""
    revision: int = 0
    event_type: str = "earthquake"
    review_state: ReviewState = "automatic"
    probability: float | None = None
    valid_from: datetime | None = None
    run: str = ""
    reasons: tuple[str, ...] = field(default=())
    other_magnitudes: tuple[Magnitude, ...] = ()
    mechanism: FocalMechanism | None = None

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        """Arrivals of the preferred origin."""
        return self.preferred_origin.arrivals

    @property
    def picks(self) -> tuple[Pick, ...]:
        """Picks of the preferred origin."""
        return tuple(arrival.pick for arrival in self.arrivals)
