"""How silent the default picker is on rubbish, and how steady when data change or are cut."""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np

from geomon.events import Pick
from geomon.picking.card import Picker
from geomon.picking.gate import AFTER, BEFORE
from geomon.picking.infer import pick, pick_and_judge, span_to_read
from geomon.picking.oddity import odd_windows
from geomon.times import NS_PER_S, TimeSpan, merged, subtracted, to_ns
from geomon.training.evaluate.artefacts import ARTEFACTS, false_picks
from geomon.training.evaluate.bootstrap import rate_interval
from geomon.training.evaluate.labelled import onset_s, pick_windows, window_span
from geomon.training.evaluate.perturbations import PERTURBATIONS, gain, rotated
from geomon.training.evaluate.robustness import Change, perturbed, shift_test
from geomon.training.recordings import LabelledWindow, read_streams, whole_span
from geomon.waveforms import Segment
from tests.benchmarks import picking_data
from tests.benchmarks.picking_accuracy import SAW, against, lower_is_better, nearly
from tests.benchmarks.report import Figure, at_least, at_most

_SPIKE, _VERTICAL = "100 x spike 3 s before P", "vertical only"


def measure(picker: Picker, peers: Mapping[str, Picker], *, quick: bool) -> list[Figure]:
    """Measure false picks, perturbations and chunk invariance."""
    windows = picking_data.three_components()[:: 2 if quick else 1]
    return [
        *_real_noise(picker, peers),
        *([] if quick else [_quiet_hours(picker, peers)]),
        gated_share(picker, every=6 if quick else 1),
        odd_share(),
        *artefacts(picker, peers, seconds=1800 if quick else 7200),
        *_recall_despite(picker, peers, windows),
        *_swings(picker, windows, n_shifts=1 if quick else 8),
        chunk_invariance(picker, n_cuts=2 if quick else 6),
    ]


def _real_noise(picker: Picker, peers: Mapping[str, Picker]) -> list[Figure]:
    """Count picks on what was recorded before P, with and without the gate on input."""
    windows = picking_data.held_out()
    judged = [pick_and_judge(picker, w.segments, window_span(w)) for w in windows]
    made = [[one for one, _ in some] for some in judged]
    believed = [[one for one, reason in some if reason is None] for some in judged]
    theirs = [pick_windows(one, windows, {}) for one in peers.values()]
    others = {
        SAW.get(name, name): before_p(windows, found, picker.card.blind_s)
        for name, found in zip(peers, theirs, strict=True)
    }
    alone = [
        [p for p in mine if not any(_has(other[k], p) for other in theirs)]
        for k, mine in enumerate(believed)
    ]
    figures = []
    for what, picks in (
        ("before gating", made),
        ("after gating", believed),
        ("after gating, that no published picker makes", alone),
    ):
        count, hours = before_p(windows, picks, picker.card.blind_s)
        sure = rate_interval(count, hours)
        words, holds = at_most(sure.estimate, 1)
        figure = Figure(
            figure=f"picks on real noise, {what}", value=sure.estimate, unit="an hour",
            goal=words, holds=holds,
            conditions=f"{count}, 95 % {sure.low:.1f} to {sure.high:.1f} an hour; {hours:.2f} h "
            f"before P of {len(windows)} NCEDC windows kept out of training, small earthquakes "
            "included",
        )  # fmt: skip
        rates = {name: n / hours for name, (n, hours) in others.items() if picks is not alone}
        figures += [lower_is_better(one) for one in against(figure, rates, names={})]
    gated = [[one for one, reason in some if reason is not None] for some in judged]
    count, hours = before_p(windows, gated, picker.card.blind_s)
    share = count * (BEFORE + AFTER) / 100 / (3600 * hours)
    words, holds = at_most(share, 0.05)
    figures.append(
        Figure(
            figure="share of quiet real time that is gated", value=share, unit="", goal=words,
            holds=holds,
            conditions=f"{count} picks gated in {hours:.2f} h before P, each for the "
            f"{(BEFORE + AFTER) / 100:g} s around it that are looked at",
        )
    )  # fmt: skip
    return figures


