"""Recorded picks: an Icelandic swarm cut by the start of its window, and an Italian sequence."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from geomon.config import Region
from geomon.events import Origin, Pick
from geomon.ids import SeedId, StationId
from geomon.locating.locate import Locator
from geomon.locating.network import Network, geodesic
from geomon.locating.null import shifted_picks
from geomon.locating.solve import Solver
from geomon.sources.stationxml import read_stations
from geomon.stations import Station
from geomon.stores.quakeml_reading import read_quakeml
from geomon.times import from_ns, parse_time, to_ns
from geomon.velocity import LayeredModel
from tests.locating.builders import run_tiles

type Hengill = tuple[Solver, list[Pick], list[dict[str, str]]]


@pytest.fixture(scope="module")
def hengill(shared_data: Path) -> Hengill:
    folder = shared_data / "malmi_hengill"
    lines = (folder / "tests/inputs/velocity_model/local.txt").read_text().splitlines()
    layers = [[float(v) for v in line.split()] for line in lines if line and line[0] != "#"]
    model = LayeredModel(
        "hengill", *(tuple(layer[k] for layer in layers) for k in (0, 1, 3))
    )  # fmt: skip
    with (folder / "tests/inputs/station_inventory/stations.csv").open() as file:
        stations = [
            Station(
                StationId(row["network"], row["station"]), float(row["latitude"]),
                float(row["longitude"]), float(row["elevation"]),
            )
            for row in csv.DictReader(file)
        ]  # fmt: skip
    with (folder / "derived/phasenet_pseudo_picks.csv").open() as file:
        picks = [
            Pick(
                time=from_ns(parse_time(row["time"])),
                seed_id=SeedId(
                    row["network"], row["station"], "", f"HH{'ZN'[row['phase'] == 'S']}"
                ),
                phase=row["phase"],  # type: ignore[arg-type]
                probability=float(row["prob"]),
                uncertainty_s=0.05 if row["phase"] == "P" else 0.08,
            )
            for row in csv.DictReader(file)
        ]
    with (folder / "derived/phasenet_pseudo_events.csv").open() as file:
        reference = list(csv.DictReader(file))
    return Solver.of({s.station_id: s for s in stations}, model), picks, reference


@pytest.fixture(scope="module")
def found(hengill: Hengill) -> list[Origin]:
    solver, picks, _ = hengill
    return run_tiles(solver, picks)


def test_reference_events_are_found_once_and_where_they_were(
    hengill: Hengill, found: list[Origin]
) -> None:
    _, _, reference = hengill
    matches = []
    for event in reference:
        time_ns = parse_time(event["time"])
        near = [o for o in found if abs(to_ns(o.time) - time_ns) <= 1_000_000_000]
        assert len(near) <= 1
        for origin in near:
            distance, _ = geodesic(
                float(event["latitude"]), float(event["longitude"]),
                [origin.latitude], [origin.longitude],
            )  # fmt: skip
            matches.append(float(distance[0]))
    assert sum(distance <= 3.0 for distance in matches) >= 11
    assert sorted(matches)[len(matches) // 2] <= 1.5
    assert len(found) <= 15


def test_no_pick_is_used_twice(found: list[Origin]) -> None:
    used = [arrival.pick for origin in found for arrival in origin.arrivals]
    assert len(used) == len(set(used))
    assert len(used) > 350


def test_time_shifted_picks_make_no_event(hengill: Hengill) -> None:
    solver, picks, _ = hengill
    early = [pick for pick in picks if pick.time.minute < 2]
    assert run_tiles(solver, shifted_picks(early, 1)) == []


# Central Italy, 2016-10-14: PhaseNet picks at 60 stations; others located them with HYPOINVERSE.

ITALY_MINUTES = 8
ITALY_START_NS = parse_time("2016-10-14T00:00:00")
ITALY_NODES = [(-3, 5.0, 2.65), (0, 5.3, 2.75), (1, 5.65, 2.8), (3, 5.93, 3.1), (7, 6.2, 3.4)]


def italy_model() -> LayeredModel:
    """Gradients between depths (km) of P and S speed (km/s) as half-kilometre layers."""
    z, vp, vs = np.array([*ITALY_NODES, (31, 7.5, 4.0)]).T
    tops = np.arange(-3, 31, 0.5)
    middle = tops + 0.25
    return LayeredModel(
        "italy", (*tops, 31.0), (*np.interp(middle, z, vp), 8.1), (*np.interp(middle, z, vs), 4.49)
    )


def italy_picks(folder: Path) -> list[Pick]:
    picks = []
    with (folder / "demo_real/Pick_PhaseNet/results/picks.csv").open() as file:
        for row in csv.DictReader(file, delimiter="\t"):
            network, station = row["fname"].split("_")[-3:-1]
            for phase, channel in (("P", "HHZ"), ("S", "HHN")):
                name = phase.lower()
                samples = row[f"{name}_idx"].strip("[]").split(",")
                chances = row[f"{name}_prob"].strip("[]").split(",")
                picks += [
                    Pick(
                        time=from_ns(parse_time(row["t0"]) + int(sample) * 10_000_000),
                        seed_id=SeedId(network, station, "", channel),
                        phase=phase,  # type: ignore[arg-type]
                        probability=float(chance),
                        uncertainty_s=0.05 if phase == "P" else 0.1,
                    )
                    for sample, chance in zip(samples, chances, strict=True)
                    if sample.strip() and int(sample) < ITALY_MINUTES * 6000
                ]
    return picks


def test_most_events_of_another_catalogue_are_found_where_it_says(shared_data: Path) -> None:
    stations = {}
    folder = shared_data / "real_italy_picks"
    for line in (folder / "demo_real/Data/station.dat").read_text().splitlines():
        longitude, latitude, network, code, _, elevation_km = line.split()
        key = StationId(network, code)
        stations[key] = Station(key, float(latitude), float(longitude), 1000 * float(elevation_km))
    found = run_tiles(Solver.of(stations, italy_model()), italy_picks(folder))
    table = shared_data / "locflow_italy_catalog/location/hypoinverse_corr/catOut.sum"
    n_reference = n_found = 0
    for line in table.read_text().splitlines()[1:]:
        if not line.strip():
            continue
        minute_ns = parse_time(f"{line[:10].replace('/', '-')}T{line[11:16]}")
        second, latitude, longitude = (float(text) for text in line[16:].split()[:3])
        time_ns = minute_ns + round(second * 1e9)
        if time_ns > ITALY_START_NS + (ITALY_MINUTES * 60 - 40) * 10**9:
            continue
        n_reference += 1
        near = [o for o in found if abs(to_ns(o.time) - time_ns) <= 2_000_000_000]
        distances = [
            float(geodesic(latitude, longitude, [o.latitude], [o.longitude])[0][0]) for o in near
        ]
        n_found += min(distances, default=99.0) <= 5.0
    assert n_reference >= 12
    assert n_found >= 0.85 * n_reference


# A coal mine: twelve nodes between 533 and 639 m, five events within and above them.


def test_mine_events_within_the_nodes_are_where_others_have_them(shared_data: Path) -> None:
    folder = shared_data / "coal_node/opsdata_coal_node/coal_node"
    stations = read_stations((folder / "stations/inv.xml").read_bytes())
    region = Region(
        west=-117.412, south=47.6765, east=-117.3985, north=47.6885, max_depth_km=1.0,
        min_depth_km=-0.87,
    )  # fmt: skip
    network = Network.of(stations.at(parse_time("2019-01-20")), region)
    model = LayeredModel("mine", (-3.0,), (4.2,), (2.4,))
    locator = Locator(network, network.travel_times(model))
    misses = []
    for path in sorted(folder.glob("events/*/*/*/*.xml")):
        [read], _ = read_quakeml(path.read_bytes(), name=path.name)
        known = read.event.preferred_origin
        picks = [replace(p, probability=0.95, uncertainty_s=0.005) for p in read.event.picks]
        origin = locator.locate(picks)
        assert isinstance(origin, Origin)
        distance, _ = geodesic(
            known.latitude, known.longitude, [origin.latitude], [origin.longitude]
        )
        if known.azimuthal_gap_deg < 180:
            misses.append((float(distance[0]), abs(origin.depth_km - known.depth_km)))
    assert len(misses) == 3
    assert max(distance for distance, _ in misses) <= 0.1
    assert max(depth for _, depth in misses) <= 0.2
