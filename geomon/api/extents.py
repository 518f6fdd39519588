"""What the archive holds of the channels that the station service describes."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lxml import etree

from geomon.api.selection import Selection
from geomon.ids import SeedId
from geomon.stations import Channel, Stations
from geomon.stores.archive import Archive
from geomon.times import NS_PER_S, TimeSpan, day_span, format_ns

type Held = Mapping[SeedId, Sequence[TimeSpan]]
"""Unbroken parts of the record of each channel, in time order; each ends at its last sample."""

_BEFORE = ("Description", "Identifier", "Comment")
"""Elements that stand before DataAvailability in StationXML."""


def held_of(archive: Archive, stations: Stations) -> Held:
    """Return what the archive holds of some channels, without reading a sample."""
    wanted = {channel.seed_id for channel in stations.channels}
    found: dict[SeedId, list[TimeSpan]] = {}
    for stream in {seed_id.stream_id for seed_id in wanted}:
        days = archive.days(stream)
        if not days:
            continue
        whole = TimeSpan(day_span(days[0]).start_ns, day_span(days[-1]).end_ns)
        for (seed_id, rate_hz), parts in archive.coverage_by_rate(stream, whole).items():
            interval_ns = round(NS_PER_S / rate_hz)
            found.setdefault(seed_id, []).extend(
                TimeSpan(part.start_ns, max(part.end_ns - interval_ns, part.start_ns) + 1)
                for part in parts
            )
    return {seed_id: sorted(found[seed_id]) for seed_id in found.keys() & wanted}


def with_data(stations: Stations, selections: Sequence[Selection], held: Held) -> Stations:
    """Return the channel epochs of which there is a sample in the span they were asked for."""

    def has_data(channel: Channel) -> bool:
        asked = [
            selection.span.intersection(channel.epoch)
            for selection in selections
            if selection.names(channel.seed_id)
        ]
        return any(part.overlaps(span) for part in held.get(channel.seed_id, ()) for span in asked)

    return replace(stations, channels=tuple(filter(has_data, stations.channels)))


def add_extents(root: Any, stations: Stations, held: Held) -> None:  # noqa: ANN401 - lxml element
    """Write into a StationXML document of `stations` from when to when there is anything."""
    channels = iter(sorted(stations.channels, key=lambda c: (c.seed_id, c.epoch)))
    for station in root.iter("{*}Station"):
        of_station: list[TimeSpan] = []
        for element in station.iter("{*}Channel"):
            channel = next(channels)
            parts = (part.intersection(channel.epoch) for part in held.get(channel.seed_id, ()))
            of_channel = [part for part in parts if not part.is_empty]
            _add_extent(element, of_channel)
            of_station += of_channel
        _add_extent(station, of_station)


def _add_extent(element: Any, parts: Iterable[TimeSpan]) -> None:  # noqa: ANN401 - lxml element
    known = sorted(parts)
    if not known:
        return
    available = etree.Element(f"{{{etree.QName(element).namespace}}}DataAvailability")
    etree.SubElement(
        available,
        available.tag.replace("DataAvailability", "Extent"),
        start=format_ns(known[0].start_ns),
        end=format_ns(max(part.end_ns for part in known) - 1),
    )
    n_before = sum(etree.QName(child).localname in _BEFORE for child in element)
    element.insert(n_before, available)
