"""What the network would detect: simulated earthquakes in archived noise, found or not.

The records are read, earthquakes are added in memory, and what is then picked, associated and
located is compared with what was added. Neither archive nor catalogue is written to.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from geomon.config import Config
from geomon.errors import DataError
from geomon.events import Origin, Pick
from geomon.ids import StreamId
from geomon.locating.detection import DetectionCurve, TooFewTrials, detection_curve
from geomon.locating.network import geodesic
from geomon.locating.solve import Solver
from geomon.picking.infer import context_s, pick_and_judge
from geomon.services.champion import load
from geomon.services.locate import solver_at
from geomon.services.pick import thresholds
from geomon.services.reports import Progress, no_progress
from geomon.services.workspace import workspace
from geomon.stations import Channel
from geomon.synthesis.injection import Arriving, injected
from geomon.times import NS_PER_S, TimeSpan, to_ns

_BLOCK_S = 600
_PER_BLOCK = 7
_MOST_BLOCKS = 6  # times as many as would do if all were quiet
_SPACING_S = 50.0  # between simulated events: the strong part of each is over before the next
_QUIET_S = 20.0  # away from events of the catalogue
_TAIL_S = 30.0  # of a stretch, where no event begins: its picks belong to it
_WITHIN_S, _WITHIN_KM = 2.0, 10.0
_JITTER_KM = 2.0  # around places where events were
_LEAST_PLACES = 10
_USUAL_DEPTH_KM = 8.0  # where the catalogue has none
_STRESS_DROP_PA = 3e6
_DAY_HOURS = (6, 18)


@dataclass(frozen=True, slots=True)
class Trial:
    """One simulated earthquake, and whether it was found."""

    time_ns: int
    latitude: float
    longitude: float
    depth_km: float
    magnitude: float
    is_detected: bool


@dataclass(frozen=True, slots=True)
class Share:
    """Trials of one part of the region or the time, and what they say.

    `magnitude_50` is where half are detected, by this part's own fit; None where trials are too
    few.
    """

    name: str
    n_trials: int
    n_detected: int
    magnitude_50: float | None


@dataclass(frozen=True, slots=True)
class Detection:
    """Detection probability by magnitude, and where and when it differs.

    Attributes
    ----------
    curve : DetectionCurve or TooFewTrials
        Over all trials.
    trials : tuple of Trial
        In order of time.
    regions : tuple of Share
        Quarters of the region.
    times : tuple of Share
        Day and night of local solar time, and each month.
    problems : tuple of str
        Channels that could not take part.
    """

    curve: DetectionCurve | TooFewTrials
    trials: tuple[Trial, ...]
    regions: tuple[Share, ...]
    times: tuple[Share, ...]
    problems: tuple[str, ...]


def measure_detection(
    config: Config,
    span: TimeSpan,
    *,
    n_events: int = 120,
    magnitudes: tuple[float, float] = (-1.0, 3.0),
    seed: int = 0,
    progress: Progress = no_progress,
) -> Detection:
    """Add simulated earthquakes to archived records and count those that are found.

    They lie where the catalogue has events, or all over the region where it has few; magnitudes
    are drawn evenly. Stretches near events of the catalogue are left out. The same archive and
    seed give the same answer.

    Parameters
    ----------
    config : Config
        The network.
    span : TimeSpan
        Archived time to draw stretches from.
    n_events : int
        How many to try.
    magnitudes : (float, float)
        Smallest and largest local magnitude.
    seed : int
        Draws times, places, sizes and paths.
    progress : callable
        Told how many stretches are done.

    Raises
    ------
    DataError
        If nothing of the span is archived.
    PickerMismatch
        If the picker cannot be loaded.
    StationMetadataError
        If no station is known.
    """
    archive = workspace(config).archive
    if not any(
        held for stream in archive.streams() for held in archive.coverage(stream, span).values()
    ):
        msg = f"{span}: nothing is archived there, so nothing could be detected; ingest it first"
        raise DataError(msg)
    work = _Injecting(config, span, seed)
    trials: list[Trial] = []
    for block in work.blocks(-(-n_events * _MOST_BLOCKS // _PER_BLOCK)):
        progress("inject", len(trials), n_events)
        trials += work.trials(block, min(_PER_BLOCK, n_events - len(trials)), magnitudes)
        if len(trials) == n_events:
            break
    progress("inject", n_events, n_events)
    trials.sort(key=lambda trial: trial.time_ns)
    return Detection(
        detection_curve([t.magnitude for t in trials], [t.is_detected for t in trials]),
        tuple(trials), _by_region(trials, work.solver), _by_time(trials), tuple(work.problems),
    )  # fmt: skip


class _Injecting:
    """What every stretch needs, read once."""

    def __init__(self, config: Config, span: TimeSpan, seed: int) -> None:
        self.config, self.span = config, span
        self.space = workspace(config)
        self.inventory = self.space.stations()
        self.solver: Solver = solver_at(config, span.start_ns)
        self.picker = load(config)
        archived = set(self.space.archive.streams())
        wanted = self.inventory.preferred_streams(span, config.network.channels)
        self.streams = [stream for stream in wanted if stream in archived]
        self.rng = np.random.default_rng(seed)
        events = self.space.catalog.events(span.start_ns, span.end_ns)
        self.known = [
            (to_ns(one.time), one.latitude, one.longitude, one.depth_km) for one in events.summaries
        ]
        self.problems: list[str] = []

    def blocks(self, count: int) -> list[TimeSpan]:
        """Draw stretches of the span, each once as long as there are any left."""
        whole = [
            block
            for block in self.span.steps(_BLOCK_S * NS_PER_S)
            if block.duration_s == _BLOCK_S
        ] or [self.span]  # fmt: skip
        order: list[int] = []
        while len(order) < count:
            order += self.rng.permutation(len(whole)).tolist()
        return [whole[k] for k in order[:count]]

    def trials(self, block: TimeSpan, count: int, magnitudes: tuple[float, float]) -> list[Trial]:
        """Add events to one stretch and look which are found."""
        events = [
            (time_ns, *self._place(), float(self.rng.uniform(*magnitudes)))
            for time_ns in self._quiet_times(block, count)
        ]
        if not events:
            return []
        picks: list[Pick] = []
        for stream in self.streams:
            picks += self._picked(stream, block, events)
        groups = [
            group
            for tile in self.solver.grid.tiles(block)
            for group in self.solver.solve_tile(picks, tile).groups
            if tile.contains(group.time_ns)
        ]
        located = [self.solver.locate(group.picks, group) for group in groups]
        origins = [origin for origin in located if isinstance(origin, Origin)]
        return [Trial(*event, _is_among(event, origins)) for event in events]

    def _quiet_times(self, block: TimeSpan, count: int) -> list[int]:
        """Draw origin times, none near an event of the catalogue or another one."""
        times: list[int] = []
        for _ in range(10 * count):
            second = float(self.rng.uniform(0, max(block.duration_s - _TAIL_S, 1.0)))
            time_ns = block.start_ns + round(second * NS_PER_S)
            is_quiet = all(abs(time_ns - at) > _QUIET_S * NS_PER_S for at, *_ in self.known)
            if is_quiet and all(abs(time_ns - at) > _SPACING_S * NS_PER_S for at in times):
                times.append(time_ns)
            if len(times) == count:
                break
        return sorted(times)

    def _place(self) -> tuple[float, float, float]:
        """Draw latitude, longitude and depth."""
        network, rng = self.solver.network, self.rng
        if len(self.known) >= _LEAST_PLACES:
            _, latitude, longitude, depth = self.known[int(rng.integers(len(self.known)))]
            x, y = network.frame.to_km(latitude, longitude)
            east, north = rng.normal((float(x), float(y)), _JITTER_KM)
            known_km = _USUAL_DEPTH_KM if depth is None else depth
            depth_km = known_km + float(rng.normal(0, 1.0))
        else:
            (west, right), (south, top) = network.box.x_km, network.box.y_km
            east, north = rng.uniform(west, right), rng.uniform(south, top)
            depth_km = float(rng.uniform(2.0, 12.0))
        latitudes, longitudes = network.frame.to_degrees(east, north)
        shallow, deep = network.box.depth_km
        depth_km = float(np.clip(depth_km, max(shallow, 0.5), deep - 0.5))
        return float(latitudes), float(longitudes), depth_km

    def _picked(
        self, stream: StreamId, block: TimeSpan,
        events: Sequence[tuple[int, float, float, float, float]],
    ) -> list[Pick]:  # fmt: skip
        """Pick a sensor's record of a stretch with the events added."""
        wide = block.padded(context_s(self.picker))
        segments = self.space.archive.read_stream(stream, wide).segments
        if not segments:
            return []
        channels: list[Channel] = []
        for seed_id in sorted({segment.seed_id for segment in segments}):
            channel = self.inventory.channel(seed_id, block.start_ns)
            if channel is None or channel.response is None:
                problem = f"{seed_id}: no response, so nothing was added to its record"
                self.problems += [problem] * (problem not in self.problems)
            else:
                channels.append(channel)
        arriving = [one for event in events if (one := self._arriving(stream, event)) is not None]
        made = injected(self.rng, segments, channels, arriving)
        judged = pick_and_judge(self.picker, made, block, thresholds=thresholds(self.config))
        return [pick for pick, reason in judged if reason is None]

    def _arriving(
        self, stream: StreamId, event: tuple[int, float, float, float, float]
    ) -> Arriving | None:
        place = self.solver.network.index.get(stream.station_id)
        if place is None:
            return None
        time_ns, latitude, longitude, depth_km, magnitude = event
        station = self.solver.network.stations[place]
        distance, azimuth = geodesic(latitude, longitude, [station.latitude], [station.longitude])
        arrivals = self.solver.locator.arrival_times(latitude, longitude, depth_km)
        p_s, s_s = arrivals[:, place].tolist()
        if not (math.isfinite(p_s) and math.isfinite(s_s)):
            return None
        return Arriving(
            magnitude, _STRESS_DROP_PA,
            math.hypot(float(distance[0]), depth_km + station.elevation_m / 1000),
            float(azimuth[0]), time_ns + round(p_s * NS_PER_S), time_ns + round(s_s * NS_PER_S),
        )  # fmt: skip


