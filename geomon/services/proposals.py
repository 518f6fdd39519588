"""Solve events from the picks an analyst chooses, without changing anything yet."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np

from geomon.config import Config
from geomon.errors import DataError
from geomon.events import Event, Origin, Phase, Pick, Polarity
from geomon.ids import SeedId, StationId, StreamId
from geomon.locating.fit import Rejected
from geomon.locating.locate import Locator
from geomon.locating.solve import Solver
from geomon.services.locate import solver_of
from geomon.services.magnitude import measure
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan, to_ns

MANUAL_UNCERTAINTY_S: dict[Phase, float] = {"P": 0.05, "S": 0.1}
"""Of a manual pick, unless the analyst says otherwise."""

_HALF_MICROSECOND_NS = 500
_DEPTH_SLACK_KM = 0.01
_NEAR_NS = 120 * NS_PER_S  # around wanted picks: where they may be known from


@dataclass(frozen=True, slots=True)
class WantedPick:
    """A pick the analyst wants an event to rest on.

    One that is known at this stream, phase and time stays what it is, automatic or manual; any
    other becomes a manual pick of the analyst.
    """

    seed_id: SeedId
    phase: Phase
    time: datetime
    uncertainty_s: float | None = None
    polarity: Polarity = "undecidable"


@dataclass(frozen=True, slots=True)
class Proposal:
    """A solution that was not saved yet: the whole event, or why there is none."""

    event: Event | None
    reason: str = ""


def propose(
    config: Config,
    picks: Sequence[WantedPick],
    *,
    actor: str,
    event: Event | None = None,
    depth_km: float | None = None,
    with_magnitude: bool = True,
) -> Proposal:
    """Solve an event from an analyst's picks; nothing is changed.

    Parameters
    ----------
    config : Config
        The network.
    picks : sequence of WantedPick
        All picks the event is to rest on; none is left out, however badly it fits.
    actor : str
        Who signs the picks that are new.
    event : Event, optional
        What is held so far: id, type, probability and magnitude are taken from it.
    depth_km : float, optional
        Fixed depth, kilometres below sea level; found like the epicentre when not given.
    with_magnitude : bool
        Measure magnitude and mechanism as well; reads waveforms.

    Raises
    ------
    DataError
        If a pick is given twice, or the depth is not within what the network looks at.
    StationMetadataError
        If nothing was ever ingested.
    """
    check_actor(actor)
    if not picks:
        return Proposal(None, "no picks")
    space = workspace(config)
    times = [to_ns(pick.time) for pick in picks]
    span = TimeSpan(min(times) - _NEAR_NS, max(times) + _NEAR_NS)
    known = list(space.catalog.picks(span))
    resolved = _resolved(picks, [*(event.picks if event else ()), *known], actor)
    stations = space.stations().at(min(times))
    if not stations:
        return Proposal(None, "no station is known at that time")
    solver = solver_of(config, tuple(sorted(stations.values())), min(times))
    origin = _solved(solver, resolved, depth_km)
    if isinstance(origin, Rejected):
        return Proposal(None, origin.reason)
    made = replace(
        event or Event(origin),
        preferred_origin=origin, review_state="reviewed", valid_from=None, run="", reasons=(),
    )  # fmt: skip
    if with_magnitude:
        measured = measure(config, solver, origin, space.archive.streams(), known)
        if measured.magnitude is not None:
            made = replace(
                made, preferred_magnitude=measured.magnitude, other_magnitudes=measured.others
            )
        made = replace(made, mechanism=measured.mechanism)
    return Proposal(made)


def predicted(config: Config, origin: Origin) -> dict[tuple[StationId, Phase], datetime]:
    """Return when P and S of an origin should reach every station of the network then.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    stations = workspace(config).stations().at(to_ns(origin.time))
    if not stations:
        return {}
    at_ns = to_ns(origin.time)
    locator = solver_of(config, tuple(sorted(stations.values())), at_ns).locator
    network = locator.network
    x, y = network.frame.to_km(origin.latitude, origin.longitude)
    depth_km = origin.depth_km if np.isfinite(origin.depth_km) else network.box.depth_km[0]
    point = np.array([[float(x), float(y), depth_km]])
    everyone = np.arange(len(network.stations))
    found: dict[tuple[StationId, Phase], datetime] = {}
    phases: tuple[Phase, Phase] = ("P", "S")
    for phase in phases:
        receivers = locator.receivers(np.full(everyone.size, phase == "S"), everyone)
        times_s = receivers.times_from(point)[0] + network.delay_s[int(phase == "S")]
        for station, travel_s in zip(network.stations, times_s.tolist(), strict=True):
            if np.isfinite(travel_s):
                found[station.station_id, phase] = origin.time + timedelta(seconds=travel_s)
    return found