def _quiet_hours(picker: Picker, peers: Mapping[str, Picker]) -> Figure:
    """Count picks in continuous recordings, far from all that published pickers find."""
    count, seconds = 0, 0.0
    for _, segments in read_streams(picking_data.DATA / "deepphasepick_cx" / "sample_data"):
        span = whole_span(segments)
        found = [one for peer in peers.values() for one in pick(peer, segments, span)]
        near = [TimeSpan(at, at + 1).padded(30) for at in (to_ns(one.time) for one in found)]
        parts = merged(TimeSpan(s.start_ns, s.end_ns) for s in segments)
        quiet = [rest for part in parts for rest in subtracted(part, near)]
        seconds += sum(rest.duration_s for rest in quiet)
        ours = [to_ns(one.time) for one in pick(picker, segments, span)]
        count += sum(rest.contains(at) for at in ours for rest in quiet)
    sure = rate_interval(count, seconds / 3600)
    words, holds = at_most(sure.estimate, 1)
    return Figure(
        figure="picks in quiet hours of a station, after gating", value=sure.estimate,
        unit="an hour", goal=words, holds=holds,
        conditions=f"{count}, 95 % {sure.low:.1f} to {sure.high:.1f} an hour; "
        f"{seconds / 3600:.1f} h of deepphasepick_cx, which the picker learned from as its teacher "
        f"labelled it, more than 30 s from all picks of {' and '.join(peers)}; small earthquakes "
        "included",
    )  # fmt: skip


def odd_share() -> Figure:
    """Share of the minutes of real recordings that are flagged as like nothing seismic."""
    minutes, odd = 0.0, 0
    for folder in ("malmi_hengill/tests/inputs", "easyquake_wilz/tests"):
        for _, segments in read_streams(picking_data.DATA / folder):
            minutes += sum(s.samples.size / s.sampling_rate_hz for s in segments) / 60
            for seed_id in {segment.seed_id for segment in segments}:
                odd += len(odd_windows([s for s in segments if s.seed_id == seed_id]))
    words, holds = at_most(odd / minutes, 0.05)
    return Figure(
        figure="share of minutes of real recordings flagged as like nothing seismic",
        value=odd / minutes, unit="", goal=words, holds=holds,
        conditions=f"{odd} of {minutes:.0f} channel-minutes of malmi_hengill and easyquake_wilz",
    )  # fmt: skip


def _has(picks: Sequence[Pick], wanted: Pick) -> bool:
    """Say whether there is a pick of the same phase within half a second."""
    return any(
        one.phase == wanted.phase and abs(to_ns(one.time) - to_ns(wanted.time)) <= NS_PER_S // 2
        for one in picks
    )


def gated_share(picker: Picker, every: int = 1) -> Figure:
    """Share of the picks on each `every`-th real recording that the gate does not believe."""
    recordings = [(w.segments, window_span(w)) for w in picking_data.held_out()]
    streams = [*picking_data.lqt(), *picking_data.hengill()]
    recordings += [(stream.segments, whole_span(stream.segments)) for stream in streams]
    reasons = [
        reason
        for segments, span in recordings[::every]
        for _, reason in pick_and_judge(picker, segments, span)
    ]
    n_gated = sum(reason is not None for reason in reasons)
    words, holds = at_most(n_gated / len(reasons), 0.05)
    return Figure(
        figure="share of picks on real recordings that is gated", value=n_gated / len(reasons),
        unit="", goal=words, holds=holds,
        conditions=f"{n_gated} of {len(reasons)} picks on NCEDC, lqt_geothermal, malmi_hengill",
    )  # fmt: skip


def before_p(
    windows: Sequence[LabelledWindow], picks: Sequence[Sequence[Pick]], blind_s: float
) -> tuple[int, float]:
    """Count picks before P, and the hours they were made in."""
    count, seconds = 0, 0.0
    for window, found in zip(windows, picks, strict=True):
        quiet = onset_s(window, "P") - 1.5
        start = window_span(window).start_ns
        count += sum((to_ns(one.time) - start) / 1e9 < quiet for one in found)
        seconds += quiet - blind_s
    return count, seconds / 3600


