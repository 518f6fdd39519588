"""The gate: a challenger becomes champion only when it is better, and nowhere worse.

Better is decided once a retraining, by F1 on recent held-out windows that people reviewed whole, so
that every other pick is false, at thresholds that give both as many picks a day: the bootstrap's
lower bound is above zero, and swapping the two event by event hardly ever gives as much. Each such
test spends part of an error budget: over all challengers that a champion ever meets, the chance
that one that is no better replaces it stays below the budget (alpha spending; Bonferroni's
inequality). The spending is `alpha_of`.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from scipy.stats import binom, norm

from geomon.errors import DataError
from geomon.events import Phase, Pick
from geomon.ids import StreamId
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.training.dataset import Label, labels_by_stream
from geomon.training.evaluate.bootstrap import (
    Interval,
    chance_of_gain,
    difference,
    draw_differences,
)
from geomon.training.evaluate.scores import Metric, Score, match, metric

BUDGET = 0.05
"""Chance that a champion is ever replaced by a challenger that is no better."""

LEAST_EVENTS = 20
"""Events the exam must hold; with fewer nothing can be told, and nothing is spent."""

_MARGIN = 0.01  # a share may seem this much worse by chance
_PRICE = 0.05  # precision that may be paid for recall, against the champion as it runs
_LATER_S = 0.02  # and a median residual this much farther from zero
_EVENT_NS = 20 * NS_PER_S  # onsets of no event this near each other are taken for one
_MORE = 0.01  # chance of taking as many false events for more
_DRAWS = 4000

type Verdict = Literal["promoted", "refused", "untested"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Scores of champion and challenger on the same records.

    `groups` names the event of each record: records of one event are not independent.
    """

    champion: Score
    challenger: Score
    groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison, with the rule it must follow; `holds` is None where there is none."""

    what: str
    champion: float
    challenger: float
    difference: Interval | None
    rule: str
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the gate decided, why, and what it spent."""

    verdict: Verdict
    reason: str
    alpha: float
    rows: tuple[Row, ...]

    def table(self) -> str:
        """Return the comparison as a Markdown table."""
        lines = [
            "| what | champion | challenger | difference | rule | holds |",
            "|---|---|---|---|---|---|",
        ]
        for row in self.rows:
            gap = "" if row.difference is None else str(row.difference)
            holds = {True: "yes", False: "**no**", None: "-"}[row.holds]
            lines.append(
                f"| {row.what} | {row.champion:.3f} | {row.challenger:.3f} | {gap} "
                f"| {row.rule} | {holds} |"
            )
        return "\n".join(lines)


def alpha_of(trial: int, budget: float = BUDGET) -> float:
    """Return what the n-th test against one champion may spend; all of them add up to the budget.

    Parameters
    ----------
    trial : int
        Number of the test, from 1.
    budget : float
        What all tests may spend together.

    Examples
    --------
    >>> [round(alpha_of(n), 4) for n in (1, 2, 3)]
    [0.025, 0.0083, 0.0042]
    >>> round(sum(alpha_of(n) for n in range(1, 10_000)), 4)
    0.05
    """
    return budget / (trial * (trial + 1))


def least_gain(
    pair: Paired, alpha: float, name: Metric = "f1", *, seed: int = 0
) -> tuple[float, float]:
    """Return by how much the challenger is better, and by how much at least, but for `alpha`.

    The one-sided bound is the lower one of the percentile bootstrap over events and of a normal
    distribution with the bootstrap's spread, which reaches farther out than draws can.
    """
    values = draw_differences(
        pair.challenger, pair.champion, name, groups=pair.groups, draws=_DRAWS, seed=seed
    )
    ours, theirs = (
        float(metric(name, one.counts.sum(axis=0))) for one in (pair.challenger, pair.champion)
    )
    gain = ours - theirs
    if not values.size:
        return gain, -math.inf
    bound = gain + float(norm.ppf(alpha)) * float(values.std())
    return gain, min(float(np.quantile(values, alpha)), bound)


