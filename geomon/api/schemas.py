"""Shapes of the JSON answers, as the OpenAPI document shows them.

Times are ISO 8601 UTC; degrees, kilometres and seconds as the names say; null is unknown.
"""

from datetime import date, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from geomon.events import EvaluationMode, Phase

type Health = Literal["good", "partial", "silent"]


class _Answer(BaseModel):
    model_config = ConfigDict(use_attribute_docstrings=True, ser_json_inf_nan="null")


class Problem(_Answer):
    """Why a request could not be answered."""

    detail: str
    """One sentence."""


class Box(_Answer):
    """A box in degrees; west is larger than east across the dateline."""

    west: float
    south: float
    east: float
    north: float


class Status(_Answer):
    """The network at a glance."""

    name: str
    agency: str
    version: str
    """Version of geomon."""
    now: datetime
    region: Box | None
    """Where events are looked for, if the configuration says so."""
    n_events: int
    first_event: datetime | None
    last_event: datetime | None
    first_data: datetime | None
    """Start of the first archived day."""
    last_data: datetime | None
    """End of the newest archived sample."""
    catalog_version: str
    """Changes whenever the catalogue does."""


class Point(_Answer):
    """A GeoJSON point."""

    type: Literal["Point"] = "Point"
    coordinates: tuple[float, float] | tuple[float, float, float]
    """Longitude, latitude and, where known, metres above sea level."""


class EventFeature(_Answer):
    """One event."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Point
    properties: dict[str, str | float | int | None]
    """The columns of every table of events, but for longitude and latitude."""


class EventCollection(_Answer):
    """Events as GeoJSON."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[EventFeature]
    credits: list[str] = []
    """Whose waveforms the events were found in, and how to cite them."""


class EventNews(_Answer):
    """What became of one event."""

    event_id: str
    what: Literal["created", "updated", "withdrawn"]
    """withdrawn: it leaves the list; not found again, merged, or rejected by a person."""
    revision: int
    merged_into: str | None
    """The event that took its place."""
    summary: EventFeature
    """What is held about it now, as `/api/events` tells it."""


class StationProperties(_Answer):
    """One station, and how much of the span asked for its archive holds."""

    id: str
    network: str
    station: str
    elevation_m: float
    health: Health
    """good: at least 95 % archived; partial: less; silent: nothing."""
    coverage: float
    """Archived share of the span, up to the network's newest sample."""
    last_data: datetime | None


class StationFeature(_Answer):
    """One station."""

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Point
    properties: StationProperties


class StationCollection(_Answer):
    """Stations as GeoJSON."""

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[StationFeature]


class CoverageStep(_Answer):
    """A stretch of time during which the same number of stations was covered."""

    start: datetime
    end: datetime
    archived: int
    """Stations with data."""
    located: int
    """Stations whose data were picked and searched for events."""


class StationCoverage(_Answer):
    """Shares of the span, from 0 to 1."""

    id: str
    archived: float
    picked: float
    located: float


class Coverage(_Answer):
    """What a catalogue without events in a span means: none happened, or nobody looked."""

    start: datetime
    end: datetime
    n_stations: int
    min_stations: int
    """Fewest stations that can make an event."""
    archived: float
    """Share of the span for which enough stations have data."""
    watched: float
    """Share of the span for which enough stations were picked and searched for events."""
    timeline: list[CoverageStep]
    stations: list[StationCoverage]


class EventProperties(_Answer):
    """What is known of one event."""

    event_id: str
    time: datetime
    latitude: float
    longitude: float
    depth_km: float | None
    depth_low_km: float | None
    depth_high_km: float | None
    time_uncertainty_s: float | None
    ellipse_major_km: float | None
    ellipse_minor_km: float | None
    ellipse_azimuth_deg: float | None
    rms_s: float | None
    azimuthal_gap_deg: float | None
    nearest_station_km: float | None
    n_stations: int
    n_phases: int
    quality: str
    magnitude: float | None
    magnitude_type: str | None
    magnitude_uncertainty: float | None
    magnitude_n_stations: int | None
    event_type: str
    review_state: str
    probability: float | None
    revision: int
    updated: datetime | None
    method: str
    velocity_model: str
    run: str


class ArrivalRow(_Answer):
    """A pick tied to the origin; `residual_s` is positive when late."""

    network: str
    station: str
    location: str
    channel: str
    phase: Phase
    time: datetime
    uncertainty_s: float | None
    probability: float | None
    snr: float | None
    polarity: str
    polarity_probability: float | None
    picker: str
    evaluation_mode: EvaluationMode
    distance_km: float | None
    azimuth_deg: float | None
    residual_s: float | None
    weight: float | None


class StationMagnitudeRow(_Answer):
    """One channel's magnitude."""

    network: str
    station: str
    location: str
    channel: str
    magnitude_type: str
    value: float
    amplitude_mm: float | None
    distance_km: float | None


