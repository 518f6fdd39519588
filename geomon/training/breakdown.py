"""Where a challenger differs from its champion: detection, confusion, and windows of each kind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geomon.events import Phase, Pick
from geomon.ids import StreamId
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.training.dataset import Label, labels_by_stream
from geomon.training.evaluate.evaluation import PHASES
from geomon.training.evaluate.labelled import (
    GROUPINGS,
    event_span_s,
    grouped,
    onset_s,
    score_windows,
    times_s,
)
from geomon.training.evaluate.scores import match, metric
from geomon.training.evaluate.tasks import area_under_curve
from geomon.training.recordings import LabelledWindow

PIECE_S = 30.0
"""Length of the pieces in which an earthquake is to be detected."""

CLASSES = ("P", "S", "nothing")
LEAST_WINDOWS = 3
"""Windows of a class below which its scores say nothing."""

_TOLERANCE_S = 0.5

type Picks = Sequence[Sequence[Pick]]
"""The picks of each window."""


@dataclass(frozen=True, slots=True)
class Detection:
    """How well pieces of reviewed windows with an onset are told from those without.

    Attributes
    ----------
    with_onset, without : array of float64
        Highest probability of a pick in each piece; 0 where there is none.
    n_false : int
        Picks above the thresholds in pieces without an onset.
    """

    with_onset: NDArray[np.float64]
    without: NDArray[np.float64]
    n_false: int

    @property
    def area(self) -> float:
        """Area under the receiver operating characteristic; NaN without pieces of both kinds."""
        return area_under_curve(self.with_onset, self.without)

    @property
    def false_an_hour(self) -> float:
        """Picks an hour of reviewed noise; NaN without any."""
        hours = self.without.size * PIECE_S / 3600
        return self.n_false / hours if hours else float("nan")

    def curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return shares of pieces without and with an onset that are called, by threshold."""
        limits = np.unique(np.concatenate([self.with_onset, self.without]))[::-1]
        shares = [
            np.concatenate([[0.0], (some[None, :] >= limits[:, None]).mean(axis=1)])
            for some in (self.without, self.with_onset)
        ]
        return shares[0], shares[1]


def detection(
    windows: Sequence[tuple[StreamId, TimeSpan]],
    labels: Sequence[Label],
    picks: Mapping[StreamId, Sequence[Pick]],
    thresholds: Mapping[Phase, float],
) -> Detection:
    """Measure detection in windows that were reviewed whole.

    Parameters
    ----------
    windows : sequence of (StreamId, TimeSpan)
        What was reviewed; cut in pieces of `PIECE_S`, a shorter rest is left out.
    labels : sequence of Label
        All labels; a piece with one that a person could not tell is left out.
    picks : mapping of StreamId to sequence of Pick
        All of a picker's, down to the faintest.
    thresholds : mapping of phase to float
        Above which a pick counts as false where there is no onset.
    """
    scores: dict[bool, list[float]] = {True: [], False: []}
    n_false = 0
    known = labels_by_stream(labels)
    for stream, window in windows:
        length_ns = round(PIECE_S * NS_PER_S)
        n_pieces = (window.end_ns - window.start_ns) // length_ns
        highest, n_above = np.zeros(n_pieces), np.zeros(n_pieces, dtype=np.int64)
        has_onset, is_open = np.zeros((2, n_pieces), dtype=np.bool_)
        for one in picks.get(stream, ()):
            at = (to_ns(one.time) - window.start_ns) // length_ns
            if 0 <= at < n_pieces:
                highest[at] = max(highest[at], one.probability)
                n_above[at] += one.probability > thresholds[one.phase]
        for label in known.get(stream, ()):
            at = (label.time_ns - window.start_ns) // length_ns
            if 0 <= at < n_pieces:
                has_onset[at] |= label.is_onset
                is_open[at] |= label.is_open
        scores[True] += highest[has_onset].tolist()
        quiet = ~has_onset & ~is_open
        scores[False] += highest[quiet].tolist()
        n_false += int(n_above[quiet].sum())
    return Detection(np.array(scores[True]), np.array(scores[False]), n_false)


def confusion(windows: Sequence[LabelledWindow], picks: Picks) -> NDArray[np.int64]:
    """Count what is there against what was found within 0.5 s.

    Parameters
    ----------
    windows : sequence of LabelledWindow
        One event each.
    picks : sequence of sequences of Pick
        Those of each window; only picks near its event count.

    Returns
    -------
    array of int64, shape (3, 3)
        Rows: P, S, nothing; columns: found as P, as S, not found.
    """
    counts = np.zeros((3, 3), dtype=np.int64)
    for window, found in zip(windows, picks, strict=True):
        low, high = event_span_s(window)
        left = {
            phase: [t for t in times_s(window, found, phase) if low <= t <= high]
            for phase in PHASES
        }
        unfound: list[tuple[int, float]] = []
        for row, phase in enumerate(PHASES):
            onset = onset_s(window, phase)
            if np.isnan(onset):
                continue
            if pairs := match([onset], left[phase], _TOLERANCE_S):
                counts[row, row] += 1
                del left[phase][pairs[0][1]]
            else:
                unfound.append((row, onset))
        for row, onset in unfound:
            other = PHASES[1 - row]
            if pairs := match([onset], left[other], _TOLERANCE_S):
                counts[row, 1 - row] += 1
                del left[other][pairs[0][1]]
            else:
                counts[row, 2] += 1
        counts[2, :2] += len(left["P"]), len(left["S"])
    return counts


@dataclass(frozen=True, slots=True)
class ClassRow:
    """F1 of P and S at 0.5 s on windows of one class, for example of one station."""

    grouping: str
    name: str
    n_windows: int
    champion: float
    challenger: float


def by_class(
    windows: Sequence[LabelledWindow], champion: Picks, challenger: Picks
) -> list[ClassRow]:
    """Score both by signal-to-noise ratio, distance, sampling rate, components and station."""
    totals = []
    for picks in (champion, challenger):
        counts = [score_windows(windows, picks, phase, _TOLERANCE_S).counts for phase in PHASES]
        totals.append(np.add(*counts))
    return [
        ClassRow(
            grouping,
            name,
            len(rows),
            *(float(metric("f1", total[rows].sum(axis=0))) for total in totals),
        )
        for grouping in GROUPINGS
        for name, rows in grouped(windows, grouping).items()
        if len(rows) >= LEAST_WINDOWS
    ]


def class_table(rows: Sequence[ClassRow]) -> str:
    """Return the scores of classes as a Markdown table."""
    lines = [
        "| F1 at 0.5 s, by | class | windows | champion | challenger |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.grouping} | {row.name} | {row.n_windows} | {row.champion:.3f} "
        f"| {row.challenger:.3f} |"
        for row in rows
    ]
    return "\n".join(lines)