def scored(
    windows: Sequence[tuple[StreamId, TimeSpan]],
    labels: Sequence[Label],
    picks: Mapping[StreamId, Sequence[Pick]],
    tolerance_s: float,
) -> tuple[Score, tuple[str, ...]]:
    """Score picks in windows that were reviewed whole, by event.

    Parameters
    ----------
    windows : sequence of (StreamId, TimeSpan)
        What was reviewed.
    labels : sequence of Label
        All labels; those that say there is an onset in a window are to be found. Picks where a
        person could not tell are neither right nor wrong.
    picks : mapping of StreamId to sequence of Pick
        What a picker found.
    tolerance_s : float
        Largest distance of a pick and an onset that count as one.

    Returns
    -------
    score : Score
        A record for each event in each window, and one for each window's other picks.
    groups : tuple of str
        The event of each record; the window's name for other picks.
    """
    counts: list[tuple[int, int, int]] = []
    residuals: list[float] = []
    groups: list[str] = []
    by_stream = labels_by_stream(label for label in labels if label.is_onset or label.is_open)
    for stream, window in windows:
        known = [one for one in by_stream.get(stream, ()) if window.contains(one.time_ns)]
        true = [one for one in known if one.is_onset]
        unsure = [one for one in known if one.is_open]
        found = [one for one in picks.get(stream, ()) if window.contains(to_ns(one.time))]
        by_event: dict[str, list[float]] = {_event(label): [] for label in true}
        n_true = dict.fromkeys(by_event, 0)
        n_other = 0
        for phase in ("P", "S"):
            here, left_open = (
                [label for label in some if label.phase == phase] for some in (true, unsure)
            )
            times, open_times = (
                [(label.time_ns - window.start_ns) / NS_PER_S for label in some]
                for some in (here, left_open)
            )
            seen = [
                (to_ns(one.time) - window.start_ns) / NS_PER_S
                for one in found
                if one.phase == phase
            ]
            pairs = match(times, seen, tolerance_s)
            for label in here:
                n_true[_event(label)] += 1
            for i, j in pairs:
                by_event[_event(here[i])].append(seen[j] - times[i])
            others = [seen[j] for j in set(range(len(seen))) - {j for _, j in pairs}]
            n_other += len(others) - len(match(open_times, others, tolerance_s))
        for event, of_event in sorted(by_event.items()):
            counts.append((n_true[event], len(of_event), len(of_event)))
            residuals += of_event
            groups.append(event)
        counts.append((0, n_other, 0))
        groups.append(f"{stream} {window.start_ns}")
    array = np.array(counts, dtype=np.int64).reshape(-1, 3)
    return Score(array, np.array(residuals, dtype=np.float64)), tuple(groups)


