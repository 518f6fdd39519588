"""Estimate station corrections from the catalogue."""

import time
from dataclasses import dataclass
from pathlib import Path

from geomon.config import Config
from geomon.errors import DataError
from geomon.locating.corrections import MIN_PICKS, TooFew, estimate
from geomon.services.locate import solver_of
from geomon.services.reports import Report
from geomon.services.workspace import workspace
from geomon.times import NS_PER_S, TimeSpan
from geomon.velocity.corrections import (
    CorrectionHistory,
    CorrectionSet,
    read_corrections,
    write_corrections,
)

_LEAST_PHASES = 6  # of an event, to say something about stations besides its own place
_MOST_EVENTS = 1000  # those with the most phases


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrectionsReport(Report):
    """A set of station corrections, and how much better events fit with it."""

    n_events: int
    n_delays: int
    n_rounds: int
    has_settled: bool
    rms_before_s: float
    rms_after_s: float
    corrections: CorrectionSet


def estimate_corrections(
    config: Config,
    span: TimeSpan,
    *,
    min_picks: int = MIN_PICKS,
    valid_from_ns: int | None = None,
) -> CorrectionsReport:
    """Find station corrections from the picks of the events of a span.

    Parameters
    ----------
    config : Config
        The network; station corrections it names are not used.
    span : TimeSpan
        Origin times of the events.
    min_picks : int
        Fewest picks of one phase at one station that make a correction.
    valid_from_ns : int, optional
        Instant from which on they hold; the start of the span by default.

    Raises
    ------
    DataError
        If the events are too few.
    StationMetadataError
        If nothing was ever ingested.
    """
    started = time.monotonic()
    space = workspace(config)
    stations = tuple(sorted(space.stations().at(span.start_ns).values()))
    events = [
        event
        for event in space.catalog.events(span.start_ns, span.end_ns)
        if event.preferred_origin.n_phases >= _LEAST_PHASES
    ]
    events.sort(key=lambda event: (-event.preferred_origin.n_phases, event.event_id))
    if not stations or not events:
        msg = (
            f"{span}: no event with {_LEAST_PHASES} phases in the catalogue, so no station "
            "corrections; take a longer span"
        )
        raise DataError(msg)
    locator = solver_of(config, stations, span.start_ns).locator
    picks = [event.picks for event in events[:_MOST_EVENTS]]
    found = estimate(locator, picks, min_picks=min_picks)
    if isinstance(found, TooFew):
        msg = f"{span}: no station corrections: {found.reason}; take a longer span"
        raise DataError(msg)
    model = (locator.station_times or locator.travel_times).model
    made = CorrectionSet(
        valid_from_ns=span.start_ns if valid_from_ns is None else valid_from_ns,
        delays=found.delays,
        model=f"{model.name} {model.version}",
        n_events=found.n_events,
        made_ns=int(time.time()) * NS_PER_S,
    )
    return CorrectionsReport(
        n_events=found.n_events,
        n_delays=len(found.delays),
        n_rounds=found.n_rounds,
        has_settled=found.has_settled,
        rms_before_s=found.rms_before_s,
        rms_after_s=found.rms_after_s,
        corrections=made,
        problems=()
        if found.has_settled
        else (f"the delays still change after {found.n_rounds} rounds: too few events tell them",),
        took_s=time.monotonic() - started,
    )


def keep_corrections(path: Path, new: CorrectionSet) -> CorrectionHistory:
    """Add a set to the history a file keeps, making the file where there is none.

    Adding the same set twice changes nothing.

    Raises
    ------
    DataError
        If the file is there and is no table of station corrections.
    """
    held = read_corrections(path) if path.exists() else CorrectionHistory()
    history = held.with_set(new)
    if history is not held:
        write_corrections(path, history)
    return history
