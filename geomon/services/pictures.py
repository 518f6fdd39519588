"""Pictures for people: a map of events, the record section of one, how true events are."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from geomon.events import Event
from geomon.ids import StationId
from geomon.locating.reality import LEAST_PROBABILITY
from geomon.locating.reliability import ReliabilityBin
from geomon.sphere import KM_PER_DEG
from geomon.stations import Station
from geomon.times import NS_PER_S, TimeSpan, to_ns
from geomon.waveforms import Segment

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK = "#1b2733"
_P, _S = "#c0392b", "#2266aa"


def save_map(
    events: Sequence[Event],
    stations: Mapping[StationId, Station],
    path: Path,
    *,
    title: str,
    truth: Sequence[tuple[float, float]] = (),
) -> None:
    """Draw events (size by magnitude, colour by depth), ellipses and stations; write a PNG.

    Parameters
    ----------
    events : sequence of Event
        What to draw.
    stations : mapping of StationId to Station
        Drawn as triangles.
    path : Path
        PNG file to write.
    title : str
        Printed above.
    truth : sequence of (latitude, longitude)
        True epicentres of a simulated network, drawn as crosses.
    """
    figure, axes = _figure(8.5, 8)
    for station in stations.values():
        axes.plot(station.longitude, station.latitude, "^", color=_INK, ms=7, zorder=3)
        axes.annotate(
            station.station_id.station, (station.longitude, station.latitude),
            xytext=(0, 7), textcoords="offset points", ha="center", fontsize=7, color=_INK,
        )  # fmt: skip
    if truth:
        axes.plot(
            [lon for _, lon in truth], [lat for lat, _ in truth], "x",
            color="0.55", ms=4, zorder=2, label="true epicentre",
        )  # fmt: skip
        axes.legend(loc="upper right", frameon=False, fontsize=8)
    ordered = sorted(events, key=_size, reverse=True)
    if ordered:
        shown = axes.scatter(
            [event.preferred_origin.longitude for event in ordered],
            [event.preferred_origin.latitude for event in ordered],
            s=[_size(event) for event in ordered],
            c=[event.preferred_origin.depth_km for event in ordered],
            cmap="viridis_r", edgecolor="white", linewidth=0.5, zorder=4,
        )  # fmt: skip
        figure.colorbar(shown, ax=axes, label="depth (km)", shrink=0.6, pad=0.02)
        for event in ordered:
            _draw_ellipse(axes, event)
    latitudes = [station.latitude for station in stations.values()] or [0.0]
    axes.set_aspect(1 / np.cos(np.radians(np.mean(latitudes))))
    axes.set(xlabel="longitude", ylabel="latitude")
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.grid(color="0.92")
    figure.savefig(path, dpi=110, bbox_inches="tight")


def save_section(event: Event, waveforms: Mapping[StationId, Segment], path: Path) -> None:
    """Draw one event's vertical records by distance, with its picks; write a PNG.

    Parameters
    ----------
    event : Event
        Its arrivals say where each station stands and what was picked.
    waveforms : mapping of StationId to Segment
        One record a station, around the event.
    path : Path
        PNG file to write.
    """
    figure, axes = _figure(9, 7)
    origin = event.preferred_origin
    start_ns = to_ns(origin.time)
    distance = {a.pick.seed_id.station_id: a.distance_km for a in origin.arrivals}
    spread = max(distance.values(), default=1.0)
    for station_id, segment in waveforms.items():
        if station_id not in distance:
            continue
        samples = segment.samples.astype(float)
        samples -= np.median(samples)
        scale = 0.05 * spread / (np.percentile(np.abs(samples), 99.8) or 1.0)
        seconds = (segment.start_ns - start_ns) / NS_PER_S + np.arange(
            samples.size
        ) / segment.sampling_rate_hz
        level = distance[station_id]
        axes.plot(seconds, level + scale * samples, color=_INK, lw=0.5)
        axes.annotate(str(station_id), (seconds[0], level), fontsize=7, va="bottom")
    for arrival in origin.arrivals:
        delay_s = (to_ns(arrival.pick.time) - start_ns) / NS_PER_S
        colour = _P if arrival.pick.phase == "P" else _S
        half = 0.04 * spread
        axes.vlines(
            delay_s, arrival.distance_km - half, arrival.distance_km + half, color=colour, lw=1.6
        )
    axes.set(xlabel="seconds after the origin", ylabel="epicentral distance (km)")
    magnitude = event.preferred_magnitude
    size = f"{magnitude.magnitude_type} {magnitude.value:.1f}, " if magnitude else ""
    axes.set_title(
        f"{origin.time:%Y-%m-%d %H:%M:%S} UTC, {size}depth {origin.depth_km:.1f} km "
        "(P red, S blue)",
        loc="left", fontsize=11, color=_INK,
    )  # fmt: skip
    figure.savefig(path, dpi=110, bbox_inches="tight")


def save_reliability(bins: Sequence[ReliabilityBin], path: Path, *, title: str) -> None:
    """Draw which share of events is real over what they say of it; write a PNG.

    Parameters
    ----------
    bins : sequence of ReliabilityBin
        Drawn with one standard deviation, and the number of events.
    path : Path
        PNG file to write.
    title : str
        Printed above.
    """
    figure, axes = _figure(5.5, 5.2)
    axes.plot([0, 1], [0, 1], color="0.7", lw=1, label="as stated")
    axes.errorbar(
        [one.stated for one in bins], [one.real for one in bins],
        yerr=[one.error for one in bins], fmt="o", color=_S, ms=6, capsize=3,
    )  # fmt: skip
    for one in bins:
        axes.annotate(
            f"{one.n_found}", (one.stated, one.real), xytext=(-8, 6), ha="right",
            textcoords="offset points", fontsize=8, color=_INK,
        )  # fmt: skip
    axes.set(
        xlabel="probability of being real, as stated", ylabel="share that chance does not make",
        xlim=(LEAST_PROBABILITY - 0.05, 1.03), ylim=(0, 1.08),
    )  # fmt: skip
    axes.legend(loc="lower right", frameon=False, fontsize=8)
    axes.set_title(title, loc="left", fontsize=11, color=_INK)
    axes.grid(color="0.92")
    figure.savefig(path, dpi=110, bbox_inches="tight")


def section_span(event: Event) -> TimeSpan:
    """Return the span worth drawing around an event."""
    first = to_ns(event.preferred_origin.time)
    last = max((to_ns(pick.time) for pick in event.picks), default=first)
    return TimeSpan(first - 3 * NS_PER_S, last + 12 * NS_PER_S)


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _size(event: Event) -> float:
    magnitude = event.preferred_magnitude
    return 14 + 22 * max(magnitude.value, 0.0) ** 1.7 if magnitude else 14.0


def _draw_ellipse(axes: "Axes", event: Event) -> None:
    origin = event.preferred_origin
    major, minor = origin.ellipse_km
    angle = np.linspace(0, 2 * np.pi, 60)
    azimuth = np.radians(origin.ellipse_azimuth_deg)
    east = major * np.cos(angle) * np.sin(azimuth) + minor * np.sin(angle) * np.cos(azimuth)
    north = major * np.cos(angle) * np.cos(azimuth) - minor * np.sin(angle) * np.sin(azimuth)
    axes.plot(
        origin.longitude + east / KM_PER_DEG / np.cos(np.radians(origin.latitude)),
        origin.latitude + north / KM_PER_DEG,
        color="0.4", lw=0.5, alpha=0.6, zorder=3,
    )  # fmt: skip
