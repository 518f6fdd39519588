"""Station corrections: found from events located without knowing them, kept with their history."""

from pathlib import Path

import numpy as np
import pytest

from geomon.config import load_config
from geomon.errors import ConfigError, DataError
from geomon.events import Pick
from geomon.ids import StationId
from geomon.locating.corrections import Estimated, TooFew, estimate
from geomon.locating.fit import Rejected
from geomon.locating.locate import Locator
from geomon.locating.network import Network
from geomon.locating.solve import Solver
from geomon.times import parse_time
from geomon.velocity.corrections import (
    CorrectionHistory,
    CorrectionSet,
    StationDelay,
    read_corrections,
    write_corrections,
)
from tests.locating.builders import CRUST, Scene, build_stations, run_tiles, simulate

ONE = StationDelay(StationId("XX", "S01"), "P", 0.1234, 0.01, 40)
TWO = StationDelay(StationId("XX", "S01"), "S", -0.2, 0.02, 30)


@pytest.fixture(scope="module")
def scene() -> Scene:
    """Sixty events whose stations are late by 0.3 s and more."""
    rng = np.random.default_rng(5)
    network = Network.of(build_stations(rng, n=15))
    return simulate(
        rng, network=network, truth=network.travel_times(CRUST), hours=5, events_per_hour=12,
        noise=0.0, statics_s=0.3, path=0.003, times_s=np.arange(60) * 300.0,
    )  # fmt: skip


def picks_of(scene: Scene) -> list[list[Pick]]:
    by_id = {pick.pick_id: pick for pick in scene.picks}
    return [[by_id[k] for k in sorted(e.picks)] for e in scene.events if len(e.picks) >= 8]


def misses(network: Network, scene: Scene) -> float:
    locator = Locator(network, network.travel_times(CRUST))
    by_id = {pick.pick_id: pick for pick in scene.picks}
    distances = []
    for event in scene.events:
        if len(event.picks) >= 8:
            fit = locator.fit([by_id[k] for k in event.picks])
            distances.append(np.hypot(*(fit.point[:2] - [event.x_km, event.y_km])))  # type: ignore[union-attr]
    return float(np.median(distances))


def test_corrections_are_found_and_make_locations_better(scene: Scene) -> None:
    locator = Locator(scene.network, scene.network.travel_times(CRUST))
    found = estimate(locator, picks_of(scene))
    assert isinstance(found, Estimated)
    assert found.has_settled
    assert found.rms_after_s < 0.75 * found.rms_before_s
    assert abs(np.mean([one.delay_s for one in found.delays if one.phase == "P"])) < 1e-3
    assert misses(scene.network.corrected(found.delays), scene) < 0.7 * misses(scene.network, scene)
    assert estimate(locator, picks_of(scene)) == found


def test_few_picks_make_no_correction(scene: Scene) -> None:
    locator = Locator(scene.network, scene.network.travel_times(CRUST))
    some = estimate(locator, picks_of(scene)[:3], min_picks=3)
    assert isinstance(some, Estimated)
    assert all(one.n_picks >= 3 for one in some.delays)
    assert isinstance(estimate(locator, picks_of(scene)[:3], min_picks=4), TooFew)
    assert isinstance(estimate(locator, []), TooFew)


def test_corrected_times_are_what_association_and_location_see(scene: Scene) -> None:
    """Picks late by the corrections give the events of picks that are not late."""
    late = [StationDelay(s.station_id, p, d, 0.01, 9)  # type: ignore[arg-type]
            for k, s in enumerate(scene.network.stations)
            for p, d in (("P", 0.5 * (-1) ** k), ("S", 0.8 * (-1) ** k))]  # fmt: skip
    stations = {station.station_id: station for station in scene.network.stations}
    some = [pick for pick in scene.picks if pick.time < scene.picks[0].time.replace(minute=20)]
    late_by = {(one.station, one.phase): one.delay_s for one in late}
    moved = [
        Pick(
            time=pick.time + np.timedelta64(
                round(1e6 * late_by[pick.seed_id.station_id, pick.phase]), "us"
            ).item(),
            seed_id=pick.seed_id, phase=pick.phase, probability=pick.probability,
            uncertainty_s=pick.uncertainty_s, picker=pick.picker,
        )
        for pick in some
    ]  # fmt: skip
    plain = run_tiles(Solver.of(stations, CRUST), some)
    corrected = run_tiles(Solver.of(stations, CRUST, corrections=late), moved)
    assert len(plain) == len(corrected) > 0
    for one, other in zip(plain, corrected, strict=True):
        assert len(one.arrivals) == len(other.arrivals)
        assert one.latitude == pytest.approx(other.latitude, abs=0.01)
        assert one.longitude == pytest.approx(other.longitude, abs=0.01)