def _event(label: Label) -> str:
    return label.event_id or f"about {label.time_ns // _EVENT_NS}"


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that the gate looks at.

    Attributes
    ----------
    exam : dict of str to Paired
        By tolerance, ``"0.5 s"`` and ``"0.1 s"``: recent held-out windows reviewed whole, P and S
        together, at one pick budget; ``"as run"`` has the champion as it runs today.
    exam_residuals_s, benchmark_residuals_s : dict of phase to (array, array)
        Found minus true of champion and challenger.
    benchmark : dict of str to Paired
        The fixed benchmark, in the same way.
    floor : dict of str to Paired
        The benchmark with the first model in the champion's place; empty while it is the champion.
    events : (int, int, int)
        Reviewed events of the held-out stretch, and how many the picks of champion and challenger
        give.
    chance_events : (int, int)
        Events that come of the same picks when each station's are shifted in time.
    facts : dict of str to (float, float)
        What is shown and not judged, by name.
    trial : int
        Number of this test against this champion, from 1.
    """

    exam: Mapping[str, Paired]
    benchmark: Mapping[str, Paired]
    trial: int
    exam_residuals_s: Mapping[Phase, tuple[Sequence[float], Sequence[float]]]
    benchmark_residuals_s: Mapping[Phase, tuple[Sequence[float], Sequence[float]]]
    floor: Mapping[str, Paired] = field(default_factory=dict)
    events: tuple[int, int, int] = (0, 0, 0)
    chance_events: tuple[int, int] = (0, 0)
    facts: Mapping[str, tuple[float, float]] = field(default_factory=dict)


def judge(evidence: Evidence, *, budget: float = BUDGET) -> Judgement:
    """Decide about a challenger.

    Raises
    ------
    DataError
        If there is no benchmark.
    """
    if not evidence.benchmark:
        msg = "no benchmark: a challenger cannot be judged without one"
        raise DataError(msg)
    rows = [*_guards(evidence)]
    main = evidence.exam.get("0.5 s")
    n_events = 0 if main is None else _n_events(main)
    if main is None or n_events < LEAST_EVENTS:
        reason = (
            f"not tested: the exam holds {n_events} events, and needs {LEAST_EVENTS}; "
            "have more windows reviewed whole"
        )
        return Judgement("untested", reason, 0.0, tuple(rows))
    alpha = alpha_of(evidence.trial, budget)
    gain, low = least_gain(main, alpha)
    chance = chance_of_gain(
        main.challenger, main.champion, "f1", groups=main.groups,
        draws=max(_DRAWS, math.ceil(10 / alpha)),
    )  # fmt: skip
    first = Row(
        "exam: F1 at 0.5 s",
        main.champion.f1,
        main.challenger.f1,
        Interval(gain, low, float("inf")),
        f"above 0 but for {alpha:.2g}, and by swaps with a chance of {chance:.2g}",
        low > 0 and chance <= alpha,
    )
    rows.insert(0, first)
    broken = [row.what for row in rows if row.holds is False]
    if not broken:
        reason = f"F1 {gain:+.3f} on {n_events} events, at least {low:+.3f}; nothing is worse"
        return Judgement("promoted", reason, alpha, tuple(rows))
    why = "not better beyond chance" if broken[0] == first.what else "worse"
    return Judgement("refused", f"{why}: {', '.join(broken)}", alpha, tuple(rows))


def _n_events(pair: Paired) -> int:
    """Count the events that have an onset to be found."""
    true = pair.champion.counts[:, 0]
    return len({group for group, n in zip(pair.groups, true, strict=True) if n})


def _guards(evidence: Evidence) -> list[Row]:
    """Compare all that must not get worse."""
    rows: list[Row] = []
    if "0.5 s" in evidence.exam:
        rows.append(_no_worse("exam: recall at 0.5 s", evidence.exam["0.5 s"], "recall"))
    if "0.1 s" in evidence.exam:
        rows.append(_no_worse("exam: recall at 0.1 s", evidence.exam["0.1 s"], "recall"))
    if "as run" in evidence.exam:
        # More picks are welcome, but not at any price.
        pair = evidence.exam["as run"]
        rows.append(_no_worse("exam: precision as run", pair, "precision", _PRICE))
    rows += _timing("exam", evidence.exam_residuals_s)
    for tolerance, pair in evidence.benchmark.items():
        rows.append(_no_worse(f"benchmark: F1 at {tolerance}", pair, "f1"))
    rows += _timing("benchmark", evidence.benchmark_residuals_s)
    for tolerance, pair in evidence.floor.items():
        rows.append(_no_worse(f"benchmark, first model: F1 at {tolerance}", pair, "f1"))
    n_events, ours, theirs = evidence.events
    if n_events:
        # One event more or less in a stretch is chance.
        least = ours - max(1, round(_MARGIN * n_events))
        rule = f"at least {least} of {n_events}"
        rows.append(Row("events located", ours, theirs, None, rule, theirs >= least))
        rows.append(_by_chance(*evidence.chance_events))
    rows += [Row(what, *pair, None, "", None) for what, pair in evidence.facts.items()]
    return rows


def _by_chance(ours: int, theirs: int) -> Row:
    """Compare the events that come of picks shifted in time: no more but by chance."""
    is_more = theirs > ours and float(binom.sf(theirs - 1, ours + theirs, 0.5)) < _MORE
    what, rule = "events from time-shifted picks", f"no more but for {_MORE:g}"
    return Row(what, ours, theirs, None, rule, not is_more)


def _no_worse(what: str, pair: Paired, name: Metric, margin: float = _MARGIN) -> Row:
    gap = difference(pair.challenger, pair.champion, name, groups=pair.groups)
    ours, theirs = (
        float(metric(name, one.counts.sum(axis=0))) for one in (pair.champion, pair.challenger)
    )
    is_worse = gap.estimate < -margin or gap.high < _MARGIN - margin
    return Row(what, ours, theirs, gap, f"no worse than {-margin:g}", not is_worse)


def _timing(
    where: str, residuals_s: Mapping[Phase, tuple[Sequence[float], Sequence[float]]]
) -> list[Row]:
    rows = []
    for phase, pair in residuals_s.items():
        if min(len(one) for one in pair) < LEAST_EVENTS:
            continue
        ours, theirs = (float(np.median(one)) for one in pair)
        holds = abs(theirs) <= max(abs(ours), _LATER_S) + _LATER_S
        rule = f"within {max(abs(ours), _LATER_S) + _LATER_S:.3f} s"
        rows.append(Row(f"{where}: median {phase} residual (s)", ours, theirs, None, rule, holds))
    return rows
