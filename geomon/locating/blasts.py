"""Quarry blasts among earthquakes: shallow, at one place, on working days, never at night.

A place whose events prefer the day is a quarry more likely than a fault (Wiemer and Baer 2000,
https://doi.org/10.1785/0119990104, map the ratio of day to night; here it is a mixture). Around
each event the share of blasts is what makes the hours, weekdays and depths there most likely; where
that is far likelier than no blast at all, each event gets its own probability. A calendar day
counts once however many events it had, so that an aftershock sequence which began in the morning
proves nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from geomon.events import Event
from geomon.sphere import EARTH_KM

type Floats = NDArray[np.float64]

EVENT_TYPE = "quarry blast"
LEAST_PROBABILITY = 0.8
"""That an event was a blast, to be called one."""
_REACH_KM = 4.0  # a quarry and the errors of its locations
_WORK_HOURS = (6.0, 18.0)  # of local solar time, whatever clocks say
_BY_DAY, _ON_WORKDAYS = 0.98, 0.95  # share of blasts
_LEAST_DAYS = 8  # with an event: fewer tell nothing
_LEAST_EVIDENCE = math.log(1000.0)  # for one place looked at; more for many
_DEPTH = ((2.0, 2.0), (5.0, 1.0), (math.inf, 0.02))  # shallow end up to (km): blast over earthquake
_LARGE = (3.5, 0.05)  # magnitude above which blasts are rarer than earthquakes by so much
_MOST_SHARE = 0.97  # however many blasts there are, one event may be none
_ROUNDS = 30


@dataclass(frozen=True, slots=True)
class Suspect:
    """An event that may be a blast.

    Attributes
    ----------
    place : int
        In the sequence given.
    probability : float
        That it was one.
    reason : str
        What speaks for it.
    """

    place: int
    probability: float
    reason: str


def suspects(events: Sequence[Event], *, least_probability: float = 0.5) -> list[Suspect]:
    """Find the events that are blasts rather than earthquakes.

    Parameters
    ----------
    events : sequence of Event
        All events of a region, earthquakes too, over months; their order does not matter.
    least_probability : float
        Less likely ones are left out.

    Returns
    -------
    list of Suspect
        In the order of the events.
    """
    if len(events) < _LEAST_DAYS:
        return []
    from scipy.spatial import cKDTree

    odds = np.array([_odds(event) for event in events])
    day = np.array([_local(event).date().toordinal() for event in events])
    by_day = np.array([_is_by_day(event) for event in events])
    points = _points_km(events)
    tree = cKDTree(points)
    around = [tree.query_ball_point(point, _REACH_KM) for point in points]
    n_places = max(len(events) / max(float(np.median([len(near) for near in around])), 1.0), 1.0)
    found = []
    for k, near in enumerate(around):
        days, index = np.unique(day[near], return_inverse=True)
        if days.size < _LEAST_DAYS:
            continue
        share, evidence = _mixture(odds[near], index, days.size)
        if evidence < _LEAST_EVIDENCE + math.log(n_places):
            continue
        probability = share * odds[k] / (1 - share + share * odds[k])
        if probability < least_probability:
            continue
        found.append(
            Suspect(
                k, float(probability),
                f"suspected blast, probability {probability:.2f}: of {len(near)} events on "
                f"{days.size} days within {_REACH_KM:g} km {int(by_day[near].sum())} were by day",
            )
        )  # fmt: skip
    return found


def _mixture(odds: Floats, day: NDArray[np.intp], n_days: int) -> tuple[float, float]:
    """Return the likeliest share of blasts, and the logarithm of how much likelier it is than none.

    Every day has one vote, divided among its events.
    """
    weight = 1.0 / np.bincount(day, minlength=n_days)[day]
    share = 0.5
    for _ in range(_ROUNDS):
        blast = share * odds / (1 - share + share * odds)
        share = min(float((weight * blast).sum() / weight.sum()), _MOST_SHARE)
    return share, float((weight * np.log1p(share * (odds - 1))).sum())


def _odds(event: Event) -> float:
    """Return how much likelier a blast is to have this time, depth and size than an earthquake."""
    local, origin = _local(event), event.preferred_origin
    length = _WORK_HOURS[1] - _WORK_HOURS[0]
    by_day = _is_by_day(event)
    odds = _BY_DAY * 24 / length if by_day else (1 - _BY_DAY) * 24 / (24 - length)
    is_workday = local.weekday() < 5
    odds *= _ON_WORKDAYS * 7 / 5 if is_workday else (1 - _ON_WORKDAYS) * 7 / 2
    shallow = origin.depth_interval_km[0]
    if not math.isfinite(shallow):
        shallow = origin.depth_km
    if math.isfinite(shallow):
        odds *= next(factor for limit, factor in _DEPTH if shallow <= limit)
    magnitude = event.preferred_magnitude
    if magnitude is not None and magnitude.value > _LARGE[0]:
        odds *= _LARGE[1]
    return odds


def _local(event: Event) -> datetime:
    """Return local solar time."""
    origin = event.preferred_origin
    return origin.time + timedelta(hours=origin.longitude / 15)


def _is_by_day(event: Event) -> bool:
    local = _local(event)
    return _WORK_HOURS[0] <= local.hour + local.minute / 60 < _WORK_HOURS[1]


def _points_km(events: Sequence[Event]) -> Floats:
    """Return places on a sphere, so that straight distances are right near and far."""
    latitude = np.radians([event.preferred_origin.latitude for event in events])
    longitude = np.radians([event.preferred_origin.longitude for event in events])
    return EARTH_KM * np.stack(
        [
            np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude),
            np.sin(latitude),
        ],
        axis=1,
    )  # fmt: skip
