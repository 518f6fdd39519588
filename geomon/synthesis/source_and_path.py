"""Sources and paths of seismograms: size, spectrum and what the waves meet on their way.

Drawn where they are not given, from the ranges seen at local and regional distances. A corner
frequency follows from moment and stress drop (Brune, 1970,
https://doi.org/10.1029/JB075i026p04997, with its correction of 1971).
"""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geomon.errors import WaveformError

VS_M_S = 3464.0
"""Speed of S at the source."""

type Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SourceAndPath:
    """What shapes each of n seismograms; every field is an array of shape (n,).

    Attributes
    ----------
    magnitude : local magnitude (ML of Hutton and Boore, 1987, at 2080 Wood-Anderson gain).
    hypocentral_distance_km : length of the path.
    p_time_s, s_time_s : arrival times after sample 0; may lie outside the record.
    azimuth_deg : direction the waves travel in at the station, clockwise from north.
    incidence_deg : angle of the P ray from the vertical at the station.
    stress_drop_pa : Brune stress drop.
    q0, q_exponent : S-wave quality factor q0 * f ** q_exponent; the P wave's is 1.5 times it.
    kappa_s : near-surface attenuation of S; the P wave's is 0.6 times it.
    polarity : +1 where the first motion is up, -1 where it is down.
    radiation_p, radiation_s : radiation pattern in [0, 1].
    s_polarization_deg : direction of the S pulse from SV (0) to SH (90).
    scatter_p, scatter_s : energy of the early scattered wavetrain over that of the direct pulse.
    rise_p_s, rise_s_s : rise time of that wavetrain.
    fast_p_s, fast_s_s : time in which its amplitude falls by e.
    coda_p, coda_s : amplitude of the late coda over that of the early wavetrain, at the onset.
    slow_p_s, slow_s_s : time in which the late coda falls by e.
    site_frequency_hz, site_gain : resonance of the top layer; gain 0 for none.
    sp_lead_s, sp_amplitude : lead before S of an S-to-P conversion seen on the vertical, and its
        amplitude over that of horizontal S; 0 for none.
    multiple_delay_s, multiple_amplitude : delay after P of a later P phase, and its amplitude
        over that of P; 0 for none.
    head_delay_s, head_amplitude : where the first P is a weak head wave, delay of the strong one
        after it and amplitude of the weak one over the strong one; 0 delay for none.
    rupture_s : time over which the source breaks; 0 for one pulse.
    subevents_a_s : how many pieces break in each second of it.
    """

    magnitude: Floats
    hypocentral_distance_km: Floats
    p_time_s: Floats
    s_time_s: Floats
    azimuth_deg: Floats
    incidence_deg: Floats
    stress_drop_pa: Floats
    q0: Floats
    q_exponent: Floats
    kappa_s: Floats
    polarity: Floats
    radiation_p: Floats
    radiation_s: Floats
    s_polarization_deg: Floats
    scatter_p: Floats
    scatter_s: Floats
    rise_p_s: Floats
    rise_s_s: Floats
    fast_p_s: Floats
    fast_s_s: Floats
    coda_p: Floats
    coda_s: Floats
    slow_p_s: Floats
    slow_s_s: Floats
    site_frequency_hz: Floats
    site_gain: Floats
    sp_lead_s: Floats
    sp_amplitude: Floats
    multiple_delay_s: Floats
    multiple_amplitude: Floats
    head_delay_s: Floats
    head_amplitude: Floats
    rupture_s: Floats
    subevents_a_s: Floats

    def __post_init__(self) -> None:
        shape = np.shape(self.magnitude)
        for item in fields(self):
            if np.shape(getattr(self, item.name)) != shape or len(shape) != 1:
                msg = f"{item.name}: shape {np.shape(getattr(self, item.name))}, needs {shape}"
                raise WaveformError(msg)

    def __len__(self) -> int:
        return int(self.magnitude.size)

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        *,
        magnitude: ArrayLike,
        hypocentral_distance_km: ArrayLike,
        p_time_s: ArrayLike,
        s_time_s: ArrayLike,
        azimuth_deg: ArrayLike | None = None,
        incidence_deg: ArrayLike | None = None,
        **given: ArrayLike,
    ) -> Self:
        """Draw what is not given from the ranges seen at local and regional distances.

        Parameters
        ----------
        rng : Generator
            Source of randomness.
        magnitude, hypocentral_distance_km, p_time_s, s_time_s : array-like, shape (n,)
            As the attributes.
        azimuth_deg, incidence_deg : array-like, shape (n,), optional
            Drawn when absent: any azimuth, incidence steeper the softer the top layers are.
        **given : array-like
            Any other attribute to fix, a number or shape (n,).

        Returns
        -------
        SourceAndPath
            n paths.
        """
        size = np.broadcast(magnitude, hypocentral_distance_km, p_time_s, s_time_s).size
        fixed = {
            "magnitude": magnitude, "hypocentral_distance_km": hypocentral_distance_km,
            "p_time_s": p_time_s, "s_time_s": s_time_s, **given,
        }  # fmt: skip
        if azimuth_deg is not None:
            fixed["azimuth_deg"] = azimuth_deg
        if incidence_deg is not None:
            fixed["incidence_deg"] = incidence_deg
        lead = np.broadcast_to(np.asarray(s_time_s) - np.asarray(p_time_s), size).astype(float)
        drawn = _typical(rng, size, lead)
        values = {
            item.name: np.broadcast_to(
                np.asarray(fixed.get(item.name, drawn.get(item.name)), np.float64), size
            ).copy()
            for item in fields(cls)
        }
        return cls(**values)