def _is_among(event: tuple[int, float, float, float, float], origins: Sequence[Origin]) -> bool:
    """Tell whether an origin is where and when the event was."""
    time_ns, latitude, longitude, *_ = event
    for origin in origins:
        if abs(to_ns(origin.time) - time_ns) <= _WITHIN_S * NS_PER_S:
            away, _ = geodesic(latitude, longitude, [origin.latitude], [origin.longitude])
            if float(away[0]) <= max(_WITHIN_KM, 2 * origin.ellipse_km[0]):
                return True
    return False


def _by_region(trials: Sequence[Trial], solver: Solver) -> tuple[Share, ...]:
    middle_lat, middle_lon = solver.network.frame.latitude, solver.network.frame.longitude
    names = {
        (north, east): f"{'north' if north else 'south'}-{'east' if east else 'west'}"
        for north in (True, False) for east in (True, False)
    }  # fmt: skip
    parts: dict[str, list[Trial]] = {name: [] for name in names.values()}
    for trial in trials:
        east = (trial.longitude - middle_lon + 180) % 360 - 180 >= 0
        parts[names[trial.latitude >= middle_lat, east]].append(trial)
    return tuple(_share(name, part) for name, part in parts.items() if part)


def _by_time(trials: Sequence[Trial]) -> tuple[Share, ...]:
    parts: dict[str, list[Trial]] = {"day": [], "night": []}
    for trial in trials:
        time = TimeSpan(trial.time_ns, trial.time_ns + 1).start
        local = time + timedelta(hours=trial.longitude / 15)
        is_day = _DAY_HOURS[0] <= local.hour < _DAY_HOURS[1]
        parts["day" if is_day else "night"].append(trial)
        parts.setdefault(f"{time:%Y-%m}", []).append(trial)
    return tuple(_share(name, part) for name, part in parts.items() if part)


def _share(name: str, trials: Sequence[Trial]) -> Share:
    curve = detection_curve([t.magnitude for t in trials], [t.is_detected for t in trials])
    half = math.nan if isinstance(curve, TooFewTrials) else curve.magnitude_at(0.5)[0]
    n_detected = sum(trial.is_detected for trial in trials)
    return Share(name, len(trials), n_detected, half if math.isfinite(half) else None)
