"""Calibrate local magnitudes against a reference catalogue: attenuation and station corrections.

The reference magnitude M of an event and the Wood-Anderson amplitude A (mm) of a station at r km
are taken to obey M = log10 A + a log10(r / 100) + b (r - 100) + c + s, with s the station's
correction (Hutton and Boore 1987, Bulletin of the Seismological Society of America 77, 2074-2094).
The four are found together by least squares that mistrust outliers (Student's t with five degrees
of freedom, iteratively reweighted), around what the settings say: where the data tell nothing, as
about attenuation at stations all equally far, the settings stay and the uncertainty says so. What
the reference is wrong by in one event is common to its stations, and estimated along with the rest.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.config import MagnitudeSettings, StationCorrection
from geomon.ids import StationId

type Floats = NDArray[np.float64]

_PRIOR = {"a": 0.3, "b": 0.002, "c": 0.5}  # how far regions differ from each other
_PRIOR_STATION = 0.3
_REFERENCE_ERROR = 0.1  # of one reference magnitude
_LEAST_SCATTER = 0.05
_FREEDOM = 5.0
_ITERATIONS = 30
_MIN_EVENTS = 5
_MIN_AMPLITUDES = 20


@dataclass(frozen=True, slots=True)
class Amplitude:
    """One station's amplitude of an event whose magnitude is known.

    Attributes
    ----------
    event : int
        Which event; the same number for all amplitudes of one.
    magnitude : float
        Of the reference.
    station : StationId
        Where it was measured.
    amplitude_mm, distance_km : float
        Wood-Anderson deflection, and hypocentral distance.
    """

    event: int
    magnitude: float
    station: StationId
    amplitude_mm: float
    distance_km: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the amplitudes say.

    Attributes
    ----------
    settings : MagnitudeSettings
        With the attenuation curve and the station corrections found.
    uncertainty : dict of str to float
        One standard deviation of a, b and c.
    n_amplitudes : dict of StationId to int
        Of how many events each station's correction was found.
    scatter : float
        Standard deviation of one station's magnitude around the reference, corrections applied.
    scatter_before : float
        The same with the settings the calibration began with.
    n_events : int
        Events used.
    """

    settings: MagnitudeSettings
    uncertainty: dict[str, float]
    n_amplitudes: dict[StationId, int]
    scatter: float
    scatter_before: float
    n_events: int


@dataclass(frozen=True, slots=True)
class NotCalibrated:
    """Why the amplitudes cannot be calibrated."""

    reason: str


def calibrate(
    amplitudes: Sequence[Amplitude], settings: MagnitudeSettings
) -> Calibration | NotCalibrated:
    """Find the attenuation curve and the station corrections that give a reference's magnitudes.

    Parameters
    ----------
    amplitudes : sequence of Amplitude
        Measured with the Wood-Anderson gain of `settings`.
    settings : MagnitudeSettings
        Where to begin, and to stay where the amplitudes say nothing.

    Returns
    -------
    Calibration or NotCalibrated
        The latter with fewer than 5 events or 20 amplitudes.
    """
    used = [
        one
        for one in amplitudes
        if one.amplitude_mm > 0 and one.distance_km > 0 and math.isfinite(one.magnitude)
    ]
    events = sorted({one.event for one in used})
    if len(events) < _MIN_EVENTS or len(used) < _MIN_AMPLITUDES:
        return NotCalibrated(
            f"{len(used)} amplitudes of {len(events)} events whose magnitude is known; needs "
            f"{_MIN_AMPLITUDES} of {_MIN_EVENTS}"
        )
    stations = sorted({one.station for one in used})
    design = _design(used, stations)
    wanted = np.array([one.magnitude - math.log10(one.amplitude_mm) for one in used])
    prior = np.array([settings.a, settings.b, settings.c, *[0.0] * len(stations)])
    event = np.searchsorted(events, [one.event for one in used])
    solution, covariance, scatter = _solved(design, wanted, prior, event)
    a, b, c, *corrections = solution.tolist()
    sigma = np.sqrt(np.diag(covariance))
    found = settings.model_copy(
        update={
            "a": a, "b": b, "c": c,
            "station_corrections": tuple(
                StationCorrection(station=str(station), value=value, uncertainty=float(error))
                for station, value, error in zip(stations, corrections, sigma[3:], strict=True)
            ),
        }
    )  # fmt: skip
    before = wanted - design[:, :3] @ prior[:3]
    before -= [settings.correction(one.station) for one in used]
    return Calibration(
        settings=found,
        uncertainty=dict(zip("abc", map(float, sigma[:3]), strict=True)),
        n_amplitudes={
            station: len({one.event for one in used if one.station == station})
            for station in stations
        },
        scatter=scatter,
        scatter_before=_robust_deviation(before),
        n_events=len(events),
    )


