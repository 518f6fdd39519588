"""From the picks of tiles to located events: association, reconciliation, location, missed picks.

::

    picks ─▶ solve_tile ─▶ RawTile ┐
    picks ─▶ solve_tile ─▶ RawTile ├▶ settle ─▶ origins with arrivals
    picks ─▶ solve_tile ─▶ RawTile ┘
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from geomon.config import Association, Region
from geomon.events import Origin, Phase, Pick
from geomon.ids import StationId
from geomon.locating.associate import (
    Associator,
    PickGroup,
    meets_minimum,
)
from geomon.locating.duplicates import joined, parted
from geomon.locating.fit import Rejected
from geomon.locating.locate import Locator
from geomon.locating.machinery import machines
from geomon.locating.network import Network
from geomon.locating.reality import LEAST_PROBABILITY, probability
from geomon.locating.stack import Nodes, Stack
from geomon.locating.station_times import StationTimes
from geomon.locating.tiles import RawTile, Settled, TileGrid, kept_groups, reconcile
from geomon.locating.travel_times import TravelTimes
from geomon.locating.verify import Verified, Verifier
from geomon.stations import Station
from geomon.times import TimeSpan, from_ns, to_ns
from geomon.velocity import LayeredModel
from geomon.velocity.corrections import StationDelay
from geomon.velocity.grid import VelocityGrid

_GROSS_WEIGHT = 0.1  # an arrival that counts less does not belong to the event
_LEAST_SURPRISE = 6.0  # of a pile of picks, to be worth a look
_MOST_FAILURES = 50  # piles in a row that are no event: then the rest is left to the associator
_CROWDED = 0.8  # picks of a station and phase within that; half of it still works
_SEARCHED = 0.4  # so many at most for the thorough search
_MISSED_SIGMAS = 2.5  # how close to its predicted time a missed pick must be


def _on_one_thread[F: Callable[..., object]](work: F) -> F:
    """Keep BLAS to one thread: matrices are small here, and more wait for each other."""
    return cast("F", threadpool_limits.wrap(limits=1, user_api="blas")(work))


@dataclass(frozen=True, slots=True)
class Solved:
    """The events of one tile.

    Attributes
    ----------
    origins : tuple of Origin
        In order of time; no pick belongs to two of them.
    probabilities : tuple of float
        How likely each was real.
    rejected : tuple of (PickGroup, Rejected)
        Groups that could not be located, each with its reason.
    """

    origins: tuple[Origin, ...]
    probabilities: tuple[float, ...]
    rejected: tuple[tuple[PickGroup, Rejected], ...]


class Solver:
    """Everything that turns picks into origins for one network, model and settings.

    All methods are pure: the same arguments give the same answer. Travel-time tables and grids are
    made once; keep one solver for many tiles.
    """

    def __init__(
        self,
        network: Network,
        travel_times: TravelTimes,
        settings: Association,
        station_times: StationTimes | None = None,
        *,
        least_probability: float = LEAST_PROBABILITY,
    ) -> None:
        self.network = network
        self.travel_times = travel_times
        self.settings = settings
        self.grid = TileGrid.of(network, travel_times, settings)
        self.locator = Locator(network, travel_times, station_times)
        self._least_probability = least_probability
        self._nodes = Nodes.of(network, travel_times, settings.max_distance_km)
        self._associator = Associator(network, travel_times, settings)

    @classmethod
    def of(
        cls,
        stations: Mapping[StationId, Station],
        model: LayeredModel,
        *,
        grid: VelocityGrid | None = None,
        region: Region | None = None,
        settings: Association | None = None,
        corrections: Iterable[StationDelay] = (),
        cache: Path | None = None,
    ) -> "Solver":
        """Set up from stations and a model.

        Parameters
        ----------
        stations : mapping of StationId to Station
            The stations of the period.
        model : LayeredModel
            The velocity model.
        grid : VelocityGrid, optional
            A three-dimensional model to locate in; picks are grouped in `model`, its mean.
        region : Region, optional
            Where events are looked for; by default the stations' box grown by half its size.
        settings : Association, optional
            How picks are grouped.
        corrections : iterable of StationDelay
            Station corrections.
        cache : path, optional
            Folder that keeps travel times.
        """
        network = Network.of(stations, region, corrections)
        travel_times = network.travel_times(model, cache)
        station_times = None if grid is None else StationTimes.build(grid, network, cache=cache)
        return cls(network, travel_times, settings or Association(), station_times)

    @_on_one_thread
    def solve_tile(self, picks: Iterable[Pick], tile: TimeSpan) -> RawTile:
        """Associate one tile.

        Parameters
        ----------
        picks : iterable of Pick
            At least those in `grid.input_span(tile)`; others are ignored.
        tile : TimeSpan
            One tile of `grid`.
        """
        span = self.grid.input_span(tile)
        inside = sorted({pick for pick in picks if span.contains(to_ns(pick.time))})
        repeating = machines(inside)
        by_machines = {pick for machine in repeating for pick in machine.picks}
        inside = [pick for pick in inside if pick not in by_machines]
        crowding = self._crowding(inside, span)
        is_saturated = crowding > _CROWDED
        verifier = Verifier(self.locator, inside, self.settings.max_distance_km)
        groups, reason = self._verified_groups(verifier, span, search=crowding <= _SEARCHED)
        if is_saturated:
            reason = (
                f"saturated: {len(inside)} picks in {span.duration_s:.0f} s, {crowding:.1f} for "
                "each time that can be told apart at a station; events may be hidden or mixed up"
            )
        passing = [wave for wave in verifier.waves if tile.contains(to_ns(wave.picks[0].time))]
        notes = tuple(str(one) for one in (*repeating, *passing))
        return RawTile(tile, kept_groups(groups, tile, self.grid), reason, is_saturated, notes)

    def _crowding(self, picks: Sequence[Pick], span: TimeSpan) -> float:
        """Return how many picks one station and phase has within what a node can tell apart."""
        slots = {(pick.seed_id.station_id, pick.phase) for pick in picks}
        return len(picks) / max(len(slots), 1) / span.duration_s * self._nodes.window_s

    def _verified_groups(
        self, verifier: Verifier, span: TimeSpan, *, search: bool
    ) -> tuple[list[PickGroup], str]:
        """Take out what piles up, search among the picks left, keep what is more than chance.

        The search takes exponentially longer the denser the picks are.
        """
        groups = self._stacked(verifier, span)
        if not search:
            return groups, ""
        found = self._associator.associate(verifier.free_picks(), span)
        n_weak = 0
        for candidate in sorted(found.groups, key=lambda group: group.rank):
            x, y = self.network.frame.to_km(candidate.latitude, candidate.longitude)
            place = np.array([float(x), float(y), candidate.depth_km])
            taken, group = self._judged(candidate.picks, place, verifier, len(groups), span)
            n_weak += not taken
            groups += [group] if group is not None else []
        if groups:
            return groups, ""
        if n_weak:
            return groups, f"{n_weak} groups of picks, none of them more than chance"
        return groups, found.reason

    def _stacked(self, verifier: Verifier, span: TimeSpan) -> list[PickGroup]:
        """Take out the events whose picks pile up, the tallest pile first."""
        groups: list[PickGroup] = []
        while True:
            n_before = len(groups)
            stack = Stack(self._nodes, self.network, verifier.free_picks(), span)
            n_failed = 0
            while n_failed < _MOST_FAILURES:
                score, cell = stack.best()
                if score < _LEAST_SURPRISE:
                    break
                picks, place = stack.members(cell)
                taken, group = self._judged(picks, place, verifier, len(groups), span)
                groups += [group] if group is not None else []
                if taken:
                    stack.remove(taken)
                    n_failed = 0
                else:
                    stack.blank(cell)
                    n_failed += 1
            if len(groups) == n_before:
                return groups
            verifier.recount()

    def _judged(
        self,
        picks: Sequence[Pick],
        place: NDArray[np.float64],
        verifier: Verifier,
        n_events: int,
        span: TimeSpan,
    ) -> tuple[tuple[Pick, ...], PickGroup | None]:
        """Weigh a candidate; return the picks it takes, none when weak, and its group, if local.

        What a plane wave from afar explains better takes its picks, but is no event here.
        """
        if not meets_minimum(picks, self.settings):
            return (), None
        verified = verifier.verify(picks, place)
        if verified is None or not meets_minimum(verified.picks, self.settings):
            return (), None
        likely = probability(verified, n_events * 3600 / span.duration_s)
        if likely <= self._least_probability:
            return (), None
        wave = verifier.distant_wave(verified)
        if wave is not None:
            verifier.let_pass(wave)
            return wave.picks, None
        verifier.use(verified.picks)
        return verified.picks, self._group(verified, likely)

    def _group(self, verified: Verified, likely: float) -> PickGroup:
        x, y, depth = (float(value) for value in verified.fit.point)
        latitude, longitude = self.network.frame.to_degrees(x, y)
        return PickGroup(
            time=from_ns(verified.fit.time_ns),
            latitude=float(latitude),
            longitude=float(longitude),
            depth_km=depth,
            picks=verified.picks,
            evidence=verified.evidence,
            probability=likely,
        )

    @_on_one_thread
    def settle(
        self, before: RawTile, this: RawTile, after: RawTile, picks: Iterable[Pick]
    ) -> Solved:
        """Reconcile a tile with its neighbours, locate its groups and collect missed picks.

        Parameters
        ----------
        before, this, after : RawTile
            Raw results of three neighbouring tiles.
        picks : iterable of Pick
            At least those in `grid.input_span(this.tile)`.
        """
        settled = reconcile(before, this, after, self.grid, self.settings)
        span = self.grid.input_span(this.tile)
        known = sorted({pick for pick in picks if span.contains(to_ns(pick.time))})
        free = self._free_picks(settled, known)
        origins: list[tuple[Origin, float]] = []
        rejected: list[tuple[PickGroup, Rejected]] = []
        for group in settled.groups:
            located = self._located(group)
            if isinstance(located, Rejected):
                rejected.append((group, located))
                continue
            for origin, spare in zip(located, (free.get(group, ()), ()), strict=False):
                missed = self.collect_missed(origin, spare)
                picks_now = (*(a.pick for a in origin.arrivals), *missed)
                more = self.locate(picks_now, origin) if missed else origin
                origins.append((more if isinstance(more, Origin) else origin, group.probability))
        origins = self._distinct(origins)
        return Solved(
            tuple(origin for origin, _ in origins), tuple(p for _, p in origins), tuple(rejected)
        )

    def _located(self, group: PickGroup) -> tuple[Origin, ...] | Rejected:
        """Locate a group: one event, or two where its picks are those of two."""
        first = self.locator.locate(group.picks, self._place(group))
        if isinstance(first, Rejected):
            return first
        return parted(first, self.locator, self.settings) or (self._trimmed(first),)

    def _distinct(self, origins: Sequence[tuple[Origin, float]]) -> list[tuple[Origin, float]]:
        """Join origins that turned out to be one earthquake; return all in order of time."""
        found = joined([origin for origin, _ in origins], self.locator)
        gone = {member for one in found for member in one.members}
        kept = [pair for k, pair in enumerate(origins) if k not in gone]
        kept += [(one.origin, max(origins[member][1] for member in one.members)) for one in found]
        return sorted(kept, key=lambda pair: (pair[0].time, pair[0].latitude))

    def locate(
        self, picks: Sequence[Pick], start: PickGroup | Origin | None = None
    ) -> Origin | Rejected:
        """Locate picks, and once more without those that do not belong.

        The search is global, or starts where `start` is.
        """
        origin = self.locator.locate(picks, None if start is None else self._place(start))
        return origin if isinstance(origin, Rejected) else self._trimmed(origin)

    def _place(self, start: PickGroup | Origin) -> NDArray[np.float64]:
        x, y = self.network.frame.to_km(start.latitude, start.longitude)
        return np.array([float(x), float(y), start.depth_km])

    def _trimmed(self, origin: Origin) -> Origin:
        """Locate once more without the picks that do not belong."""
        good = tuple(a.pick for a in origin.arrivals if a.weight >= _GROSS_WEIGHT)
        if len(good) < len(origin.arrivals) and meets_minimum(good, self.settings):
            again = self.locator.locate(good, self._place(origin))
            return again if isinstance(again, Origin) else origin
        return origin

    def collect_missed(self, origin: Origin, picks: Sequence[Pick]) -> tuple[Pick, ...]:
        """Return unused picks that fit an origin: one a station and phase that lacks one.

        Parameters
        ----------
        origin : Origin
            The event.
        picks : sequence of Pick
            Picks that no other event may use.
        """
        held = {(a.pick.seed_id.station_id, a.pick.phase) for a in origin.arrivals}
        farthest = max(a.distance_km for a in origin.arrivals) * 1.2 + self.network.spacing_km
        if self.settings.max_distance_km is not None:
            farthest = min(farthest, self.settings.max_distance_km)
        best: dict[tuple[StationId, Phase], tuple[float, Pick]] = {}
        for pick, misfit in self.locator.misfits(origin, picks, farthest):
            key = (pick.seed_id.station_id, pick.phase)
            if key in held or misfit > _MISSED_SIGMAS:
                continue
            if key not in best or (misfit, pick) < best[key]:
                best[key] = (misfit, pick)
        return tuple(sorted(pick for _, pick in best.values()))

    def _free_picks(
        self, settled: Settled, picks: Sequence[Pick]
    ) -> dict[PickGroup, tuple[Pick, ...]]:
        """Give each pick that no group uses to the one group whose prediction it fits best.

        Groups of the neighbours count too, with the associator's origins, which both tiles know:
        so no two tiles can collect the same pick.
        """
        groups = (*settled.groups, *settled.beside)
        used = {pick for group in groups for pick in group.picks}
        free = [
            pick
            for pick in picks
            if pick not in used and pick.seed_id.station_id in self.network.index
        ]
        best: dict[Pick, tuple[float, tuple[int, int, str], PickGroup]] = {}
        for group in groups:
            rank = group.rank
            for pick, residual in self.locator.residuals(group, free):
                claim = (abs(residual), rank, group)
                if pick not in best or claim[:2] < best[pick][:2]:
                    best[pick] = claim
        shares: dict[PickGroup, list[Pick]] = {}
        for pick in free:
            if pick in best:
                shares.setdefault(best[pick][2], []).append(pick)
        return {group: tuple(members) for group, members in shares.items()}
