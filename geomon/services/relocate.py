"""Relocate the events of a span relative to each other, from their picks and waveforms."""

import hashlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from geomon.config import Config
from geomon.errors import CorruptObject
from geomon.events import RELATIVE, Arrival, Event, Origin, Pick
from geomon.ids import SeedId
from geomon.locating.correlate import correlate
from geomon.locating.fit import Fit
from geomon.locating.locate import Locator
from geomon.locating.network import geodesic
from geomon.locating.relocate import (
    Arrivals,
    Differences,
    Relocated,
    Times,
    neighbours,
    picked_differences,
    relocate,
)
from geomon.processing.condition import highpass, lowpass
from geomon.services.locate import locate_version, solver_of
from geomon.services.pick import picker_label
from geomon.services.reports import Progress, Report, distinct, no_progress
from geomon.services.workspace import Workspace, workspace
from geomon.stores.relocating import OriginsChange, add_origins
from geomon.times import NS_PER_S, TimeSpan, from_ns, to_ns

type Floats = NDArray[np.float64]

METHOD = f"geomon double-difference 1{RELATIVE}"
_BAND_HZ = (1.0, 15.0)
_BEFORE_S, _AFTER_S = 0.25, {"P": 0.9, "S": 1.4}  # of a window, around its pick
_SETTLE_S = 4.0  # of filters, before a window
_MAX_LAG_S = 0.3  # two picks are hardly ever further off
_LEAST_CORRELATION = 0.7
_ELLIPSE = 1.51  # standard deviations to the edge of what holds 68 % of two dimensions


@dataclass(frozen=True, slots=True, kw_only=True)
class RelocateReport(Report):
    """How many events moved, on what, and how much better the differences fit."""

    n_events: int = 0
    n_relocated: int = 0
    n_clusters: int = 0
    n_pairs: int = 0
    n_picked: int = 0
    n_correlated: int = 0
    rms_before_s: float = 0.0
    rms_after_s: float = 0.0
    median_moved_km: float = 0.0
    median_uncertainty_km: float = 0.0
    n_added: int = 0
    n_preferred: int = 0
    n_unchanged: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Linking:
    """Which events are compared.

    Attributes
    ----------
    max_km : float
        Events farther apart are no neighbours.
    max_neighbours : int
        Most neighbours of an event.
    min_links : int
        Fewest phases two neighbours share.
    with_waveforms : bool
        Whether waveforms are correlated besides.
    """

    max_km: float = 10.0
    max_neighbours: int = 10
    min_links: int = 8
    with_waveforms: bool = True


@dataclass(slots=True, eq=False)
class _Windows:
    """Filtered windows of one phase on one channel at one rate: whose, from when, samples."""

    events: list[int] = field(default_factory=list)
    starts_ns: list[int] = field(default_factory=list)
    samples: list[Floats] = field(default_factory=list)


def relocate_events(
    config: Config,
    span: TimeSpan,
    *,
    linking: Linking | None = None,
    preferred: bool = False,
    progress: Progress = no_progress,
) -> RelocateReport:
    """Relocate the events of a span by double differences, and keep what comes of it.

    Every event that could be moved gets another origin; automatic events prefer it on request.
    It starts from single-event locations of the same picks, whatever was preferred before, so
    running twice changes nothing.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Origin times of the events.
    linking : Linking, optional
        Which events are compared.
    preferred : bool
        Whether automatic events prefer the new origin from now on.
    progress : callable
        Told how far it is.

    Raises
    ------
    StationMetadataError
        If nothing was ever ingested.
    """
    started = time.monotonic()
    limits = linking or Linking()
    space = workspace(config)
    stations = space.stations()
    there = tuple(sorted(stations.at(span.start_ns).values()))
    if not there:
        said = f"{config.network.name}: no station is known at {span.start}: nothing to relocate"
        return RelocateReport(problems=(said,), took_s=time.monotonic() - started)
    locator = solver_of(config, there, span.start_ns).locator
    events, fits = _located(locator, space, span)
    if len(events) < 2:
        return RelocateReport(
            n_events=len(events),
            problems=(f"{span}: fewer than two events that can be located: nothing to compare",),
            took_s=time.monotonic() - started,
        )
    start = _Start.of(fits)
    compared = _compared(space, locator, fits, start, limits, progress)
    found = _moved(locator, events, start, compared.differences)
    origins = [
        (event.event_id, _origin(locator, event, fit, found, k, start.base_ns))
        for k, (event, fit) in enumerate(zip(events, fits, strict=True))
        if found.cluster[k] >= 0
    ]
    run = space.catalog.begin_run(
        "relocate",
        config_hash=locate_version(config, stations.version),
        picker=picker_label(config),
    )
    change = add_origins(
        space.catalog.database, origins, run, preferred=preferred, why="relocated with neighbours"
    )
    report = _told(start, compared, found, change)
    return replace(report, took_s=time.monotonic() - started)