def artefacts(picker: Picker, peers: Mapping[str, Picker], seconds: int) -> list[Figure]:
    """Count picks on noise with one disturbance a minute."""
    figures = []
    hours = seconds / 3600
    for kind in ARTEFACTS:
        found = false_picks(picker, kind, seconds)
        sure = rate_interval(found.believed, hours)
        words, holds = at_most(sure.estimate, 1)
        figure = Figure(
            figure=f"false picks, {kind}", value=sure.estimate, unit="an hour", goal=words,
            holds=holds,
            conditions=f"{found.made / hours:g} before gating; 95 % {sure.low:.1f} to "
            f"{sure.high:.1f}; synthetic noise of {hours:g} h, an artefact a minute",
        )  # fmt: skip
        others = {
            name: false_picks(one, kind, seconds).believed / hours for name, one in peers.items()
        }
        figures += [lower_is_better(one) for one in against(figure, others, names={})]
    return figures


def _recall_despite(
    picker: Picker, peers: Mapping[str, Picker], windows: Sequence[LabelledWindow]
) -> list[Figure]:
    chosen = {name: PERTURBATIONS[name] for name in (_SPIKE, _VERTICAL)}
    everyone = {"default": picker, **peers}
    rows = {name: perturbed(one, windows, chosen)[1:] for name, one in everyone.items()}
    figures = []
    for k, name in enumerate(chosen):
        values = {who: found[k].recall["P at 0.5 s"] for who, found in rows.items()}
        value = values.pop("default")
        words, holds = nearly(value, 0.9)
        figure = Figure(
            figure=f"P recall at 0.5 s, {name}", value=value, unit="", goal=words, holds=holds,
            conditions=f"{len(windows)} windows, {picking_data.HELD_OUT}",
        )  # fmt: skip
        figures += against(figure, values)
    return figures


def _swings(picker: Picker, windows: Sequence[LabelledWindow], n_shifts: int) -> list[Figure]:
    figures = _change("1 to 255 samples later", shift_test(picker, windows, n_shifts=n_shifts))
    chosen = {"gain x 1000": gain(1000.0), "horizontals turned 37 degrees": rotated(37.0)}
    for row in perturbed(picker, windows, chosen)[1:]:
        if row.change is not None:
            figures += _change(row.name, row.change)
    return figures


def _change(name: str, change: Change) -> list[Figure]:
    values = (
        ("median swing of P probability", change.median_swing, 0.01, ""),
        ("95th percentile of the swing", change.p95_swing, 0.1, ""),
        ("true picks lost", float(change.n_lost), 0, f"of {change.n_picks}"),
        ("true picks gone, not only fallen below the threshold", float(change.n_gone), 0, ""),
    )
    figures = []
    for what, value, goal, unit in values:
        words, holds = at_most(value, goal)
        figures.append(
            Figure(
                figure=f"{name}: {what}", value=value, unit=unit, goal=words, holds=holds,
                conditions="picks within 0.5 s of the analyst's; " + picking_data.HELD_OUT,
            )
        )  # fmt: skip
    return figures


def chunk_invariance(picker: Picker, n_cuts: int) -> Figure:
    """Cut real recordings at any sample, pick the parts in any order, and compare."""
    rng = np.random.default_rng(0)
    recordings = [picking_data.swarm_minutes()]
    recordings += [stream.segments for stream in picking_data.hengill()[:n_cuts]]
    same = either = 0
    for segments in recordings:
        span = whole_span(segments)
        whole = set(pick(picker, segments, span))
        for _ in range(n_cuts):
            inner = rng.integers(span.start_ns, span.end_ns, 5)
            edges = [span.start_ns, *sorted(int(t) for t in inner), span.end_ns]
            parts = [TimeSpan(a, b) for a, b in itertools.pairwise(edges)]
            found: set[Pick] = set()
            for k in rng.permutation(len(parts)):
                read = _cut(segments, span_to_read(picker, parts[k]))
                found |= set(pick(picker, read, parts[k]))
            same += len(whole & found)
            either += len(whole | found)
    words, holds = at_least(same / either, 1)
    return Figure(
        figure="chunk invariance: share of identical picks", value=same / either, unit="",
        goal=words, holds=holds,
        conditions=f"{either} picks of {len(recordings)} real recordings, each cut {n_cuts} times "
        "at 5 random nanoseconds, parts in random order",
    )  # fmt: skip


def _cut(segments: Sequence[Segment], span: TimeSpan) -> list[Segment]:
    parts = (segment.clipped(span) for segment in segments)
    return [part for part in parts if part is not None]
