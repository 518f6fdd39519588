"""Put champion and challenger through the same exams, on a network's own records and elsewhere.

Both pick with thresholds that give as many picks a day, set on hours that nothing is scored on.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from geomon.config import Config
from geomon.events import Phase, Pick
from geomon.ids import StreamId
from geomon.picking.card import Picker
from geomon.picking.infer import context_s, pick
from geomon.picking.prepare import STEP_NS
from geomon.services.event_exam import Located, latest_stretch, located_again
from geomon.services.fixed_benchmark import Benchmarked, benchmark
from geomon.services.workspace import workspace
from geomon.stores.pickers import Pickers
from geomon.times import TimeSpan, to_ns
from geomon.training.breakdown import Detection, detection
from geomon.training.dataset import WINDOW_NS, Label, labels_by_stream, part_of
from geomon.training.evaluate.budget import LOWEST, counted, matched_thresholds
from geomon.training.evaluate.evaluation import PHASES
from geomon.training.evaluate.labelled import kept
from geomon.training.evaluate.scores import TOLERANCES_S
from geomon.training.evaluate.tasks import run_tasks
from geomon.training.evaluate.testsets import EvaluationSet
from geomon.training.gate import Evidence, Paired, scored
from geomon.training.recordings import LabelledWindow

type Window = tuple[StreamId, TimeSpan]
type Thresholds = Mapping[Phase, float]

_HIGHEST = 0.98  # threshold of a card
_AROUND_S = 10  # of the onsets of an event, on both sides


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
    return matched([picks_in(config, picker, windows, low) for picker in pickers], limits)


def matched(
    wide: Sequence[Mapping[StreamId, Sequence[Pick]]], limits: Thresholds
) -> list[dict[Phase, float]]:
    """Return what `equal_budget` does, from all picks of each picker, down to the faintest."""
    found = [[one for some in by_stream.values() for one in some] for by_stream in wide]
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


@dataclass(frozen=True, slots=True)
class Examined:
    """Champion and challenger on windows that were reviewed whole.

    Attributes
    ----------
    scores : dict of str to Paired
        By tolerance; ``"as run"`` has the champion as it runs today, at 0.5 s.
    residuals_s : dict of phase to (list, list)
        Found minus true at 0.5 s.
    picks : tuple of dict
        Those of each picker at equal budget.
    detection : tuple of Detection
        Of each picker; empty, as all the others are, without windows.
    """

    scores: dict[str, Paired]
    residuals_s: dict[Phase, tuple[list[float], list[float]]]
    picks: tuple[dict[StreamId, list[Pick]], ...]
    detection: tuple[Detection, ...]


def examine(
    config: Config,
    pickers: Sequence[tuple[Picker, Thresholds]],
    limits: Thresholds,
    windows: Sequence[Window],
    labels: Sequence[Label],
) -> Examined:
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

    Raises
    ------
    CorruptObject
        If a stored object is damaged.
    """
    low: dict[Phase, float] = dict.fromkeys(limits, LOWEST)
    wide = [picks_in(config, picker, windows, low) for picker, _ in pickers]
    return compared(wide, [own for _, own in pickers], limits, windows, labels)


def compared(
    wide: Sequence[Mapping[StreamId, Sequence[Pick]]],
    thresholds: Sequence[Thresholds],
    limits: Thresholds,
    windows: Sequence[Window],
    labels: Sequence[Label],
) -> Examined:
    """Return what `examine` does, from all picks of champion and challenger."""
    if not windows:
        return Examined({}, {}, (), ())
    found = tuple(_above(all_, own) for all_, own in zip(wide, thresholds, strict=True))
    scores = {}
    for tolerance in TOLERANCES_S:
        (ours, groups), (theirs, _) = (scored(windows, labels, p, tolerance) for p in found)
        scores[f"{tolerance} s"] = Paired(ours, theirs, groups)
    today, groups = scored(windows, labels, _above(wide[0], limits), 0.5)
    scores["as run"] = Paired(today, scores["0.5 s"].challenger, groups)
    residuals: dict[Phase, tuple[list[float], list[float]]] = {}
    for phase in PHASES:
        here = [label for label in labels if label.phase == phase]
        only = [_of_phase(p, phase) for p in found]
        one, two = (scored(windows, here, p, 0.5)[0].residuals_s.tolist() for p in only)
        residuals[phase] = one, two
    detections = tuple(
        detection(windows, labels, all_, own) for all_, own in zip(wide, thresholds, strict=True)
    )
    return Examined(scores, residuals, found, detections)


def _above(
    picks: Mapping[StreamId, Sequence[Pick]], limits: Thresholds
) -> dict[StreamId, list[Pick]]:
    return {stream: kept([some], limits)[0] for stream, some in picks.items()}


def _of_phase(picks: Mapping[StreamId, Sequence[Pick]], phase: Phase) -> dict[StreamId, list[Pick]]:
    return {stream: [p for p in some if p.phase == phase] for stream, some in picks.items()}