def as_wanted(picks: Iterable[Pick]) -> list[WantedPick]:
    """Ask for picks as they are."""
    return [
        WantedPick(pick.seed_id, pick.phase, pick.time, pick.uncertainty_s, pick.polarity)
        for pick in picks
    ]


def joint_picks(events: Sequence[Event]) -> list[WantedPick]:
    """Return the picks of several events, one a station and phase, the first event's first."""
    chosen: dict[tuple[StationId, Phase], Pick] = {}
    for event in events:
        for pick in event.picks:
            chosen.setdefault((pick.seed_id.station_id, pick.phase), pick)
    return as_wanted(chosen.values())


def check_actor(actor: str) -> None:
    """Refuse what cannot be signed.

    Raises
    ------
    DataError
        If the name is empty or too long.
    """
    if not actor.strip() or len(actor) > 100:
        msg = "a review needs the name of who does it, at most 100 characters"
        raise DataError(msg)


def _resolved(wanted: Sequence[WantedPick], known: Sequence[Pick], actor: str) -> list[Pick]:
    """Return the known picks among those wanted, and make the others.

    Raises
    ------
    DataError
        If a station and phase is picked twice.
    """
    by_stream: dict[tuple[StreamId, Phase], list[Pick]] = {}
    for pick in known:
        by_stream.setdefault((pick.seed_id.stream_id, pick.phase), []).append(pick)
    found: dict[tuple[StationId, Phase], Pick] = {}
    for one in wanted:
        time_ns = to_ns(one.time)
        same = [
            pick
            for pick in by_stream.get((one.seed_id.stream_id, one.phase), ())
            if abs(to_ns(pick.time) - time_ns) <= _HALF_MICROSECOND_NS
        ]
        key = (one.seed_id.station_id, one.phase)
        if key in found:
            msg = f"{one.seed_id}: an event has one {one.phase} pick a station; two are given"
            raise DataError(msg)
        found[key] = same[0] if same else manual_pick(one, actor)
    return list(found.values())


def manual_pick(wanted: WantedPick, actor: str) -> Pick:
    """Return a pick as the manual one of an analyst."""
    uncertainty_s = wanted.uncertainty_s
    return Pick(
        time=wanted.time,
        seed_id=wanted.seed_id,
        phase=wanted.phase,
        probability=1.0,
        uncertainty_s=MANUAL_UNCERTAINTY_S[wanted.phase] if uncertainty_s is None
        else uncertainty_s,
        polarity=wanted.polarity,
        picker=actor,
        evaluation_mode="manual",
    )  # fmt: skip


def _solved(solver: Solver, picks: Sequence[Pick], depth_km: float | None) -> Origin | Rejected:
    """Locate all of the picks, at a fixed depth if one is given.

    Raises
    ------
    DataError
        If the depth is not within what the network looks at.
    """
    locator = solver.locator
    if depth_km is None:
        return locator.locate(picks)
    shallow, deep = solver.network.box.depth_km
    if not shallow <= depth_km <= deep:
        msg = f"depth {depth_km:g} km: this network looks from {shallow:g} to {deep:g} km"
        raise DataError(msg)
    low = min(max(depth_km, shallow + _DEPTH_SLACK_KM), deep - _DEPTH_SLACK_KM)
    thin = replace(solver.network.box, depth_km=(low - _DEPTH_SLACK_KM, low + _DEPTH_SLACK_KM))
    network = replace(solver.network, box=thin)
    found = Locator(network, locator.travel_times, locator.station_times).locate(picks)
    if isinstance(found, Rejected):
        return found
    return replace(
        found, depth_km=depth_km, depth_interval_km=(depth_km, depth_km),
        method=f"{found.method}, depth fixed",
    )  # fmt: skip