@dataclass(frozen=True, slots=True, eq=False)
class _Start:
    """Where single-event location has the events (km), and when (s after `base_ns`)."""

    base_ns: int
    points_km: Floats
    times_s: Floats

    @classmethod
    def of(cls, fits: Sequence[Fit]) -> "_Start":
        base_ns = min(fit.time_ns for fit in fits)
        times = np.array([(fit.time_ns - base_ns) / NS_PER_S for fit in fits])
        return cls(base_ns, np.array([fit.point for fit in fits]), times)


@dataclass(frozen=True, slots=True, eq=False)
class _Compared:
    """Neighbouring events and the differences between them; the first `n_picked` are of picks."""

    pairs: NDArray[np.int64]
    differences: Differences
    n_picked: int
    problems: list[str]


def _compared(
    space: Workspace, locator: Locator, fits: Sequence[Fit], start: _Start, limits: Linking,
    progress: Progress,
) -> _Compared:  # fmt: skip
    """Compare neighbouring events by their picks and, on request, their waveforms."""
    arrivals = _arrivals(fits, start.base_ns)
    pairs = neighbours(
        start.points_km, arrivals, max_km=limits.max_km,
        max_neighbours=limits.max_neighbours, min_links=limits.min_links,
    )  # fmt: skip
    picked = picked_differences(arrivals, pairs)
    if not limits.with_waveforms:
        return _Compared(pairs, picked, picked.one.size, [])
    read = _Reader(space, locator, progress)
    differences = picked.joined(read.correlated(fits, pairs))
    return _Compared(pairs, differences, picked.one.size, read.problems)


def _moved(
    locator: Locator, events: Sequence[Event], start: _Start, differences: Differences
) -> Relocated:
    """Move all events at once; the same events draw the same bootstrap."""
    box = locator.network.search_box
    low, high = np.array([box.x_km, box.y_km, box.depth_km]).T
    seed = hashlib.sha256("".join(sorted(event.event_id for event in events)).encode()).digest()
    return relocate(
        start.points_km, start.times_s, differences, _travel_times(locator),
        limits_km=(low, high), seed=int.from_bytes(seed[:8], "big"),
    )  # fmt: skip


def _told(
    start: _Start, compared: _Compared, found: Relocated, change: OriginsChange
) -> RelocateReport:
    """Return the report of a relocation, but for the time it took."""
    moved = found.cluster >= 0
    apart = np.linalg.norm(found.points_km - start.points_km, axis=1)[moved]
    return RelocateReport(
        n_events=moved.size,
        n_relocated=int(moved.sum()),
        n_clusters=int(found.cluster.max()) + 1,
        n_pairs=len(compared.pairs),
        n_picked=compared.n_picked,
        n_correlated=compared.differences.one.size - compared.n_picked,
        rms_before_s=found.rms_before_s,
        rms_after_s=found.rms_after_s,
        median_moved_km=float(np.median(apart)) if moved.any() else 0.0,
        median_uncertainty_km=float(np.median(found.sigma_km[moved])) if moved.any() else 0.0,
        n_added=len(change.added),
        n_preferred=len(change.preferred),
        n_unchanged=len(change.unchanged),
        problems=distinct(compared.problems),
    )


def _located(locator: Locator, space: Workspace, span: TimeSpan) -> tuple[list[Event], list[Fit]]:
    events, fits = [], []
    for event in space.catalog.events(span.start_ns, span.end_ns):
        fit = locator.fit(event.picks)
        if isinstance(fit, Fit):
            events.append(event)
            fits.append(fit)
    return events, fits


def _arrivals(fits: Sequence[Fit], base_ns: int) -> Arrivals:
    """Put the picks of all events into one table, times from one base."""
    data = [fit.data for fit in fits]
    return Arrivals(
        event=np.repeat(np.arange(len(fits)), [len(one.picks) for one in data]),
        station=np.concatenate([one.station for one in data]),
        phase=np.concatenate([one.is_s for one in data]).astype(np.int64),
        time_s=np.concatenate([one.time_s + (one.base_ns - base_ns) / NS_PER_S for one in data]),
        sigma_s=np.concatenate([one.sigma_s for one in data]),
    )


def _travel_times(locator: Locator) -> Times:
    """Return what gives times of P and S to every station."""
    n = len(locator.network.stations)
    receivers = locator.receivers(np.repeat([False, True], n), np.tile(np.arange(n), 2))

    def times(points: Floats) -> Floats:
        return receivers.times_from(points).reshape(-1, 2, n)

    return times