class MagnitudeRow(_Answer):
    """A network magnitude."""

    magnitude_type: str
    value: float
    uncertainty: float | None
    n_stations: int


class MechanismRow(_Answer):
    """A double couple from first motions: two nodal planes (strike, dip, rake, degrees)."""

    strike_deg: float
    dip_deg: float
    rake_deg: float
    auxiliary: tuple[float, float, float]
    uncertainty_deg: float | None
    probability: float | None
    n_polarities: int
    quality: str


class EventDetail(_Answer):
    """One event with its arrivals and its history, newest revision first."""

    id: str
    properties: EventProperties
    arrivals: list[ArrivalRow]
    station_magnitudes: list[StationMagnitudeRow]
    other_magnitudes: list[MagnitudeRow]
    mechanism: MechanismRow | None
    revisions: list[EventProperties]


class TracePick(_Answer):
    """A pick on a trace; the residual is null for one that does not belong to the event shown."""

    channel: str
    """NET.STA.LOC.CHA it was read on."""
    phase: Phase
    time: datetime
    residual_s: float | None
    probability: float | None
    uncertainty_s: float | None
    polarity: str
    polarity_probability: float | None
    evaluation_mode: EvaluationMode
    picker: str
    event_id: str
    """The event that rests on it; empty for none."""


class TracePiece(_Answer):
    """Smallest and largest sample in steps of equal length, without a gap."""

    start: datetime
    step_s: float
    minimum: list[float]
    maximum: list[float]


class Trace(_Answer):
    """One channel for plotting."""

    network: str
    station: str
    location: str
    channel: str
    distance_km: float | None
    peak: float
    """Largest absolute value, in the trace's own unit."""
    pieces: list[TracePiece]
    picks: list[TracePick]


class Records(_Answer):
    """Waveforms for plotting: by distance for an event, one channel otherwise."""

    event_id: str | None
    origin_time: datetime | None
    start: datetime
    end: datetime
    component: str
    components: list[str]
    """Every component there is for these stations."""
    highpass_hz: float
    """Corner of the causal high-pass applied; 0 is none."""
    traces: list[Trace]


class Stretch(_Answer):
    """A part of a day."""

    start: datetime
    end: datetime


class QualityRow(_Answer):
    """What one channel's day is worth; amplitudes in counts."""

    channel: str
    day: date
    sampling_rate_hz: float | None
    sampling_rates_hz: list[float]
    n_samples: int
    availability: float
    """Share of the day outside gaps; of a day that is not over, up to its newest sample."""
    n_gaps: int
    max_gap_s: float
    n_overlaps: int
    max_overlap_s: float
    n_conflicts: int
    """Samples out of sight because others were recorded for the same time."""
    n_clock_steps: int
    """Shifts of the time line by less than a sample."""
    max_clock_step_s: float
    minimum: float | None
    maximum: float | None
    mean: float | None
    rms: float | None
    """Around the mean."""
    n_not_finite: int
    n_flat: int
    flat_s: float
    longest_flat: list[Stretch]
    n_clipped: int
    clipped_s: float
    n_spikes: int
    n_steps: int
    is_dead: bool
    odd_s: float
    """Minutes like nothing seismic, seconds in all."""
    odd_kinds: list[str]
    """What they are like: coarse, white, wandering, periodic."""
    longest_odd: list[Stretch]
    timing_quality: float | None
    """What the digitiser says of its clock, percent."""
    above_low_db: float | None
    """Median noise above the New Low Noise Model, dB; null without a response."""
    above_high_db: float | None
    """Most that the median noise lies above the New High Noise Model."""
    assessed: datetime


class Qualities(_Answer):
    """Quality of channel-days, in (channel, day) order."""

    start: datetime
    end: datetime
    rows: list[QualityRow]


class NoiseDay(_Answer):
    """Power spectral density of a day: percentiles over its hours."""

    day: date
    unit: Literal["m/s**2", "counts"]
    """Decibels are relative to 1 (m/s²)²/Hz, or without a response to 1 count²/Hz."""
    n_windows: int
    periods_s: list[float]
    low_db: list[float]
    """5th percentile."""
    median_db: list[float]
    high_db: list[float]
    """95th percentile."""
    below_low_share: float | None
    """Share of all values below the New Low Noise Model."""
    above_high_share: float | None


class NoiseModels(_Answer):
    """Peterson's (1993) New Low and New High Noise Model, dB relative to 1 (m/s²)²/Hz."""

    periods_s: list[float]
    low_db: list[float]
    high_db: list[float]


class Noise(_Answer):
    """Noise of one channel, day by day; no models where no day has a response."""

    channel: str
    start: datetime
    end: datetime
    days: list[NoiseDay]
    models: NoiseModels | None