def _typical(rng: np.random.Generator, size: int, lead_s: Floats) -> dict[str, Floats]:
    """Draw path properties; `lead_s` is S minus P, which scales how long wavetrains last."""

    def uniform(low: float, high: float) -> Floats:
        return rng.uniform(low, high, size)

    def log_uniform(low: float, high: float) -> Floats:
        return np.exp(uniform(np.log(low), np.log(high)))

    def often(share: float) -> NDArray[np.bool_]:
        return rng.random(size) < share

    near = np.minimum(lead_s, 5.0)
    return {
        "azimuth_deg": uniform(0, 360),
        "incidence_deg": uniform(4, 55),
        "stress_drop_pa": 10 ** np.clip(rng.normal(6.5, 0.4, size), 5.3, 7.7),
        "q0": log_uniform(60, 400),
        "q_exponent": uniform(0.3, 0.8),
        "kappa_s": uniform(0.004, 0.05),
        "polarity": np.where(often(0.5), 1.0, -1.0),
        "radiation_p": np.sqrt(uniform(0.02, 0.55)),
        "radiation_s": np.sqrt(uniform(0.1, 0.7)),
        "s_polarization_deg": uniform(0, 360),
        "scatter_p": log_uniform(3, 90),
        "scatter_s": log_uniform(2, 40),
        "rise_p_s": np.where(often(0.65), uniform(0.02, 0.15), uniform(0.1, 0.6)),
        "rise_s_s": np.where(often(0.7), uniform(0.02, 0.15), uniform(0.12, 0.5)),
        "fast_p_s": 0.15 + uniform(0.15, 0.8) * near,
        "fast_s_s": 0.2 + uniform(0.1, 0.4) * near,
        "coda_p": log_uniform(0.15, 0.8),
        "coda_s": log_uniform(0.1, 0.45),
        "slow_p_s": 0.5 + uniform(0.8, 2.5) * lead_s,
        "slow_s_s": 1.5 + uniform(0.7, 2.8) * lead_s,
        "site_frequency_hz": log_uniform(0.8, 18),
        "site_gain": uniform(0.3, 5.0) * often(0.7),
        "sp_lead_s": np.minimum(log_uniform(0.15, 1.5), 0.4 * lead_s),
        "sp_amplitude": uniform(0.1, 0.5) * often(0.35),
        "multiple_delay_s": uniform(0.08, 0.7) * lead_s,
        "multiple_amplitude": uniform(0.1, 0.7) * often(0.35),
        "head_delay_s": uniform(0.4, 3.0) * (often(0.25) & (lead_s > 6)),
        "head_amplitude": uniform(0.1, 0.5),
        "rupture_s": np.zeros(size),
        "subevents_a_s": np.full(size, 30.0),
    }


def rupture_duration_s(magnitude: ArrayLike) -> Floats:
    """Return how long a source takes to break, 10^(0.5 M - 2.4) s: 4 s at M 6, 13 s at M 7.

    The durations that Courboulex et al. (2016, https://doi.org/10.1785/0120160058) found follow
    the cube root of the moment, with a scatter of a factor two either way.
    """
    return np.asarray(10 ** (0.5 * np.asarray(magnitude, np.float64) - 2.4))


def seismic_moment(magnitude: ArrayLike) -> Floats:
    """Return the seismic moment (N m) of an earthquake of a local magnitude.

    log10 moment = 10.26 + 0.96 ML + 0.045 ML^2 (the square only above 0), fitted so that the
    Wood-Anderson amplitudes of these seismograms give ML back at 8 to 60 km. It stays within 0.2
    magnitude units of what Goertz-Allmann et al. (2011, https://doi.org/10.1785/0120100291) found
    in Switzerland. Moment grows more slowly than 10^1.5 ML at small magnitudes because
    attenuation hides their corners (Deichmann, 2017, https://doi.org/10.1785/0120160322).

    Parameters
    ----------
    magnitude : array-like
        Local magnitude.

    Returns
    -------
    array of float64
        Moment in N m, same shape.
    """
    ml = np.asarray(magnitude, np.float64)
    return np.asarray(10 ** (10.26 + 0.96 * ml + 0.045 * np.maximum(ml, 0) ** 2))


def corner_frequency_hz(moment_nm: ArrayLike, stress_drop_pa: ArrayLike) -> Floats:
    """Return Brune's S corner frequency, 0.49 beta (stress drop / moment)^(1/3), all in SI."""
    ratio = np.asarray(stress_drop_pa, np.float64) / np.asarray(moment_nm, np.float64)
    return np.asarray(0.49 * VS_M_S * np.cbrt(ratio))