def _design(used: Sequence[Amplitude], stations: Sequence[StationId]) -> Floats:
    """Return what a, b, c and each station's correction are multiplied by."""
    distance = np.array([one.distance_km for one in used])
    design = np.zeros((len(used), 3 + len(stations)))
    design[:, 0] = np.log10(distance / 100)
    design[:, 1] = distance - 100
    design[:, 2] = 1
    column = {station: 3 + k for k, station in enumerate(stations)}
    design[np.arange(len(used)), [column[one.station] for one in used]] = 1
    return design


def _solved(
    design: Floats, wanted: Floats, prior: Floats, event: NDArray[np.int64]
) -> tuple[Floats, Floats, float]:
    """Return parameters, their covariance, and the scatter of single amplitudes.

    The errors of reference magnitudes are eliminated from the normal equations, where theirs is a
    diagonal block.
    """
    sigma = np.array([*_PRIOR.values(), *[_PRIOR_STATION] * (prior.size - len(_PRIOR))])
    weight, scatter = np.ones(wanted.size), 0.3
    solution, covariance = prior, np.diag(sigma**2)
    for _ in range(_ITERATIONS):
        precision = weight / scatter**2
        diagonal = np.bincount(event, precision) + 1 / _REFERENCE_ERROR**2
        residual = wanted - design @ prior
        mixed = np.zeros((prior.size, diagonal.size))
        np.add.at(mixed.T, event, design * precision[:, None])
        right_events = np.bincount(event, precision * residual)
        normal = design.T @ (design * precision[:, None]) + np.diag(1 / sigma**2)
        normal -= (mixed / diagonal) @ mixed.T
        right = design.T @ (precision * residual) - mixed @ (right_events / diagonal)
        covariance = np.linalg.inv(normal)
        step = covariance @ right
        solution = prior + step
        of_events = (right_events - mixed.T @ step) / diagonal
        left = residual - design @ step - of_events[event]
        scatter = max(_robust_deviation(left), _LEAST_SCATTER)
        weight = (_FREEDOM + 1) / (_FREEDOM + (left / scatter) ** 2)
    return solution, covariance, scatter


def _robust_deviation(values: Floats) -> float:
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def as_config(calibration: Calibration, source: str) -> str:
    """Write a calibration as the section of a config, with what it rests on as comments."""
    settings = calibration.settings
    lines = [
        f"# Calibrated on {calibration.n_events} events of {source}: one station's magnitude",
        f"# scatters by {calibration.scatter:.2f}, before by {calibration.scatter_before:.2f}.",
        "magnitude:",
        *(
            f"  {name}: {value:.{digits}f}  # ± {calibration.uncertainty[name]:.{digits}f}"
            for name, value, digits in (
                ("a", settings.a, 3), ("b", settings.b, 5), ("c", settings.c, 3),
            )
        ),
        f"  wood_anderson_gain: {settings.wood_anderson_gain:g}",
        f"  max_distance_km: {settings.max_distance_km:g}",
        f"  min_snr: {settings.min_snr:g}",
        "  station_corrections:",
    ]  # fmt: skip
    counts = {str(station): count for station, count in calibration.n_amplitudes.items()}
    lines += [
        f"    - {{station: {one.station}, value: {one.value:.3f}, "
        f"uncertainty: {one.uncertainty or 0:.3f}}}  # {counts[one.station]} events"
        for one in settings.station_corrections
    ]
    return "\n".join(lines) + "\n"
