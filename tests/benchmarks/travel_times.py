"""Travel times against TauP: the built-in crust, and gradients, from above and below sea level."""

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geomon.locating.travel_times import TravelTimes
from geomon.sphere import EARTH_KM
from geomon.velocity import AK135, BUILT_IN, IASP91, LayeredModel
from tests.benchmarks.report import Figure, at_most, main, versions

if TYPE_CHECKING:
    from obspy.taup import TauPyModel

# Speed grows with depth within layers, as in models from tomography.
GRADIENTS = LayeredModel(
    "gradients", (0.0, 4.0, 12.0, 32.0, 60.0), (4.4, 5.6, 6.2, 7.9, 8.1), (2.5, 3.2, 3.6, 4.4, 4.5),
    (0.30, 0.075, 0.02, 0.0071, 0.0), (0.175, 0.05, 0.01, 0.0035, 0.0),
)  # fmt: skip
_MAX_DISTANCE_KM = 300.0
_MAX_DEPTH_KM = 30.0
_SEED = 20250


def measure(quick: bool) -> list[Figure]:
    """Measure times against TauP's; `quick` compares fewer of them, in one model."""
    n_rays = 60 if quick else 400
    figures = []
    for model in (IASP91,) if quick else (IASP91, AK135, GRADIENTS):
        figures += _against_taup(model, n_rays)
    figures += [_built_in_time(), _look_up(), *_from_above(n_rays)]
    return figures


def _tables(model: LayeredModel, elevations_m: Sequence[float] = (0.0,)) -> TravelTimes:
    return TravelTimes.build(
        model, max_distance_km=_MAX_DISTANCE_KM, max_depth_km=_MAX_DEPTH_KM,
        min_depth_km=min(0.0, -max(elevations_m) / 1000), elevations_m=elevations_m,
    )  # fmt: skip


def _against_taup(model: LayeredModel, n_rays: int) -> list[Figure]:
    """Compare times over all distances and source depths, the surface included."""
    rng = np.random.default_rng(_SEED)
    distance = rng.uniform(0.5, _MAX_DISTANCE_KM, n_rays)
    depth = np.where(rng.random(n_rays) < 0.1, 0.0, rng.uniform(0, _MAX_DEPTH_KM, n_rays))
    tables = _tables(model)
    figures = []
    for phase in ("P", "S"):
        error = tables.times(phase, distance, depth) - _taup(model, phase, distance, depth)
        conditions = (
            f"{n_rays} rays to {_MAX_DISTANCE_KM:g} km, sources 0 to {_MAX_DEPTH_KM:g} km deep, "
            f"TauP in the same model; {versions('eikonalfm', 'obspy')}"
        )
        for name, value, limit in (
            ("rms", float(np.sqrt(np.mean(error**2))), 10.0),
            ("max", float(np.abs(error).max()), 40.0),
        ):
            goal, holds = at_most(1000 * value, limit)
            figures.append(
                Figure(
                    figure=f"{phase} times in {model.name}, {name} error",
                    value=1000 * value,
                    unit="ms",
                    goal=goal,
                    holds=holds,
                    conditions=conditions,
                )
            )
    return figures


