"""Canonical tiles: the same picks give the same events, however and whenever a period is run.

Association works on tiles aligned to UTC, each with a margin of picks on both sides::

    input   |~~~ margin ~~~|========= tile k =========|~~~ margin ~~~|
    kept         |- zone --|==========================|-- zone -|

A tile's raw result keeps the groups whose origin lies in the tile or within one zone of it. Around
a boundary both tiles see everything, and what they say there is settled by one function of the
two raw results. Zones of two boundaries are so far apart that no pick can belong to both, so the
events of a tile depend on the raw results of the tile and its two neighbours and on nothing else.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from geomon.config import Association
from geomon.errors import DataError
from geomon.events import Pick
from geomon.locating.associate import PickGroup, meets_minimum
from geomon.locating.network import Network, geodesic
from geomon.locating.travel_times import TravelTimes
from geomon.times import NS_PER_S, TimeSpan, format_ns

_SLACK_S = 5.0  # how far two runs may disagree about one event's origin time
_SAME_SHARE = 0.5  # of the smaller group's picks: then both are the same event
_SAME_TIME_S = 1.0  # or: origins as close as this in time ...
_SAME_TIMES_SPACING = 0.5  # ... and within this share of the network's station spacing


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Tiles of one length since 1970, and how far around them one must look.

    Attributes
    ----------
    length_ns : int
        Length of a tile.
    margin_ns : int
        How much longer the input is on each side: at least twice the largest travel time.
    zone_ns : int
        Half width of the zone around a boundary where both neighbours have a say.
    same_place_km : float
        Origins closer than this, and within a second, are the same event.
    """

    length_ns: int
    margin_ns: int
    zone_ns: int
    same_place_km: float

    @classmethod
    def of(cls, network: Network, travel_times: TravelTimes, settings: Association) -> "TileGrid":
        """Lay out tiles of `settings.tile_s`, or the least multiple that the region's size allows.

        Zones must not meet: a tile is at least three largest travel times and some slack long.
        """
        longest = network.max_travel_time_s(travel_times)
        zone = longest + _SLACK_S
        multiple = math.ceil((2 * zone + longest + _SLACK_S) / settings.tile_s)
        return cls(
            length_ns=multiple * settings.tile_s * NS_PER_S,
            margin_ns=math.ceil((zone + longest + _SLACK_S) * NS_PER_S),
            zone_ns=math.ceil(zone * NS_PER_S),
            same_place_km=_SAME_TIMES_SPACING * network.spacing_km,
        )

    def tile_of(self, time_ns: int) -> TimeSpan:
        """Return the tile that holds an instant."""
        start = time_ns // self.length_ns * self.length_ns
        return TimeSpan(start, start + self.length_ns)

    def tiles(self, span: TimeSpan) -> list[TimeSpan]:
        """Return every whole tile that shares an instant with a span, in order."""
        if span.is_empty:
            return []
        return list(span.aligned(self.length_ns).steps(self.length_ns))

    def neighbours(self, tile: TimeSpan) -> tuple[TimeSpan, TimeSpan]:
        """Return the tile before and the tile after."""
        length = self.length_ns
        return (
            TimeSpan(tile.start_ns - length, tile.start_ns),
            TimeSpan(tile.end_ns, tile.end_ns + length),
        )

    def input_span(self, tile: TimeSpan) -> TimeSpan:
        """Return the span of picks that a tile's raw result depends on."""
        return TimeSpan(tile.start_ns - self.margin_ns, tile.end_ns + self.margin_ns)

    def dependency_span(self, tile: TimeSpan) -> TimeSpan:
        """Return the span of picks that a tile's events depend on."""
        before, after = self.neighbours(tile)
        return TimeSpan(self.input_span(before).start_ns, self.input_span(after).end_ns)

    def affected(self, span: TimeSpan) -> list[TimeSpan]:
        """Return every tile whose events may change when picks in `span` change."""
        reach = self.length_ns + self.margin_ns
        return self.tiles(TimeSpan(span.start_ns - reach, span.end_ns + reach))


@dataclass(frozen=True, slots=True)
class RawTile:
    """What association alone says about one tile.

    Attributes
    ----------
    tile : TimeSpan
        The tile.
    groups : tuple of PickGroup
        With origins in the tile or within a zone of it, in order of origin time.
    reason : str
        Why there is nothing, or what limits the result; empty when all is well.
    is_saturated : bool
        Whether picks were so dense that events may be hidden or mixed up.
    notes : tuple of str
        What else was noticed: picks of machines, which were left out, and waves from afar.
    """

    tile: TimeSpan
    groups: tuple[PickGroup, ...]
    reason: str = ""
    is_saturated: bool = False
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """What a tile and its neighbours agree on.

    Attributes
    ----------
    groups : tuple of PickGroup
        The groups that belong to the tile, in order of origin time.
    beside : tuple of PickGroup
        Groups of the neighbours that could share picks with them.
    """

    groups: tuple[PickGroup, ...]
    beside: tuple[PickGroup, ...]