def held_out(
    config: Config,
    windows: Sequence[Window],
    labels: Sequence[Label],
    picks: Sequence[Mapping[StreamId, Sequence[Pick]]],
) -> tuple[list[LabelledWindow], list[list[list[Pick]]]]:
    """Cut the events out of windows that were reviewed whole, to see which kinds are found.

    Parameters
    ----------
    config : Config
        The network.
    windows : sequence of (StreamId, TimeSpan)
        What was reviewed.
    labels : sequence of Label
        What is there.
    picks : sequence of mappings of StreamId to sequence of Pick
        What each picker found.

    Returns
    -------
    events : list of LabelledWindow
        One for each event and stream.
    picks : list of list of list of Pick
        Of each picker, those of each event.

    Raises
    ------
    CorruptObject
        If a stored object is damaged.
    """
    archive = workspace(config).archive
    events: list[LabelledWindow] = []
    found: list[list[list[Pick]]] = [[] for _ in picks]
    of_events = labels_by_stream(one for one in labels if one.is_onset and one.event_id)
    for stream, window in windows:
        onsets: dict[str, dict[Phase, int]] = {}
        for label in of_events.get(stream, ()):
            if window.contains(label.time_ns):
                onsets.setdefault(label.event_id, {})[label.phase] = label.time_ns
        for event_id, times in sorted(onsets.items()):
            span = TimeSpan(min(times.values()), max(times.values()) + 1).padded(_AROUND_S)
            read = archive.read_stream(stream, span).segments
            segments = tuple(sorted(read, key=lambda one: one.start_ns))
            if not segments:
                continue
            first_ns = segments[0].start_ns
            p, s = (
                (times[phase] - first_ns) / STEP_NS if phase in times else float("nan")
                for phase in PHASES
            )
            events.append(LabelledWindow(event_id, stream.station_id, segments, p, s))
            for mine, some in zip(found, picks, strict=True):
                mine.append([one for one in some.get(stream, ()) if span.contains(to_ns(one.time))])
    return events, found


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found out about champion and challenger.

    Attributes
    ----------
    evidence : Evidence
        What the gate looks at.
    windows : tuple of LabelledWindow
        Events of the exam, then the fixed benchmark.
    picks : (list of list of Pick, list of list of Pick)
        Of champion and challenger, those of each window.
    detection : tuple of Detection
        Of each picker on the exam; empty without one.
    """

    evidence: Evidence
    windows: tuple[LabelledWindow, ...]
    picks: tuple[list[list[Pick]], list[list[Pick]]]
    detection: tuple[Detection, ...]


def examination(
    config: Config,
    pickers: Sequence[tuple[Picker, Thresholds]],
    limits: Thresholds,
    labels: Sequence[Label],
    material: EvaluationSet,
    span: TimeSpan,
    *,
    trial: int,
) -> Examination:
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
    both = pickers[:2]
    exam = examine(config, both, limits, windows, labels)
    fixed = [benchmark(picker, own, material) for picker, own in pickers]
    groups = material.events * len(PHASES)
    first, second = (run_tasks(picker, material.windows).detection_auc for picker, _ in both)
    facts = {"benchmark: detection, area under its curve": (first, second)}
    if exam.detection:
        ours, theirs = exam.detection
        facts["exam: detection, area under its curve"] = ours.area, theirs.area
        facts["exam: picks an hour of noise"] = ours.false_an_hour, theirs.false_an_hour
    n_events, located = _located(config, both, span)
    evidence = Evidence(
        exam=exam.scores,
        benchmark=_paired(fixed[0], fixed[1], groups),
        trial=trial,
        exam_residuals_s=exam.residuals_s,
        benchmark_residuals_s={
            phase: (fixed[0].residuals_s[phase], fixed[1].residuals_s[phase]) for phase in PHASES
        },
        floor=_paired(fixed[2], fixed[1], groups) if len(fixed) > 2 else {},
        events=(n_events, located[0].n_found, located[1].n_found),
        chance_events=(located[0].n_by_chance, located[1].n_by_chance),
        facts=facts,
    )
    events, found = held_out(config, windows, labels, exam.picks or ({}, {}))
    return Examination(
        evidence,
        (*events, *material.windows),
        ([*found[0], *fixed[0].picks], [*found[1], *fixed[1].picks]),
        exam.detection,
    )


def _located(
    config: Config, pickers: Sequence[tuple[Picker, Thresholds]], span: TimeSpan
) -> tuple[int, list[Located]]:
    """Return how many events the latest held-out stretch has, and what each picker makes of it."""
    stretch = latest_stretch(config, span)
    if stretch is None:
        return 0, [Located(0, 0) for _ in pickers]
    around = [(stream, stretch.span) for stream in workspace(config).archive.streams()]
    by_stream = [picks_in(config, picker, around, limits) for picker, limits in pickers]
    picks = [[one for some in found.values() for one in some] for found in by_stream]
    return len(stretch.events), located_again(config, stretch, picks)


def _paired(ours: Benchmarked, theirs: Benchmarked, groups: tuple[str, ...]) -> dict[str, Paired]:
    return {name: Paired(ours.scores[name], theirs.scores[name], groups) for name in ours.scores}
