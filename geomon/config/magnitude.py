"""How magnitudes are measured: attenuation, station corrections, limits."""

from typing import Annotated

from pydantic import Field

from geomon.config.section import Section
from geomon.ids import StationId


class StationCorrection(Section):
    """What is added to the magnitudes of one station."""

    station: Annotated[str, Field(pattern=r"^[A-Z0-9-]+\.[A-Z0-9-]+$")]
    """NET.STA."""
    value: Annotated[float, Field(ge=-3, le=3)]
    """Magnitude units."""
    uncertainty: Annotated[float, Field(ge=0)] | None = None
    """One standard deviation, for the record."""


class MagnitudeSettings(Section):
    """Local magnitude: log10 A + a log10(r / 100) + b (r - 100) + c, A in mm, r in km.

    The defaults are Hutton and Boore (1987) with the IASPEI Wood-Anderson gain of 2080.
    """

    a: float = 1.110
    """Geometrical spreading."""
    b: float = 0.00189
    """Anelastic attenuation, per km."""
    c: float = 3.0
    """Magnitude of 1 mm at 100 km."""
    wood_anderson_gain: Annotated[float, Field(gt=0)] = 2080.0
    """Static magnification."""
    max_distance_km: Annotated[float, Field(gt=0, le=2000)] = 600.0
    """Farther stations give no magnitude."""
    min_snr: Annotated[float, Field(ge=1)] = 2.0
    """Smallest ratio of peak amplitude to noise before the event."""
    duration: bool = False
    """Whether events that no station with a known response saw get a duration magnitude, Md (Lee
    et al., 1972): half a unit uncertain, and called so."""
    station_corrections: tuple[StationCorrection, ...] = ()
    """What is added to the magnitudes of some stations; `geomon magnitude calibrate` finds it."""

    def correction(self, station: StationId) -> float:
        """Return what is added to a station's magnitudes."""
        name = str(station)
        return next((one.value for one in self.station_corrections if one.station == name), 0.0)