def kept_groups(
    groups: Iterable[PickGroup], tile: TimeSpan, grid: TileGrid
) -> tuple[PickGroup, ...]:
    """Return the groups a raw result keeps: origin in the tile or within a zone of it."""
    wide = TimeSpan(tile.start_ns - grid.zone_ns, tile.end_ns + grid.zone_ns)
    return tuple(
        sorted((g for g in groups if wide.contains(g.time_ns)), key=lambda g: (g.time_ns, g.rank))
    )


def reconcile(
    before: RawTile, this: RawTile, after: RawTile, grid: TileGrid, settings: Association
) -> Settled:
    """Decide which groups belong to a tile, from the raw results of it and its neighbours.

    A pick claimed more than once goes to the better supported group: more picks, then the earlier
    origin, then the smallest pick id. The loser is dropped when it is the same event or no longer
    has enough picks; otherwise it stays with the rest of its picks. What was settled around a
    boundary comes before what lies inside the tile.

    Raises
    ------
    DataError
        If the three are not neighbours in order.
    """
    if before.tile.end_ns != this.tile.start_ns or this.tile.end_ns != after.tile.start_ns:
        msg = (
            f"tile {format_ns(this.tile.start_ns)}: not between {format_ns(before.tile.start_ns)} "
            f"and {format_ns(after.tile.start_ns)}"
        )
        raise DataError(msg)
    edges = [
        _settled_edge(left, right, grid, settings)
        for left, right in ((before, this), (this, after))
    ]
    zones = [
        TimeSpan(edge - grid.zone_ns, edge + grid.zone_ns)
        for edge in (this.tile.start_ns, this.tile.end_ns)
    ]
    inside = [
        group
        for group in this.groups
        if this.tile.contains(group.time_ns) and not any(z.contains(group.time_ns) for z in zones)
    ]
    around = [group for edge in edges for group in edge]
    final = _distinct(inside, around, grid, settings)
    return Settled(
        groups=tuple(
            sorted(
                (group for group in final if this.tile.contains(group.time_ns)),
                key=lambda group: (group.time_ns, group.rank),
            )
        ),
        beside=tuple(group for group in around if not this.tile.contains(group.time_ns)),
    )


def _settled_edge(
    left: RawTile, right: RawTile, grid: TileGrid, settings: Association
) -> list[PickGroup]:
    """Settle the groups around the boundary of two tiles: a function of their raw results only."""
    edge = right.tile.start_ns
    zone = TimeSpan(edge - grid.zone_ns, edge + grid.zone_ns)
    candidates = [g for raw in (left, right) for g in raw.groups if zone.contains(g.time_ns)]
    return _distinct(candidates, (), grid, settings)


def _distinct(
    candidates: Sequence[PickGroup],
    settled: Sequence[PickGroup],
    grid: TileGrid,
    settings: Association,
) -> list[PickGroup]:
    """Accept candidates by rank after those already settled; no pick is given out twice."""
    accepted = list(settled)
    taken: set[Pick] = {pick for group in settled for pick in group.picks}
    for group in sorted(candidates, key=lambda g: (g.rank, g.latitude, g.longitude, g.depth_km)):
        if any(is_same_event(group, other, grid.same_place_km) for other in accepted):
            continue
        picks = tuple(pick for pick in group.picks if pick not in taken)
        if not meets_minimum(picks, settings):
            continue
        accepted.append(group if len(picks) == len(group.picks) else replace(group, picks=picks))
        taken.update(picks)
    return accepted


def is_same_event(one: PickGroup, two: PickGroup, same_place_km: float) -> bool:
    """Tell whether two groups are one event: half of their picks shared, or origins that meet."""
    shared = len(set(one.picks) & set(two.picks))
    if shared >= _SAME_SHARE * min(len(one.picks), len(two.picks)):
        return True
    if abs(one.time_ns - two.time_ns) > _SAME_TIME_S * NS_PER_S:
        return False
    distance, _ = geodesic(one.latitude, one.longitude, [two.latitude], [two.longitude])
    return float(distance[0]) <= same_place_km
