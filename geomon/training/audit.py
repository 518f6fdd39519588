"""Are labels what they claim to be? Checked against the champion, the location and each other.

Analysts correct the picker, so labels may differ from its picks; but what is right is right in the
eyes of the location too, does not come before P, and scatters to both sides alike. A share of
labels beyond what honest work shows, or a median off zero, refuses them all: retraining on poison
is worse than none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, median_abs_deviation, norm

from geomon.events import Phase, Pick
from geomon.ids import StationId, StreamId
from geomon.times import NS_PER_S, to_ns
from geomon.training.dataset import Label

LEAST_LABELS = 20
"""Labels of a phase below which nothing can be told of their scatter."""

_SURE = 0.6  # probability from which on the champion's word weighs against a label
_NEAR_S = 0.3  # champion and label mean the same onset
_FAR_S = 3.0  # and up to here the champion may mean the label's onset, elsewhere
_SWAPPED_S = 0.15
_TRUSTED = 0.6  # share of labels a champion must agree with to be a witness
_MOST_BIAS_S = 0.08
_CHANCE = 0.01  # of refusing honest labels, each check
_HONEST = {"swapped": 0.015, "shifted": 0.02, "out of order": 0.002, "doubled": 0.002}
"""Shares that honest labels may show: the champion is wrong there, or two events come together."""
_LOPSIDED = 0.015  # share by which one side's tail may outweigh the other's
_TAIL = 2.5  # robust standard deviations from which on a residual is in a tail
_LEAST_TAIL_S = 0.1
_ONE_SIGMA = 0.159  # quantile one standard deviation below the median
_LEAST_OF_STATION = 5  # labels from which on a station's own delay can be told
_ONE_ONSET_NS = NS_PER_S // 20
_GROSS_S = 0.6  # residual of a location that no honest label has


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was found in how many of the labels it could look at."""

    check: str
    n_labels: int
    value: float
    unit: str
    limit: float
    is_refused: bool

    def __str__(self) -> str:
        return (
            f"{self.check}: {self.value:.3g} {self.unit} of {self.n_labels} labels "
            f"(at most {self.limit:.3g})"
        )


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found; `suspects` are the labels that someone should look at again."""

    findings: tuple[Finding, ...]
    suspects: tuple[Label, ...] = field(default=(), repr=False)

    @property
    def is_refused(self) -> bool:
        """Whether nothing may be learned from these labels."""
        return any(finding.is_refused for finding in self.findings)

    @property
    def reason(self) -> str:
        """What is wrong, in one line; empty when nothing is."""
        return "; ".join(str(finding) for finding in self.findings if finding.is_refused)


def audit(labels: Sequence[Label], picks: Mapping[StreamId, Sequence[Pick]]) -> Audit:
    """Check the onsets that people vouch for.

    Parameters
    ----------
    labels : sequence of Label
        All labels; only manual and reviewed ones are checked.
    picks : mapping of StreamId to sequence of Pick
        What the champion finds at a low threshold on the same records.
    """
    checked = sorted(
        (one for one in set(labels) if one.kind in ("manual", "reviewed")),
        key=lambda one: (one.stream_id, one.time_ns, one.phase),
    )
    champion = _witness(checked, {stream: _Times.of(found) for stream, found in picks.items()})
    nothing = _Times.of([])
    swapped: list[Label] = []
    shifted: list[Label] = []
    known: list[Label] = []
    against: dict[Phase, dict[Label, float]] = {"P": {}, "S": {}}
    for label in checked:
        times = champion.get(label.stream_id, nothing)
        other: Phase = "S" if label.phase == "P" else "P"
        same_s = times.nearest(label.phase, label.time_ns, 0.0)
        if abs(same_s) <= _NEAR_S + 0.2:
            against[label.phase][label] = -same_s
        is_near = abs(same_s) <= _NEAR_S
        is_swapped = not is_near and abs(times.nearest(other, label.time_ns, _SURE)) <= _SWAPPED_S
        is_far = not is_near and abs(times.nearest(label.phase, label.time_ns, _SURE)) <= _FAR_S
        is_gross = abs(label.residual_s) > _GROSS_S
        if is_near or is_swapped or is_far or np.isfinite(label.residual_s):
            known.append(label)
        if is_swapped:
            swapped.append(label)
        elif (is_far and not is_near) or is_gross:
            shifted.append(label)
    unordered, n_pairs = _out_of_order(checked)
    doubled = _doubled(checked)
    findings = [
        _share("swapped", "P and S swapped", len(swapped), len(known)),
        _share("shifted", "time is off", len(shifted), len(known)),
        _share("out of order", "S not after P", len(unordered), n_pairs),
        _share("doubled", "two phases at one onset", len(doubled), len(checked)),
    ]
    located = _without_station_terms(checked)
    for phase in ("P", "S"):
        findings += _bias(phase, np.array(list(against[phase].values())))
        here = {label: r for label, r in located.items() if label.phase == phase}
        findings += _lopsided(phase, against[phase], here)
    return Audit(tuple(findings), tuple(dict.fromkeys([*swapped, *shifted, *unordered, *doubled])))


@dataclass(frozen=True, slots=True)
class _Times:
    """A picker's times on one stream by phase, nanoseconds, with their probabilities."""

    times: dict[Phase, NDArray[np.int64]]
    probability: dict[Phase, NDArray[np.float64]]

    @classmethod
    def of(cls, picks: Sequence[Pick]) -> "_Times":
        times: dict[Phase, NDArray[np.int64]] = {}
        probability: dict[Phase, NDArray[np.float64]] = {}
        for phase in ("P", "S"):
            some = sorted((to_ns(p.time), p.probability) for p in picks if p.phase == phase)
            times[phase] = np.array([t for t, _ in some], dtype=np.int64)
            probability[phase] = np.array([p for _, p in some], dtype=np.float64)
        return cls(times, probability)

    def nearest(self, phase: Phase, time_ns: int, least: float) -> float:
        """Return how much later the nearest pick of a phase is, in seconds; infinite for none."""
        times = self.times[phase][self.probability[phase] >= least]
        if not times.size:
            return float("inf")
        gaps = times - time_ns
        return float(gaps[np.abs(gaps).argmin()]) / NS_PER_S


