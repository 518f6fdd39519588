"""Recorded picks: an Icelandic swarm cut by the start of its window."""

import csv
from pathlib import Path

import pytest

from geomon.events import Origin, Pick
from geomon.ids import SeedId, StationId
from geomon.locating.network import geodesic
from geomon.locating.null import shifted_picks
from geomon.locating.solve import Solver
from geomon.stations import Station
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
