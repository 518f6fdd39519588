"""Events of others, from their own picks: Central Italy 2016 and a geothermal field."""

import csv
from pathlib import Path

import numpy as np

from geomon.events import Origin, Pick
from geomon.ids import SeedId, StationId
from geomon.locating.locate import Locator
from geomon.locating.network import Network, geodesic
from geomon.locating.solve import Solver
from geomon.stations import Station
from geomon.times import NS_PER_S, from_ns, parse_time, to_ns
from geomon.velocity import LayeredModel
from tests.benchmarks.report import Figure, at_least
from tests.locating.builders import run_tiles
from tests.locating.test_real import (
    ITALY_MINUTES,
    ITALY_START_NS,
    italy_model,
    italy_picks,
)

_FIELD = LayeredModel("field", (-2.0,), (4.0,), (4.0 / 1.8,))  # what was used is not published


def figures(data: Path) -> list[Figure]:
    """Measure on the recordings in a folder."""
    return [_italy(data), *_geothermal(data)]


def _italy(data: Path) -> Figure:
    folder = data / "real_italy_picks"
    stations = {}
    for line in (folder / "demo_real/Data/station.dat").read_text().splitlines():
        longitude, latitude, network, code, _, elevation_km = line.split()
        key = StationId(network, code)
        stations[key] = Station(key, float(latitude), float(longitude), 1000 * float(elevation_km))
    found = run_tiles(Solver.of(stations, italy_model()), italy_picks(folder))
    last_ns = ITALY_START_NS + (ITALY_MINUTES * 60 - 40) * NS_PER_S
    reference = [one for one in _hypoinverse(data) if one[0] <= last_ns]
    n_near = 0
    for time_ns, latitude, longitude in reference:
        near = [o for o in found if abs(to_ns(o.time) - time_ns) <= 2 * NS_PER_S]
        distances = [
            float(geodesic(latitude, longitude, [o.latitude], [o.longitude])[0][0]) for o in near
        ]
        n_near += min(distances, default=np.inf) <= 5.0
    share = n_near / len(reference)
    goal, holds = at_least(share, 0.85)
    return Figure(
        figure="HYPOINVERSE events found within 2 s and 5 km, Italy 2016", value=share, unit="",
        goal=goal, holds=holds,
        conditions=f"{len(reference)} events in {ITALY_MINUTES} min, PhaseNet's picks, 60 stations",
    )  # fmt: skip


def _hypoinverse(data: Path) -> list[tuple[int, float, float]]:
    table = data / "locflow_italy_catalog/location/hypoinverse_corr/catOut.sum"
    events = []
    for line in table.read_text().splitlines()[1:]:
        if line.strip():
            minute_ns = parse_time(f"{line[:10].replace('/', '-')}T{line[11:16]}")
            second, latitude, longitude = (float(text) for text in line[16:].split()[:3])
            events.append((minute_ns + round(second * 1e9), latitude, longitude))
    return events


def _geothermal(data: Path) -> list[Figure]:
    folder = data / "lqt_geothermal/derived"
    stations = {}
    for row in _rows(folder / "stations.csv"):
        key = StationId(row["network"], row["station"])
        place = (float(row[name]) for name in ("latitude", "longitude", "elevation_m"))
        stations[key] = Station(key, *place)
    picks: dict[str, list[Pick]] = {}
    for row in _rows(folder / "picks_ref.csv"):
        is_p = row["phase"] == "P"
        picks.setdefault(row["event_id"], []).append(
            Pick(
                time=from_ns(parse_time(row["time"])),
                seed_id=SeedId(row["network"], row["station"], "", "BHZ" if is_p else "BHN"),
                phase="P" if is_p else "S", probability=0.95, uncertainty_s=0.01 if is_p else 0.02,
            )
        )  # fmt: skip
    network = Network.of(stations)
    locator = Locator(network, network.travel_times(_FIELD))
    misses = []
    for row in _rows(folder / "events_ref.csv"):
        origin = locator.locate(picks[row["event_id"]])
        if isinstance(origin, Origin):
            distance, _ = geodesic(
                float(row["latitude"]), float(row["longitude"]),
                [origin.latitude], [origin.longitude],
            )  # fmt: skip
            misses.append((float(distance[0]), abs(origin.depth_km - float(row["depth_m"]) / 1000)))
    n_near = sum(distance <= 1.0 and depth <= 1.5 for distance, depth in misses)
    goal, holds = at_least(n_near, 5)
    words = ", ".join(f"{distance:.2f} and {depth:.2f}" for distance, depth in misses)
    return [
        Figure(
            figure="geothermal events within 1 km and 1.5 km depth", value=float(n_near), unit="",
            goal=goal, holds=holds,
            conditions=f"5 events outside the network, their picks; misses {words} km; Vp 4 km/s "
            "and Vp/Vs 1.8 supposed, as the model was not published",
        )
    ]  # fmt: skip


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))