class _Reader:
    """Reads windows of events and correlates them, channel by channel."""

    def __init__(self, space: Workspace, locator: Locator, progress: Progress) -> None:
        self.problems: list[str] = []
        self._archive = space.archive
        self._index = locator.network.index
        self._progress = progress

    def correlated(self, fits: Sequence[Fit], pairs: NDArray[np.int64]) -> Differences:
        """Correlate the waveforms of pairs of events wherever both were picked and recorded."""
        groups: dict[tuple[SeedId, str, float], _Windows] = {}
        paired = set(pairs.ravel().tolist())
        for k, fit in enumerate(fits):
            self._progress("read", k + 1, len(fits))
            if k in paired:
                for pick in fit.data.picks:
                    self._add(groups, k, pick)
        parts = [
            part
            for key, windows in sorted(groups.items(), key=lambda item: repr(item[0]))
            for part in self._of_channel(*key, windows, pairs)
        ]
        none = np.empty(0, dtype=np.int64)
        answer = Differences(
            none, none, none, none, np.empty(0), np.empty(0), np.empty(0, dtype=bool)
        )
        for part in parts:
            answer = answer.joined(part)
        return answer

    def _add(
        self, groups: dict[tuple[SeedId, str, float], _Windows], event: int, pick: Pick
    ) -> None:
        """Read and filter the window around a pick; nothing where the record is not whole."""
        first = to_ns(pick.time) - round(_BEFORE_S * NS_PER_S)
        last = to_ns(pick.time) + round(_AFTER_S[pick.phase] * NS_PER_S)
        start_ns, end_ns = first - round(_SETTLE_S * NS_PER_S), last + NS_PER_S
        try:
            held = self._archive.read(pick.seed_id, start_ns, end_ns)
        except CorruptObject as error:
            self.problems.append(str(error))
            return
        for segment in held.segments:
            rate = segment.sampling_rate_hz
            n = round((_BEFORE_S + _AFTER_S[pick.phase]) * rate)
            at = math.ceil((first - segment.start_ns) * rate / NS_PER_S)
            if at < _SETTLE_S * rate / 2 or at + n > segment.samples.size or rate < 4 * _BAND_HZ[0]:
                continue
            samples = highpass(segment.samples.astype(np.float64), _BAND_HZ[0], rate)
            if rate > 2.5 * _BAND_HZ[1]:
                samples = lowpass(samples, _BAND_HZ[1], rate)
            windows = groups.setdefault((pick.seed_id, pick.phase, rate), _Windows())
            windows.events.append(event)
            windows.starts_ns.append(segment.time_ns(at))
            windows.samples.append(samples[at : at + n])
            return

    def _of_channel(
        self, seed_id: SeedId, phase: str, rate: float, windows: _Windows, pairs: NDArray[np.int64]
    ) -> Iterator[Differences]:
        place = {event: k for k, event in enumerate(windows.events)}
        both = [(i, j) for i, j in pairs.tolist() if i in place and j in place]
        if not both:
            return
        one, two = np.array(both).T
        members = np.array([(place[i], place[j]) for i, j in both])
        lags = correlate(np.array(windows.samples), members, rate, _MAX_LAG_S)
        start_s = (np.array(windows.starts_ns) - windows.starts_ns[0]) / NS_PER_S
        good = lags.coefficient >= _LEAST_CORRELATION
        n = len(both)
        yield Differences(
            one, two,
            np.full(n, self._index[seed_id.station_id]), np.full(n, int(phase == "S")),
            start_s[members[:, 0]] - start_s[members[:, 1]] + lags.lag_s, lags.sigma_s,
            np.ones(n, dtype=bool),
        ).taken(good)  # fmt: skip


def _origin(
    locator: Locator, event: Event, fit: Fit, found: Relocated, k: int, base_ns: int
) -> Origin:
    """Return the event's origin where it was moved to; uncertainties are relative."""
    point, data, network = found.points_km[k], fit.data, locator.network
    time_ns = base_ns + round(float(found.times_s[k]) * NS_PER_S)
    latitude, longitude = (float(v) for v in network.frame.to_degrees(point[0], point[1]))
    stations = [network.stations[n] for n in data.station]
    distance, azimuth = geodesic(
        latitude, longitude, [s.latitude for s in stations], [s.longitude for s in stations]
    )
    travelled = data.travel_times(point[None])[0]
    residual = data.time_s + (data.base_ns - time_ns) / NS_PER_S - travelled
    before = event.preferred_origin
    weight = {arrival.pick: arrival.weight for arrival in before.arrivals}
    others = [arrival for arrival in before.arrivals if arrival.pick not in set(data.picks)]
    counts = np.array([weight[pick] for pick in data.picks])
    east, north, down = (float(v) for v in found.sigma_km[k])
    return replace(
        before,
        time=from_ns(time_ns),
        latitude=latitude,
        longitude=longitude,
        depth_km=float(point[2]),
        time_uncertainty_s=float(found.sigma_s[k]),
        covariance_km2=(east**2, 0.0, 0.0, north**2, 0.0, down**2),
        ellipse_km=(_ELLIPSE * max(east, north), _ELLIPSE * min(east, north)),
        ellipse_azimuth_deg=90.0 if east > north else 0.0,
        depth_interval_km=(float(point[2]) - down, float(point[2]) + down),
        rms_s=float(np.sqrt((counts * residual**2).sum() / max(counts.sum(), 1e-9))),
        nearest_station_km=float(distance.min()),
        method=METHOD,
        arrivals=tuple(
            Arrival(pick, float(d), float(a), float(r), weight[pick])
            for pick, d, a, r in zip(data.picks, distance, azimuth, residual, strict=True)
        )
        + tuple(others),
    )
