"""How well stations surround an origin, and the class that follows."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

type QualityClass = Literal["A", "B", "C", "D"]


def azimuthal_gap(azimuths_deg: ArrayLike) -> float:
    """Return the largest angle (degrees) from the epicentre without a station; 360 for none.

    Examples
    --------
    >>> azimuthal_gap([10.0, 100.0, 350.0])
    250.0
    """
    azimuths = np.unique(np.asarray(azimuths_deg, dtype=np.float64) % 360)
    if azimuths.size == 0:
        return 360.0
    return float(np.diff(np.append(azimuths, azimuths[0] + 360)).max())


def quality_class(
    *,
    gap_deg: float,
    nearest_km: float,
    depth_km: float,
    n_phases: int,
    ellipse_major_km: float,
    depth_half_width_km: float,
    rms_s: float,
) -> QualityClass:
    """Grade an origin: A and B are well inside the network, D is outside it or hardly known.

    ======  =====  =======  ==============================  ==========  =========  =======
    class   gap    phases   nearest station                 semi-major  depth      rms
    ======  =====  =======  ==============================  ==========  =========  =======
    A       ≤ 120  ≥ 10     ≤ 1.5 depths (or 5 km)          ≤ 2 km      ± 2 km     ≤ 0.5 s
    B       ≤ 150  ≥ 8      ≤ 3 depths (or 10 km)           ≤ 4 km      ± 4 km     ≤ 0.8 s
    C       ≤ 200  ≥ 6      any                             ≤ 10 km     any        ≤ 1.5 s
    D       anything else
    ======  =====  =======  ==============================  ==========  =========  =======

    The gap and nearest-station limits follow the idea of HYPO71's classes (Lee & Lahr 1975,
    USGS Open-File Report 75-311), with the posterior's width in place of standard errors.
    """
    inside = gap_deg <= 120 and n_phases >= 10 and nearest_km <= max(1.5 * depth_km, 5)
    if inside and ellipse_major_km <= 2 and depth_half_width_km <= 2 and rms_s <= 0.5:
        return "A"
    near = gap_deg <= 150 and n_phases >= 8 and nearest_km <= max(3 * depth_km, 10)
    if near and ellipse_major_km <= 4 and depth_half_width_km <= 4 and rms_s <= 0.8:
        return "B"
    if gap_deg <= 200 and n_phases >= 6 and ellipse_major_km <= 10 and rms_s <= 1.5:
        return "C"
    return "D"