def _witness(
    labels: Sequence[Label], champion: Mapping[StreamId, _Times]
) -> Mapping[StreamId, _Times]:
    """Return the champion's times if it can tell: nothing of one that contradicts most labels."""
    nearest = [
        abs(champion[one.stream_id].nearest(one.phase, one.time_ns, _SURE))
        for one in labels
        if one.stream_id in champion
    ]
    heard = np.array([gap_s for gap_s in nearest if gap_s <= _FAR_S])
    can_tell = heard.size > 0 and float((heard <= _NEAR_S).mean()) >= _TRUSTED
    return champion if can_tell else {}


def _share(check: str, words: str, count: int, n: int) -> Finding:
    """Refuse when there are more than honest labels show, beyond chance."""
    limit = _HONEST[check]
    too_many = n > 0 and count >= 2 and float(binom.sf(count - 1, n, limit)) < _CHANCE
    return Finding(words, n, count / max(n, 1), "share", limit, bool(too_many))


def _out_of_order(labels: Sequence[Label]) -> tuple[list[Label], int]:
    """Return labels of one event and station with S before P, or a phase twice, and how many."""
    by_key: dict[tuple[str, StationId], list[Label]] = {}
    for label in labels:
        if label.event_id:
            by_key.setdefault((label.event_id, label.stream_id.station_id), []).append(label)
    wrong: list[Label] = []
    n_pairs = 0
    for some in by_key.values():
        by_stream: dict[StreamId, list[Label]] = {}
        for label in some:
            by_stream.setdefault(label.stream_id, []).append(label)
        for here in by_stream.values():
            if len(here) < 2:
                continue
            n_pairs += 1
            p = [one.time_ns for one in here if one.phase == "P"]
            s = [one.time_ns for one in here if one.phase == "S"]
            if len(p) > 1 or len(s) > 1 or (p and s and s[0] <= p[0]):
                wrong += here
    return wrong, n_pairs


def _doubled(labels: Sequence[Label]) -> list[Label]:
    """Return labels, sorted by stream and time, that say P and S of what can be one onset only."""
    return [
        label
        for one, two in pairwise(labels)
        if one.stream_id == two.stream_id
        and one.phase != two.phase
        and two.time_ns - one.time_ns < _ONE_ONSET_NS
        for label in (one, two)
    ]


def _without_station_terms(labels: Sequence[Label]) -> dict[Label, float]:
    """Return location residuals without what is a station's own, seconds."""
    by_station: dict[tuple[StationId, Phase], list[Label]] = {}
    for label in labels:
        if np.isfinite(label.residual_s):
            by_station.setdefault((label.stream_id.station_id, label.phase), []).append(label)
    found: dict[Label, float] = {}
    for some in by_station.values():
        if len(some) >= _LEAST_OF_STATION:
            own = float(np.median([label.residual_s for label in some]))
            found |= {label: label.residual_s - own for label in some}
    return found


def _bias(phase: Phase, residuals_s: NDArray[np.float64]) -> list[Finding]:
    """Refuse labels that are early or late as a whole, against the champion."""
    n = residuals_s.size
    if n < LEAST_LABELS:
        return []
    median = float(np.median(residuals_s))
    error = 1.25 * float(median_abs_deviation(residuals_s, scale="normal")) / np.sqrt(n)
    refused = bool(abs(median) - float(norm.isf(_CHANCE / 2)) * error > _MOST_BIAS_S)
    return [Finding(f"{phase} against the champion, median", n, median, "s", _MOST_BIAS_S, refused)]


def _lopsided(
    phase: Phase, champion_s: Mapping[Label, float], location_s: Mapping[Label, float]
) -> list[Finding]:
    """Refuse labels more of which are far too late than too early, or the other way round.

    Champion and location err independently: where both know a label, their mean shows its own
    error best.
    """
    sums: dict[Label, list[float]] = {}
    for known in (champion_s, location_s):
        if len(known) >= LEAST_LABELS:
            middle = float(np.median(list(known.values())))
            for label, residual_s in known.items():
                sums.setdefault(label, []).append(residual_s - middle)
    if len(sums) < LEAST_LABELS:
        return []
    mean_s = np.array([np.mean(residuals_s) for residuals_s in sums.values()])
    mean_s -= np.median(mean_s)
    # Of the quieter side: poison on the other does not widen it.
    spread_s = float(np.abs(np.quantile(mean_s, (_ONE_SIGMA, 1 - _ONE_SIGMA))).min())
    tail_s = max(_TAIL * spread_s, _LEAST_TAIL_S)
    late, early = (int((sign * mean_s > tail_s).sum()) for sign in (1, -1))
    excess = (late - early) / mean_s.size
    by_chance = float(binom.sf(max(late, early) - 1, late + early, 0.5))
    refused = abs(excess) > _LOPSIDED and by_chance < _CHANCE / 2
    side = "late" if excess > 0 else "early"
    words = f"{phase} {side} by more than {tail_s:.2f} s"
    return [Finding(words, mean_s.size, abs(excess), "share", _LOPSIDED, refused)]
