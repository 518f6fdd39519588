"""Put champion and challenger through the same exams, on a network's own records and elsewhere.

Both pick with thresholds that give as many picks a day, set on hours that nothing is scored on.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from geomon.config import Config
from geomon.events import Event, Phase, Pick
from geomon.ids import StreamId
from geomon.locating.solve import Solver
from geomon.picking.card import Picker
from geomon.picking.infer import context_s, pick
from geomon.services.workspace import workspace
from geomon.stores.labels import reviewed_events
from geomon.stores.pickers import Pickers
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.training.dataset import BLOCK_NS, WINDOW_NS, Label, part_of, part_of_time
from geomon.training.evaluate.budget import LOWEST, counted, matched_thresholds
from geomon.training.evaluate.labelled import kept, pick_windows, score_windows
from geomon.training.evaluate.scores import Score
from geomon.training.evaluate.testsets import EvaluationSet, read_set, synthetic_set
from geomon.training.gate import Evidence, Paired, scored

type Window = tuple[StreamId, TimeSpan]
type Thresholds = Mapping[Phase, float]

TOLERANCES_S = (0.5, 0.1)
_HIGHEST = 0.98  # threshold of a card
_SAME_S, _SAME_KM = 3.0, 30.0  # an event was found again


def picks_in(
    config: Config, picker: Picker, windows: Iterable[Window], thresholds: Thresholds
) -> dict[StreamId, list[Pick]]:
    """Pick some windows of the archive.

    Raises
    ------
    CorruptObject
        If a stored object is damaged.
    """
    archive, margin_s = workspace(config).archive, context_s(picker)
    found: dict[StreamId, list[Pick]] = {}
    for stream, window in windows:
        segments = archive.read_stream(stream, window.padded(margin_s)).segments
        made = pick(picker, segments, window, thresholds=thresholds) if segments else []
        found.setdefault(stream, []).extend(made)
    return found


def budget_windows(config: Config, span: TimeSpan, most: int) -> list[Window]:
    """Draw windows of the hours that training stops by, to set pick budgets on.

    Raises
    ------
    CorruptObject
        If a stored object is damaged.
    """
    archive = workspace(config).archive
    drawn = []
    for stream in archive.streams():
        for number in range(-(-span.start_ns // WINDOW_NS), span.end_ns // WINDOW_NS):
            window = TimeSpan(number * WINDOW_NS, (number + 1) * WINDOW_NS)
            if part_of(stream.station_id, window) == "validation":
                luck = hashlib.sha256(f"budget {stream} {number}".encode()).hexdigest()
                drawn.append((luck, stream, window))
    some: list[Window] = []
    for _, stream, window in sorted(drawn):
        if len(some) < most and archive.read_stream(stream, window).segments:
            some.append((stream, window))
    return some


def equal_budget(
    config: Config, pickers: Sequence[Picker], limits: Thresholds, windows: Sequence[Window]
) -> list[dict[Phase, float]]:
    """Return thresholds at which pickers make as many picks as the busier of the first two.

    A champion that misses much makes few picks; at its budget nobody could find more.

    Parameters
    ----------
    config : Config
        The network.
    pickers : sequence of Picker
        Champion, challenger, and others.
    limits : mapping of phase to float
        Thresholds of the champion, with which the picks of the first two are counted.
    windows : sequence of (StreamId, TimeSpan)
        What to count in; with none, everyone gets `limits`.

    Raises
    ------
    CorruptObject
        If a stored object is damaged.
    """
    if not windows:
        return [dict(limits) for _ in pickers]
    low: dict[Phase, float] = dict.fromkeys(limits, LOWEST)
    found = [
        [one for some in picks_in(config, picker, windows, low).values() for one in some]
        for picker in pickers
    ]
    counts = [counted(picks, limits) for picks in found[:2]]
    budget = {phase: max(one[phase] for one in counts) for phase in limits}
    return [
        {
            phase: round(min(max(value, LOWEST), _HIGHEST), 4)
            for phase, value in matched_thresholds(picks, budget).items()
        }
        for picks in found
    ]


def exam_windows(config: Config, span: TimeSpan) -> list[Window]:
    """Return the windows of test hours that people reviewed whole."""
    registry = Pickers(workspace(config).catalog.database)
    return [
        (one.stream_id, one.span)
        for one in registry.reviewed_windows(span)
        if part_of(one.stream_id.station_id, one.span) == "test"
    ]


def examine(
    config: Config,
    pickers: Sequence[tuple[Picker, Thresholds]],
    limits: Thresholds,
    windows: Sequence[Window],
    labels: Sequence[Label],
) -> tuple[dict[str, Paired], dict[Phase, tuple[list[float], list[float]]]]:
    """Score champion and challenger on windows that were reviewed whole.

    Parameters
    ----------
    config : Config
        The network.
    pickers : sequence of (Picker, thresholds)
        Champion and challenger, with thresholds of equal budget.
    limits : mapping of phase to float
        Thresholds the champion runs with today.
    windows : sequence of (StreamId, TimeSpan)
        What was reviewed.
    labels : sequence of Label
        What is there.

    Returns
    -------
    scores : dict of str to Paired
        By tolerance; ``"as run"`` has the champion as it runs today, at 0.5 s.
    residuals_s : dict of phase to (list, list)
        Found minus true at 0.5 s.

    Raises
    ------
    CorruptObject
        If a stored object is damaged.
    """
    if not windows:
        return {}, {}
    lowest = {phase: min(value, pickers[0][1][phase]) for phase, value in limits.items()}
    wide = picks_in(config, pickers[0][0], windows, lowest)
    found = [_above(wide, pickers[0][1]), picks_in(config, pickers[1][0], windows, pickers[1][1])]
    scores = {}
    for tolerance in TOLERANCES_S:
        (ours, groups), (theirs, _) = (scored(windows, labels, p, tolerance) for p in found)
        scores[f"{tolerance} s"] = Paired(ours, theirs, groups)
    today, groups = scored(windows, labels, _above(wide, limits), 0.5)
    scores["as run"] = Paired(today, scores["0.5 s"].challenger, groups)
    residuals: dict[Phase, tuple[list[float], list[float]]] = {}
    for phase in ("P", "S"):
        here = [label for label in labels if label.phase == phase]
        only = [_of_phase(p, phase) for p in found]
        one, two = (scored(windows, here, p, 0.5)[0].residuals_s.tolist() for p in only)
        residuals[phase] = one, two
    return scores, residuals


def _above(
    picks: Mapping[StreamId, Sequence[Pick]], limits: Thresholds
) -> dict[StreamId, list[Pick]]:
    return {stream: kept([some], limits)[0] for stream, some in picks.items()}


def _of_phase(picks: Mapping[StreamId, Sequence[Pick]], phase: Phase) -> dict[StreamId, list[Pick]]:
    return {stream: [p for p in some if p.phase == phase] for stream, some in picks.items()}


def fixed_benchmark(folder: Path | None, kept_folder: Path, n_synthetic: int) -> EvaluationSet:
    """Return the benchmark: synthetic earthquakes, a folder of one's own, benchmark stations.

    Parameters
    ----------
    folder : Path or None
        Labelled windows, as `read_set` reads them.
    kept_folder : Path
        Windows of the network's benchmark stations, written once; need not exist.
    n_synthetic : int
        Synthetic windows.

    Raises
    ------
    DataError
        If a folder cannot be read.
    """
    parts = [synthetic_set(n_synthetic)]
    parts += [read_set(one) for one in (folder, kept_folder) if one is not None and one.is_dir()]
    return EvaluationSet(
        " + ".join(part.name for part in parts),
        tuple(window for part in parts for window in part.windows),
        tuple(f"{part.name} {event}" for part in parts for event in part.events),
    )


def benchmark(
    pickers: Sequence[tuple[Picker, Thresholds]], material: EvaluationSet
) -> tuple[list[dict[str, Score]], list[dict[Phase, list[float]]], tuple[str, ...]]:
    """Score pickers on the fixed benchmark, P and S together.

    Returns
    -------
    scores : list of dict of str to Score
        By picker and tolerance; a record for each window and phase.
    residuals_s : list of dict of phase to list
        By picker.
    groups : tuple of str
        Event of each record.
    """
    scores: list[dict[str, Score]] = []
    residuals: list[dict[Phase, list[float]]] = []
    for picker, limits in pickers:
        found = kept(pick_windows(picker, material.windows, limits), limits)
        by_phase = {
            (phase, tolerance): score_windows(material.windows, found, phase, tolerance)
            for phase in ("P", "S")
            for tolerance in TOLERANCES_S
        }
        scores.append(
            {
                f"{tolerance} s": Score(
                    np.concatenate([by_phase[phase, tolerance].counts for phase in ("P", "S")]),
                    np.concatenate([by_phase[p, tolerance].residuals_s for p in ("P", "S")]),
                )
                for tolerance in TOLERANCES_S
            }
        )
        residuals.append({"P": by_phase["P", 0.5].residuals_s.tolist(),
                          "S": by_phase["S", 0.5].residuals_s.tolist()})  # fmt: skip
    return scores, residuals, material.events * 2


def located_again(
    config: Config, pickers: Sequence[tuple[Picker, Thresholds]], span: TimeSpan
) -> tuple[int, ...]:
    """Associate and locate with each picker's picks; count the reviewed events found again.

    The stretch is the latest test hour of the span with reviewed events.

    Returns
    -------
    tuple of int
        Reviewed events of the stretch, and how many each picker's picks give; all 0 without any.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    space = workspace(config)
    known = [
        one.event
        for one in reviewed_events(space.catalog.database, span)
        if one.event.review_state in ("reviewed", "confirmed")
        and part_of_time(_origin_ns(one.event)) == "test"
    ]
    stations = space.stations().at(span.end_ns - 1)
    if not known or not stations:
        return (0,) * (1 + len(pickers))
    start_ns = _origin_ns(known[-1]) // BLOCK_NS * BLOCK_NS
    hour = TimeSpan(start_ns, start_ns + BLOCK_NS)
    wanted = [event for event in known if hour.contains(_origin_ns(event))]
    solver = Solver.of(
        stations,
        config.velocity.model(),
        region=config.network.region,
        settings=config.association,
    )
    around = [(stream, hour) for stream in space.archive.streams()]
    counts = []
    for picker, limits in pickers:
        picks = [p for some in picks_in(config, picker, around, limits).values() for p in some]
        found = list(_located(solver, picks, hour))
        counts.append(sum(any(_is_same(event, one, solver) for one in found) for event in wanted))
    return (len(wanted), *counts)