def _taup(
    model: LayeredModel, phase: str, distance_km: NDArray[np.float64], depth_km: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return TauP's first arrivals: in the whole Earth a built-in crust is the top of."""
    from obspy.taup import TauPyModel
    from obspy.taup.taup_create import build_taup_model

    if model.name in BUILT_IN:
        return _first_arrivals(TauPyModel(model.name), phase, distance_km, depth_km)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{model.name}.tvel"
        path.write_text(_as_tvel(model))
        build_taup_model(str(path), output_folder=folder, verbose=False)
        oracle = TauPyModel(str(path.with_suffix(".npz")))
        return _first_arrivals(oracle, phase, distance_km, depth_km)


def _first_arrivals(
    oracle: "TauPyModel",
    phase: str,
    distance_km: NDArray[np.float64],
    depth_km: NDArray[np.float64],
) -> NDArray[np.float64]:
    lower = phase.lower()
    names = [lower, phase, f"{phase}n", f"{phase}g"]
    return np.array(
        [
            min(a.time for a in oracle.get_travel_times(z, np.degrees(x / EARTH_KM), names))
            for x, z in zip(distance_km, depth_km, strict=True)
        ]
    )


def _as_tvel(model: LayeredModel) -> str:
    """Write a model down to 410 km as TauP reads it, and below that iasp91."""
    import obspy.taup

    points = []
    for layer, (top, bottom) in enumerate(
        zip(model.tops_km, (*model.tops_km[1:], 410.0), strict=True)
    ):
        for depth in (top, bottom):
            vp, vs = (
                model.speeds(one)[layer] + model.gradients(one)[layer] * (depth - top)
                for one in ("P", "S")
            )
            points.append(f"{depth:.3f} {vp:.5f} {vs:.5f} 3.0")
    earth = (Path(obspy.taup.__file__).parent / "data" / "iasp91.tvel").read_text().splitlines()
    below = [line for line in earth[2:] if line.split() and float(line.split()[0]) >= 410]
    first = next(k for k, line in enumerate(below) if float(line.split()[1]) > 9.2)
    return "\n".join([*earth[:2], *points, *below[first:]]) + "\n"


def _built_in_time() -> Figure:
    """Time the tables of a network whose stations stand between 0 and 2,000 m."""
    started = time.perf_counter()
    _tables(IASP91, (0.0, 2000.0))
    goal, holds = at_most(took := time.perf_counter() - started, 5.0)
    return Figure(
        figure="travel-time tables built, 300 km, stations 0 to 2,000 m", value=took, unit="s",
        goal=goal, holds=holds, conditions=f"both phases; {versions('eikonalfm')}",
    )  # fmt: skip


def _look_up() -> Figure:
    """Time one look-up beside one of TauP's."""
    from obspy.taup import TauPyModel

    tables = _tables(IASP91)
    rng = np.random.default_rng(_SEED)
    distance, depth = rng.uniform(0, 300, (2, 1_000_000))
    depth = depth / 10
    started = time.perf_counter()
    tables.times("P", distance, depth)
    own = (time.perf_counter() - started) / distance.size
    oracle = TauPyModel("iasp91")
    started = time.perf_counter()
    _first_arrivals(oracle, "P", distance[:20], depth[:20])
    peer = (time.perf_counter() - started) / 20
    return Figure(
        figure="one travel time looked up", value=1e9 * own, unit="ns", peer="TauP",
        peer_value=1e9 * peer, ratio=peer / own, conditions=versions("numpy", "obspy"),
    )  # fmt: skip


def _from_above(n_rays: int) -> list[Figure]:
    """Compare with straight rays in a uniform sphere: stations above and below sources."""
    model = LayeredModel("uniform", (0.0,), (6.0,), (3.5,))
    rng = np.random.default_rng(_SEED)
    elevation = rng.uniform(-2000, 3000, n_rays)
    depth = rng.uniform(-3.0, _MAX_DEPTH_KM, n_rays)
    distance = rng.uniform(0, _MAX_DISTANCE_KM, n_rays)
    tables = _tables(model, (-2000.0, 3000.0))
    source, receiver = EARTH_KM - depth, EARTH_KM + elevation / 1000
    chord = np.sqrt(
        (source - receiver) ** 2 + 4 * source * receiver * np.sin(distance / EARTH_KM / 2) ** 2
    )
    error = tables.times("P", distance, depth, elevation) - chord / 6.0
    goal, holds = at_most(value := 1000 * float(np.abs(error).max()), 40.0)
    return [
        Figure(
            figure="P times in a uniform sphere, max error",
            value=value,
            unit="ms",
            goal=goal,
            holds=holds,
            conditions=f"{n_rays} rays, stations 2 km below to 3 km above sea level, sources from "
            f"3 km above to {_MAX_DEPTH_KM:g} km below; exact chords",
        )
    ]


if __name__ == "__main__":
    main(measure)
