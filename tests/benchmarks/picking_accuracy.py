"""How many onsets the default picker finds, and how well, beside published ones."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.training.evaluate.bootstrap import difference, interval
from geomon.training.evaluate.budget import LOWEST, counted, matched_thresholds
from geomon.training.evaluate.labelled import (
    extra_picks,
    kept,
    pick_windows,
    score_windows,
)
from geomon.training.evaluate.scores import Score, match, score
from geomon.training.recordings import LabelledWindow, whole_span
from tests.benchmarks import picking_data
from tests.benchmarks.picking_data import HELD_OUT, PickedStream
from tests.benchmarks.report import Figure, at_most

PHASES: tuple[Phase, ...] = ("P", "S")
CHOSEN = "the card's thresholds were chosen on these and the other windows kept out"
MARGIN = 0.02  # a goal is met when the estimate is within this of it
F1_GOALS: dict[tuple[Phase, float], float] = {
    ("P", 0.1): 0.95, ("P", 0.5): 0.975, ("S", 0.1): 0.86, ("S", 0.5): 0.96,
}  # fmt: skip
SAW = {"PhaseNet": "PhaseNet (reference, saw these data)"}

type Limits = Mapping[Phase, float]


def nearly(value: float, goal: float) -> tuple[str, bool]:
    """Return the goal in words and whether `value` comes within `MARGIN` of it."""
    return f">= {goal:g}", value >= goal - MARGIN


def against(
    figure: Figure, others: Mapping[str, float], *, names: Mapping[str, str] = SAW
) -> list[Figure]:
    """Repeat a figure once for each peer, as each row names one."""
    if not others or figure.value is None:
        return [figure]
    return [
        replace(
            figure,
            peer=names.get(name, name),
            peer_value=other,
            ratio=figure.value / other if other else None,
        )
        for name, other in others.items()
    ]


def measure(picker: Picker, peers: Mapping[str, Picker], *, every: int = 1) -> list[Figure]:
    """Measure accuracy at the cards' thresholds and at matched pick budgets.

    Only each `every`-th stream of the recordings never trained on counts.
    """
    everyone = {"default": picker, **peers}
    windows = picking_data.three_components()
    labelled = {
        name: pick_windows(one, windows, dict.fromkeys(one.card.phases, LOWEST))
        for name, one in everyone.items()
    }
    streams = {
        "lqt_geothermal": picking_data.lqt()[::every],
        "coal_node": picking_data.coal()[::every],
        "malmi_hengill": picking_data.hengill()[::every],
        "ridgecrest": picking_data.ridgecrest()[::every],
    }
    found = {
        name: {data: [s.found(one) for s in some] for data, some in streams.items()}
        for name, one in everyone.items()
    }
    limits: dict[str, Limits] = {name: one.card.thresholds for name, one in everyone.items()}
    return [
        *_labelled(windows, labelled, limits),
        *_folds(picker),
        *_extra(windows, labelled, limits),
        *_recalls("lqt_geothermal", streams, found, limits, {"P": 0.9, "S": 0.85}),
        *_late_or_faint(streams["lqt_geothermal"], found, limits),
        *_recalls("coal_node", streams, found, limits, {}),
        *_agreement(streams["malmi_hengill"], found, limits),
        *_large(streams["ridgecrest"], found, limits),
        *_matched(windows, labelled, streams, found, limits),
    ]


def _labelled(
    windows: Sequence[LabelledWindow],
    picks: Mapping[str, list[list[Pick]]],
    limits: Mapping[str, Limits],
) -> list[Figure]:
    figures = []
    for (phase, tolerance), goal in F1_GOALS.items():
        scores = {
            name: score_windows(windows, kept(found, limits[name]), phase, tolerance)
            for name, found in picks.items()
        }
        ours = interval(scores.pop("default"))
        words, holds = nearly(ours.estimate, goal)
        figure = Figure(
            figure=f"{phase} F1 at {tolerance} s",
            value=ours.estimate, unit="", goal=words, holds=holds,
            conditions=f"95 % {ours.low:.3f} to {ours.high:.3f}; "
            f"{len(windows)} windows, {HELD_OUT}; {CHOSEN}",
        )  # fmt: skip
        figures += against(figure, {name: one.f1 for name, one in scores.items()})
    return figures


def _folds(picker: Picker) -> list[Figure]:
    """Score all labelled windows, each by the picker that its station did not train."""
    folds = picking_data.folds(picker)
    if not folds:
        needs = (
            "needs the other thirds' pickers: geomon model train ~/.cache/geomon/folds/1 --fold 1 …"
        )
        return [Figure(figure="F1 by station folds", value=None, unit="", conditions=needs)]
    windows: list[LabelledWindow] = []
    picks: list[list[Pick]] = []
    elsewhere: list[list[Pick]] = []
    for fold, one in enumerate(folds):
        kept_out = picking_data.held_out(fold)
        low = pick_windows(one, kept_out, dict.fromkeys(PHASES, LOWEST))
        windows += kept_out
        picks += kept(low, one.card.thresholds)
        elsewhere += kept(low, folds[fold - 1].card.thresholds)
    full = [k for k, window in enumerate(windows) if len(window.segments) == 3]
    about = (
        f"a third by the shipped picker, the others by {folds[1].card.label} and "
        f"{folds[2].card.label}, which kept these aside and learned by the same recipe"
    )
    figures = []
    for which, chosen in (("3 components", full), ("all windows", range(len(windows)))):
        some = [windows[k] for k in chosen]
        found, unseen = ([some_picks[k] for k in chosen] for some_picks in (picks, elsewhere))
        for (phase, tolerance), goal in F1_GOALS.items():
            ours = interval(score_windows(some, found, phase, tolerance))
            words, holds = nearly(ours.estimate, goal) if chosen is full else ("", None)
            honest = score_windows(some, unseen, phase, tolerance).f1
            figures.append(
                Figure(
                    figure=f"station folds, {which}: {phase} F1 at {tolerance} s",
                    value=ours.estimate, unit="", goal=words, holds=holds,
                    peer="with the thresholds that another third's windows chose",
                    peer_value=honest, ratio=ours.estimate / honest,
                    conditions=f"95 % {ours.low:.3f} to {ours.high:.3f}; {len(some)} NCEDC "
                    f"windows; {about}",
                )
            )  # fmt: skip
    return figures


def _extra(
    windows: Sequence[LabelledWindow],
    picks: Mapping[str, list[list[Pick]]],
    limits: Mapping[str, Limits],
) -> list[Figure]:
    figures = []
    for where, reach, goal in (("near the event", 3.0, 0.05), ("anywhere in 90 s", 1e3, None)):
        values = {
            name: extra_picks(windows, kept(found, limits[name]), reach_s=reach)
            for name, found in picks.items()
        }
        value = values.pop("default")
        words, holds = ("", None) if goal is None else at_most(value, goal)
        about = "P - 3 s to S + 3 s" if goal else "other events are in there too"
        figure = Figure(
            figure=f"extra picks a window, {where}", value=value, unit="", goal=words,
            holds=holds, conditions=f"not within 0.5 s of the analyst's; {about}",
        )  # fmt: skip
        figures += [lower_is_better(one) for one in against(figure, values)]
    return figures


def lower_is_better(figure: Figure) -> Figure:
    """Turn the ratio around, so that above 1 is better."""
    ratio = figure.peer_value / figure.value if figure.peer_value and figure.value else None
    return replace(figure, ratio=ratio)


def _stream_score(
    streams: Sequence[PickedStream],
    picks: Sequence[Sequence[Pick]],
    phase: Phase,
    tolerance: float,
    limits: Limits,
) -> Score:
    true_s, found_s = [], []
    for stream, found in zip(streams, kept(picks, limits), strict=True):
        true_s.append(stream.seconds(stream.true_ns[phase]))
        found_s.append(stream.times_s(found, phase))
    return score(true_s, found_s, tolerance)


type _Streams = Mapping[str, Sequence[PickedStream]]
type _Found = Mapping[str, Mapping[str, list[list[Pick]]]]


def _recalls(
    data: str,
    streams: _Streams,
    found: _Found,
    limits: Mapping[str, Limits],
    goals: Mapping[Phase, float],
) -> list[Figure]:
    """Recall alone: analysts did not pick everything, so that precision means little."""
    figures = []
    for phase, tolerance in F1_GOALS:
        scores = {
            name: _stream_score(streams[data], picks[data], phase, tolerance, limits[name])
            for name, picks in found.items()
        }
        ours = scores.pop("default")
        sure = interval(ours, "recall")
        is_asked = tolerance == 0.1 and phase in goals
        words, holds = nearly(ours.recall, goals[phase]) if is_asked else ("", None)
        figure = Figure(
            figure=f"{data}, {phase} recall at {tolerance} s",
            value=ours.recall, unit="", goal=words, holds=holds,
            conditions=f"95 % {sure.low:.2f} to {sure.high:.2f}; {ours.n_true} manual picks, "
            f"{ours.n_found} made; never trained on",
        )  # fmt: skip
        figures += against(figure, {n: one.recall for n, one in scores.items()}, names={})
    return figures


def _late_or_faint(
    streams: Sequence[PickedStream], found: _Found, limits: Mapping[str, Limits]
) -> list[Figure]:
    """Look at what is missed at 0.1 s: S that others read as late too, P below the threshold.

    The analyst read S on records turned towards the source, pickers on north and east.
    """
    if "PhaseNet" not in found:
        return []
    ours, theirs = found["default"]["lqt_geothermal"], found["PhaseNet"]["lqt_geothermal"]
    late: list[float] = []  # how far PhaseNet's nearest S is from each
    missed: list[bool] = []  # whether a peak below the threshold is there
    for stream, mine, other in zip(streams, ours, theirs, strict=True):
        reached = kept([mine], limits["default"])[0]
        their_s = stream.times_s(kept([other], limits["PhaseNet"])[0], "S")
        true_s, found_s = stream.seconds(stream.true_ns["S"]), stream.times_s(reached, "S")
        for i, j in match(true_s, found_s, 0.5):
            if found_s[j] - true_s[i] > 0.1:
                late.append(min((abs(time - found_s[j]) for time in their_s), default=np.inf))
        true_s, found_s = stream.seconds(stream.true_ns["P"]), stream.times_s(reached, "P")
        hit = {i for i, _ in match(true_s, found_s, 0.1)}
        at_all = {i for i, _ in match(true_s, stream.times_s(mine, "P"), 0.1)}
        missed += [i in at_all for i in range(len(true_s)) if i not in hit]
    return [
        Figure(
            figure="lqt_geothermal, S late by more than 0.1 s where PhaseNet's S is as late",
            value=float(sum(apart <= 0.1 for apart in late)), unit=f"of {len(late)}",
            conditions="late by up to 0.5 s, PhaseNet's pick within 0.1 s of ours; the analyst "
            "read S on records turned towards the source",
        ),
        Figure(
            figure="lqt_geothermal, P missed at 0.1 s that are there below the threshold",
            value=float(sum(missed)), unit=f"of {len(missed)}",
            conditions=f"a peak above {LOWEST:g} within 0.1 s",
        ),
    ]  # fmt: skip


def _large(
    streams: Sequence[PickedStream], found: _Found, limits: Mapping[str, Limits]
) -> list[Figure]:
    """How many stations see the P of a large earthquake, which begins weakly and is clipped."""
    scores = {
        name: _stream_score(streams, picks["ridgecrest"], "P", 2.0, limits[name])
        for name, picks in found.items()
    }
    ours = scores.pop("default")
    figure = Figure(
        figure="M 7.1 of Ridgecrest, share of stations whose P is picked",
        value=ours.recall, unit="",
        conditions=f"within 2 s of iasp91; {ours.n_true} stations, 20 and 40 Hz; never trained on",
    )  # fmt: skip
    return against(figure, {n: one.recall for n, one in scores.items()}, names={})


def _agreement(
    streams: Sequence[PickedStream], found: _Found, limits: Mapping[str, Limits]
) -> list[Figure]:
    """How much of what PhaseNet picks in a swarm the others find, within 0.2 s."""
    figures = []
    for phase in PHASES:
        scores = {
            name: _stream_score(streams, picks["malmi_hengill"], phase, 0.2, limits[name])
            for name, picks in found.items()
            if name != "PhaseNet"
        }
        ours = scores.pop("default")
        figure = Figure(
            figure=f"malmi_hengill, share of PhaseNet's {phase} picks found",
            value=ours.recall, unit="",
            conditions=(
                f"the reference is PhaseNet's {ours.n_true} {phase} picks, not truth; within 0.2 s;"
                f" {ours.n_found} made; never trained on"
            ),
        )  # fmt: skip
        figures += against(figure, {n: one.recall for n, one in scores.items()}, names={})
    return figures


def _matched(
    windows: Sequence[LabelledWindow],
    labelled: Mapping[str, list[list[Pick]]],
    streams: _Streams,
    found: _Found,
    limits: Mapping[str, Limits],
) -> list[Figure]:
    """Score everyone at thresholds that give as many picks in a swarm as PhaseNet's own."""
    if "PhaseNet" not in found:
        return []
    swarm = {name: list(chain(*picks["malmi_hengill"])) for name, picks in found.items()}
    budget = counted(swarm["PhaseNet"], limits["PhaseNet"])
    matched: dict[str, Limits] = {
        name: limits[name] if name == "PhaseNet" else matched_thresholds(picks, budget)
        for name, picks in swarm.items()
    }
    hours = sum(whole_span(s.segments).duration_s for s in streams["malmi_hengill"]) / 3600
    ours = ", ".join(f"{phase} {value:.2f}" for phase, value in matched["default"].items())
    about = (
        f"thresholds ({ours}) at which malmi_hengill gives PhaseNet's number of picks at 0.3: "
        f"{budget['P']} P and {budget['S']} S in {hours:.1f} station-hours"
    )
    figures = []
    for phase, tolerance in F1_GOALS:
        scores = {
            name: score_windows(windows, kept(picks, matched[name]), phase, tolerance)
            for name, picks in labelled.items()
        }
        best = scores.pop("default")
        for name, other in scores.items():
            better = difference(best, other)
            apart = f"difference {better.low:+.3f} to {better.high:+.3f}"
            figures.append(
                Figure(
                    figure=f"matched budget: {phase} F1 at {tolerance} s",
                    value=best.f1,
                    unit="",
                    peer=f"{SAW.get(name, name)} ({apart})",
                    peer_value=other.f1,
                    ratio=best.f1 / other.f1,
                    conditions=about,
                )
            )
    for phase in PHASES:
        recalls = {
            name: _stream_score(
                streams["lqt_geothermal"], picks["lqt_geothermal"], phase, 0.1, matched[name]
            ).recall
            for name, picks in found.items()
        }
        figure = Figure(
            figure=f"matched budget: lqt_geothermal, {phase} recall at 0.1 s",
            value=recalls.pop("default"), unit="", conditions=about,
        )  # fmt: skip
        figures += against(figure, recalls, names={})
    return figures
