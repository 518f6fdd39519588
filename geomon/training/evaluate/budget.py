"""Pickers compared fairly: thresholds at which each makes as many picks a day as a reference.

A threshold of 0.3 means something else to every picker. Set on continuous data apart from the test
windows so that all make as many picks a station-day and phase, thresholds cost an analyst or an
associator the same, and what differs is how many of the picks are good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from geomon.errors import DataError
from geomon.events import Phase, Pick
from geomon.picking.card import Picker
from geomon.picking.infer import pick
from geomon.times import TimeSpan
from geomon.training.recordings import whole_span
from geomon.waveforms import Segment

LOWEST = 0.02  # faintest peak that can become a pick
_SECONDS_A_DAY = 86_400


@dataclass(frozen=True, slots=True)
class Continuous:
    """A continuous recording of one sensor."""

    segments: tuple[Segment, ...]

    @property
    def span(self) -> TimeSpan:
        """From its first to its last sample."""
        return whole_span(self.segments)


def continuous_picks(picker: Picker, recordings: Sequence[Continuous]) -> list[Pick]:
    """Return all picks down to `LOWEST` on continuous recordings."""
    low: dict[Phase, float] = dict.fromkeys(picker.card.phases, LOWEST)
    return [one for r in recordings for one in pick(picker, r.segments, r.span, thresholds=low)]


def station_days(recordings: Sequence[Continuous]) -> float:
    """Return how many station-days some recordings last together.

    Raises
    ------
    DataError
        If there are none.
    """
    days = sum(one.span.duration_s for one in recordings) / _SECONDS_A_DAY
    if days <= 0:
        msg = "no continuous recordings: a pick budget cannot be set without any"
        raise DataError(msg)
    return days


def counted(picks: Sequence[Pick], thresholds: Mapping[Phase, float]) -> dict[Phase, int]:
    """Return how many picks of each phase exceed the thresholds.

    Examples
    --------
    >>> counted([], {"P": 0.3})
    {'P': 0}
    """
    return {
        phase: sum(one.phase == phase and one.probability > limit for one in picks)
        for phase, limit in thresholds.items()
    }


def matched_thresholds(picks: Sequence[Pick], budget: Mapping[Phase, int]) -> dict[Phase, float]:
    """Return the thresholds above which a picker makes exactly as many picks as a budget allows.

    Parameters
    ----------
    picks : sequence of Pick
        All it makes on continuous data, down to `LOWEST`: see `continuous_picks`.
    budget : mapping of phase to int
        How many picks the reference makes on the same data.

    Returns
    -------
    dict of phase to float
        `LOWEST` where the picker never makes so many; fewer where several share a probability.
    """
    thresholds: dict[Phase, float] = {}
    for phase, allowed in budget.items():
        ranked = sorted((one.probability for one in picks if one.phase == phase), reverse=True)
        thresholds[phase] = ranked[allowed] if allowed < len(ranked) else LOWEST
    return thresholds


def matched_to(
    reference: Picker, picker: Picker, recordings: Sequence[Continuous]
) -> dict[Phase, float]:
    """Return thresholds at which `picker` makes as many picks as `reference` at its card's.

    Parameters
    ----------
    reference, picker : Picker
        Whose budget holds, and whose thresholds are wanted.
    recordings : sequence of Continuous
        Apart from what the pickers are then scored on.

    Raises
    ------
    DataError
        If there are no recordings.
    """
    station_days(recordings)
    limits = reference.card.thresholds
    budget = counted(continuous_picks(reference, recordings), limits)
    return matched_thresholds(continuous_picks(picker, recordings), budget)