def test_history_is_kept_and_the_set_valid_at_a_time_is_used(tmp_path: Path) -> None:
    path = tmp_path / "corrections.csv"
    old = CorrectionSet(parse_time("2024-01-01"), (ONE, TWO), "iasp91 0123", 50, 7_000_000_000)
    new = CorrectionSet(parse_time("2024-06-01"), (ONE,), "iasp91 0123", 80, 8_000_000_000)
    history = CorrectionHistory().with_set(new).with_set(old)
    assert history.with_set(new) is history
    write_corrections(path, history)
    assert read_corrections(path) == history
    assert read_corrections(path).version == history.version
    assert history.at(parse_time("2023-01-01")) == ()
    assert history.at(parse_time("2024-05-31")) == (ONE, TWO)
    assert history.at(parse_time("2024-06-01")) == (ONE,)
    again = CorrectionSet(parse_time("2024-06-01"), (TWO,), "iasp91 0123", 90)
    assert history.with_set(again).at(parse_time("2024-07-01")) == (TWO,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("station,delay\n", "no column set"),
        (
            "set,valid_from,station,phase,delay_s,uncertainty_s,n_picks,model,n_events,made\n"
            "a,2024-01-01,XX.S01,Q,0.1,0.01,9,m,9,2024-01-01\n",
            ":2: phase 'Q'",
        ),
        (
            "set,valid_from,station,phase,delay_s,uncertainty_s,n_picks,model,n_events,made\n"
            "a,2024-01-01,XX.S01,P,99,0.01,9,m,9,2024-01-01\n",
            "99.0 s",
        ),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_corrections(path)


def test_a_config_that_names_corrections_depends_on_them(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    head = "network: {name: test}\nsource: {kind: simulated}\nvelocity: {vp_vs: 1.73"
    path.write_text(f"{head}, station_corrections: corrections.csv}}\n")
    with pytest.raises(ConfigError, match="geomon corrections estimate"):
        load_config(path)
    versions = set()
    for one in (ONE, TWO):
        history = CorrectionHistory((CorrectionSet(0, (one,), "iasp91", 9),))
        write_corrections(tmp_path / "corrections.csv", history)
        config = load_config(path)
        assert config.velocity.corrections() == history
        versions.add(config.version("velocity"))
    path.write_text(f"{head}}}\n")
    assert load_config(path).version("velocity") not in versions
    assert len(versions) == 2


def test_predicted_arrivals_hold_the_corrections(scene: Scene) -> None:
    bare = Locator(scene.network, scene.network.travel_times(CRUST))
    corrected = Locator(scene.network.corrected([ONE, TWO]), bare.travel_times)
    late = np.zeros((2, len(scene.network.stations)))
    late[:, scene.network.index[ONE.station]] = ONE.delay_s, TWO.delay_s
    source = (scene.events[0].latitude, scene.events[0].longitude, 8.0)
    times = bare.arrival_times(*source)
    assert (times[1] > times[0]).all()
    assert corrected.arrival_times(*source) - times == pytest.approx(late)
    fit = bare.fit(picks_of(scene)[0])
    assert not isinstance(fit, Rejected)
    latitude, longitude = scene.network.frame.to_degrees(*fit.point[:2])
    predicted = bare.arrival_times(float(latitude), float(longitude), float(fit.point[2]))
    picked = fit.data.time_s - fit.time_s - fit.residual_s
    assert predicted[fit.data.is_s.astype(int), fit.data.station] == pytest.approx(picked, abs=1e-3)
