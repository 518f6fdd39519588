"""Focal mechanisms of simulated double couples, from first motions of which some are wrong."""

import time

import numpy as np
from numpy.typing import NDArray

from geomon.events import FocalMechanism
from geomon.locating.mechanism import (
    focal_mechanism,
    kagan_angle_deg,
    radiation,
    takeoff_deg,
)
from geomon.locating.travel_times import TravelTimes
from geomon.synthesis.rays import first_arrivals
from geomon.velocity import LayeredModel
from tests.benchmarks.report import Figure, main, versions

TRUE = LayeredModel("true", (0.0, 2.0, 12.0, 30.0), (4.6, 5.8, 6.3, 8.0), (2.6, 3.35, 3.65, 4.5))
USED = LayeredModel("used", (0.0, 3.0, 14.0, 31.0), (4.9, 5.7, 6.5, 7.9), (2.8, 3.3, 3.75, 4.45))
_STATIONS = 24
_REACH_KM = 50.0
_REVERSED = 0.04  # share of polarities that are wrong however well they were read
_LOCATION_ERROR_KM = (0.5, 1.0)  # of epicentre and depth
_NODAL = 0.15  # weaker first motions are nobody's to read
_SEED = 77


def measure(quick: bool) -> list[Figure]:
    """Measure mechanisms; `quick` takes fewer earthquakes."""
    count = 20 if quick else 150
    rng = np.random.default_rng(_SEED)
    tables = TravelTimes.build(
        USED, max_distance_km=2 * _REACH_KM, max_depth_km=20, elevations_m=[0.0]
    )
    angles, alike_angles, sigmas, classes, seconds = [], [], [], [], []
    for _ in range(count):
        true = (
            float(rng.uniform(0, 360)), float(np.degrees(np.arccos(rng.uniform(0, 0.8)))),
            float(rng.uniform(-180, 180)),
        )  # fmt: skip
        sign, azimuth, takeoffs, probability = _observed(rng, true, tables)
        started = time.process_time()
        found = focal_mechanism(sign, azimuth, takeoffs, probability)
        seconds.append(time.process_time() - started)
        alike = focal_mechanism(sign, azimuth, takeoffs)
        if isinstance(found, FocalMechanism) and isinstance(alike, FocalMechanism):
            angles.append(_angle(found, true))
            alike_angles.append(_angle(alike, true))
            sigmas.append(found.uncertainty_deg)
            classes.append(found.quality)
    angle, good = np.array(angles), np.isin(classes, ["A", "B"])
    conditions = (
        f"{count} double couples at {_STATIONS} stations within {_REACH_KM:g} km, "
        f"polarities right with 80-99 %, {100 * _REVERSED:.0f} % wrong besides, "
        f"epicentre {_LOCATION_ERROR_KM[0]} km and depth "
        f"{_LOCATION_ERROR_KM[1]} km off, another velocity model; {versions('numpy')}"
    )
    figures = (
        ("mechanisms found", 100 * len(angles) / count, "%"),
        ("mechanisms of class A or B", 100 * float(np.mean(good)), "%"),
        ("mechanisms of class A or B, median angle to the truth", _median(angle[good]), "°"),
        (
            "mechanisms within twice their uncertainty",
            100 * float(np.mean(angle <= 2 * np.array(sigmas))), "%",
        ),
        ("mechanism, CPU time", float(np.median(seconds)), "s"),
    )  # fmt: skip
    weighed = Figure(
        figure="mechanisms, median angle to the truth, polarities weighed by their probability",
        value=float(np.median(angle)), unit="°", peer="all polarities alike",
        peer_value=float(np.median(alike_angles)), conditions=conditions,
    )  # fmt: skip
    return [
        *(
            Figure(figure=name, value=value, unit=unit, conditions=conditions)
            for name, value, unit in figures
        ),
        weighed,
    ]


def _angle(found: FocalMechanism, true: tuple[float, float, float]) -> float:
    return kagan_angle_deg((found.strike_deg, found.dip_deg, found.rake_deg), true)


def _median(values: NDArray[np.float64]) -> float | None:
    return float(np.median(values)) if values.size else None


def _observed(
    rng: np.random.Generator, true: tuple[float, float, float], tables: TravelTimes
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return polarities, azimuths and takeoffs as a locator has them, and chances of polarities."""
    place = _REACH_KM * np.sqrt(rng.random((_STATIONS, 1)))
    turn = rng.uniform(0, 2 * np.pi, (_STATIONS, 1))
    stations = np.hstack([place * np.sin(turn), place * np.cos(turn)])  # east, north
    depth = float(rng.uniform(4, 14))
    distance, azimuth = _seen_from(np.zeros(2), stations)
    rays = first_arrivals(TRUE, "P", distance_km=distance, source_depth_km=depth)
    strength = radiation(*true, azimuth, rays.takeoff_deg)
    sign = np.where(np.abs(strength) < _NODAL, 0.0, np.sign(strength))
    probability = 0.99 - 0.19 * rng.random(_STATIONS) ** 2
    sign[rng.random(_STATIONS) > probability] *= -1
    sign[rng.random(_STATIONS) < _REVERSED] *= -1
    error, depth_error = _LOCATION_ERROR_KM
    distance, azimuth = _seen_from(rng.normal(0, error, 2), stations)
    located = float(np.clip(depth + rng.normal(0, depth_error), 1, 19))
    depths = np.clip(located + depth_error * np.array([-1, 0, 1]), 0.5, 19.5)
    return sign, azimuth, takeoff_deg(tables, distance, depths[:, None], 0.0), probability


def _seen_from(
    source: NDArray[np.float64], stations: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    east, north = (stations - source).T
    return np.hypot(east, north), np.degrees(np.arctan2(east, north)) % 360


if __name__ == "__main__":
    main(measure)