def _located(solver: Solver, picks: Sequence[Pick], span: TimeSpan) -> Iterable[Event]:
    tiles = solver.grid.tiles(span)
    raw = {
        tile: solver.solve_tile(picks, tile)
        for middle in tiles
        for tile in (*solver.grid.neighbours(middle), middle)
    }
    for tile in tiles:
        before, after = solver.grid.neighbours(tile)
        solved = solver.settle(raw[before], raw[tile], raw[after], picks)
        yield from (Event(origin) for origin in solved.origins)


def _origin_ns(event: Event) -> int:
    return to_ns(event.preferred_origin.time)


def _is_same(one: Event, two: Event, solver: Solver) -> bool:
    frame = solver.network.frame
    origins = one.preferred_origin, two.preferred_origin
    (x1, y1), (x2, y2) = (frame.to_km(o.latitude, o.longitude) for o in origins)
    apart_km = float(np.hypot(x1 - x2, y1 - y2))
    return abs(_origin_ns(one) - _origin_ns(two)) <= _SAME_S * NS_PER_S and apart_km <= _SAME_KM


def evidence_of(
    config: Config,
    pickers: Sequence[tuple[Picker, Thresholds]],
    limits: Thresholds,
    labels: Sequence[Label],
    material: EvaluationSet,
    span: TimeSpan,
    *,
    trial: int,
) -> Evidence:
    """Gather all that the gate looks at.

    Parameters
    ----------
    config : Config
        The network.
    pickers : sequence of (Picker, thresholds)
        Champion, challenger, and the first model where that is another one, at equal budget.
    limits : mapping of phase to float
        Thresholds the champion runs with today.
    labels : sequence of Label
        What is known of the span.
    material : EvaluationSet
        The fixed benchmark.
    span : TimeSpan
        Where recent held-out windows lie.
    trial : int
        Number of the test against this champion.

    Raises
    ------
    CorruptObject
        If a stored object is damaged.
    StationMetadataError
        If nothing was ever ingested.
    """
    windows = exam_windows(config, span)
    exam, exam_residuals = examine(config, pickers[:2], limits, windows, labels)
    scores, residuals, groups = benchmark(pickers, material)
    fixed = {name: Paired(scores[0][name], scores[1][name], groups) for name in scores[0]}
    floor = {
        name: Paired(scores[2][name], scores[1][name], groups)
        for name in (scores[2] if len(scores) > 2 else ())
    }
    n_events, ours, theirs = located_again(config, pickers[:2], span)
    return Evidence(
        exam=exam,
        benchmark=fixed,
        trial=trial,
        exam_residuals_s=exam_residuals,
        benchmark_residuals_s={p: (residuals[0][p], residuals[1][p]) for p in ("P", "S")},
        floor=floor,
        events=(n_events, ours, theirs),
    )
