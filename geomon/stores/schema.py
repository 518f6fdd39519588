"""Tables of the catalogue, as SQLAlchemy Core; the same on SQLite and PostgreSQL.

Times are integers, nanoseconds since 1970 UTC. Rows that people cite (picks, origins, magnitudes,
revisions of events) are only ever added: a superseded one gets an end of validity, `valid_to`, so
that the catalogue can be read as it was at any instant. Every row names the run that made it.

Tables
------
run               who computed: kind, code version, configuration, picker
stream, picker    names, kept once
pick              phase onsets; current while `valid_to` is null
event             identity of an earthquake; `owner_ns` says which tile may replace it
event_revision    what was held about an event from `valid_from` to `valid_to`
origin, arrival   solutions and the picks they rest on
magnitude, station_magnitude
origin_magnitude  magnitudes of other types than the preferred one
focal_mechanism   double couples from the first motions of an origin's picks
event_alias       names other agencies use
contributor       the agencies that events of other catalogues come from
ledger, gap       which spans were archived, picked and located, and which data are missing
quality           how good each channel's record of each day is; the newest state only
request           every question put to a source: what, when, and what came of it
trained_picker    weights, card and data manifest of every picker retraining brought
picker_decision   which picker is the champion since when, and why; the last row holds
reviewed_window   spans of a stream in which a person marked everything there is
pick_verdict      what people say of single picks; the newest of each holds
clock             time of the last change, so that changes have one order
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from geomon.stores.nanoseconds import Nanoseconds

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Key = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's row id must be spelt INTEGER
_CURRENT = text("valid_to IS NULL")


def _id() -> Column[int]:
    return Column("id", _Key, primary_key=True, autoincrement=False)


def _run() -> Column[int]:
    return Column("run", _Key, ForeignKey("run.id"), nullable=False)


clock = Table(
    "clock",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_ns", Nanoseconds, nullable=False),
)

run = Table(
    "run",
    metadata,
    _id(),
    Column("run_id", String(80), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("started_ns", Nanoseconds, nullable=False),
    Column("finished_ns", Nanoseconds),
    Column("code_version", String(64), nullable=False),
    Column("config_hash", String(64), nullable=False),
    Column("picker", String(160), nullable=False),
    Column("data_version", String(64), nullable=False),
)

stream = Table(
    "stream",
    metadata,
    _id(),
    Column("network", String(8), nullable=False),
    Column("station", String(8), nullable=False),
    Column("location", String(8), nullable=False),
    Column("band_instrument", String(2), nullable=False),
    UniqueConstraint("network", "station", "location", "band_instrument"),
)

picker = Table(
    "picker",
    metadata,
    _id(),
    Column("name", String(160), nullable=False, unique=True),
)

pick = Table(
    "pick",
    metadata,
    _id(),
    Column("stream", _Key, ForeignKey("stream.id"), nullable=False),
    Column("component", String(1), nullable=False),
    Column("phase", String(8), nullable=False),
    Column("time_ns", Nanoseconds, nullable=False),
    Column("probability", Double),
    Column("uncertainty_s", Double),
    Column("snr", Double),
    Column("amplitude", Double),
    Column("polarity", String(16), nullable=False),
    Column("polarity_probability", Double),
    Column("picker", _Key, ForeignKey("picker.id"), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("valid_from", Nanoseconds, nullable=False),
    Column("valid_to", Nanoseconds),
    _run(),
)
Index(
    "uq_pick_current",
    pick.c.stream,
    pick.c.time_ns,
    pick.c.phase,
    pick.c.picker,
    unique=True,
    sqlite_where=_CURRENT,
    postgresql_where=_CURRENT,
)
Index("ix_pick_time_ns", pick.c.time_ns)

event = Table(
    "event",
    metadata,
    _id(),
    Column("event_id", String(64), nullable=False, unique=True),
    Column("catalog", String(64), nullable=False),
    Column("owner_ns", Nanoseconds, nullable=False),
    Column("merged_into", _Key, ForeignKey("event.id")),
    _run(),
)
Index("ix_event_owner", event.c.catalog, event.c.owner_ns)

origin = Table(
    "origin",
    metadata,
    _id(),
    Column("event", _Key, ForeignKey("event.id"), nullable=False, index=True),
    Column("time_ns", Nanoseconds, nullable=False),
    Column("latitude", Double, nullable=False),
    Column("longitude", Double, nullable=False),
    Column("depth_km", Double),
    Column("time_uncertainty_s", Double),
    Column("cov_ee", Double),
    Column("cov_en", Double),
    Column("cov_ed", Double),
    Column("cov_nn", Double),
    Column("cov_nd", Double),
    Column("cov_dd", Double),
    Column("ellipse_major_km", Double),
    Column("ellipse_minor_km", Double),
    Column("ellipse_azimuth_deg", Double),
    Column("depth_low_km", Double),
    Column("depth_high_km", Double),
    Column("rms_s", Double),
    Column("azimuthal_gap_deg", Double),
    Column("nearest_station_km", Double),
    Column("n_stations", Integer, nullable=False),
    Column("n_phases", Integer, nullable=False),
    Column("quality", String(1), nullable=False),
    Column("method", String(160), nullable=False),
    Column("velocity_model", String(160), nullable=False),
    _run(),
)

arrival = Table(
    "arrival",
    metadata,
    Column("origin", _Key, ForeignKey("origin.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("pick", _Key, ForeignKey("pick.id"), nullable=False, index=True),
    Column("distance_km", Double),
    Column("azimuth_deg", Double),
    Column("residual_s", Double),
    Column("weight", Double),
    sqlite_with_rowid=False,
)

magnitude = Table(
    "magnitude",
    metadata,
    _id(),
    Column("event", _Key, ForeignKey("event.id"), nullable=False, index=True),
    Column("value", Double, nullable=False),
    Column("type", String(16), nullable=False),
    Column("uncertainty", Double),
    Column("n_stations", Integer, nullable=False),
    _run(),
)

station_magnitude = Table(
    "station_magnitude",
    metadata,
    Column("magnitude", _Key, ForeignKey("magnitude.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("stream", _Key, ForeignKey("stream.id"), nullable=False),
    Column("component", String(1), nullable=False),
    Column("type", String(16), nullable=False),
    Column("value", Double, nullable=False),
    Column("amplitude_mm", Double),
    Column("distance_km", Double),
    sqlite_with_rowid=False,
)

origin_magnitude = Table(
    "origin_magnitude",
    metadata,
    Column("origin", _Key, ForeignKey("origin.id"), primary_key=True, autoincrement=False),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("magnitude", _Key, ForeignKey("magnitude.id"), nullable=False),
    sqlite_with_rowid=False,
)

focal_mechanism = Table(
    "focal_mechanism",
    metadata,
    Column("origin", _Key, ForeignKey("origin.id"), primary_key=True, autoincrement=False),
    Column("strike_deg", Double, nullable=False),
    Column("dip_deg", Double, nullable=False),
    Column("rake_deg", Double, nullable=False),
    Column("auxiliary_strike_deg", Double, nullable=False),
    Column("auxiliary_dip_deg", Double, nullable=False),
    Column("auxiliary_rake_deg", Double, nullable=False),
    Column("uncertainty_deg", Double),
    Column("probability", Double),
    Column("misfit", Double),
    Column("station_distribution_ratio", Double),
    Column("n_polarities", Integer, nullable=False),
    Column("quality", String(1), nullable=False),
    sqlite_with_rowid=False,
)

event_revision = Table(
    "event_revision",
    metadata,
    _id(),
    Column("event", _Key, ForeignKey("event.id"), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("valid_from", Nanoseconds, nullable=False),
    Column("valid_to", Nanoseconds),
    Column("origin", _Key, ForeignKey("origin.id"), nullable=False, index=True),
    Column("magnitude", _Key, ForeignKey("magnitude.id")),
    # Copies from event, origin and magnitude: a question is answered from this table alone.
    Column("catalog", String(64), nullable=False),
    Column("time_ns", Nanoseconds, nullable=False),
    Column("cell", Integer, nullable=False),
    Column("latitude", Double, nullable=False),
    Column("longitude", Double, nullable=False),
    Column("depth_km", Double),
    Column("magnitude_value", Double),
    Column("magnitude_type", String(16)),
    Column("content", String(64), nullable=False),
    Column("event_type", String(64), nullable=False),
    Column("review_state", String(16), nullable=False),
    Column("is_withdrawn", Boolean, nullable=False),
    Column("probability", Double),
    Column("reasons", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", String(160), nullable=False),
    _run(),
    UniqueConstraint("event", "revision"),
)
for _name, _columns, _unique in (
    ("uq_event_revision_current", (event_revision.c.event,), True),
    ("ix_event_revision_cell", (event_revision.c.cell, event_revision.c.time_ns), False),
    ("ix_event_revision_time", (event_revision.c.time_ns,), False),
    (
        "ix_event_revision_magnitude",
        (event_revision.c.magnitude_value, event_revision.c.time_ns),
        False,
    ),
    ("ix_event_revision_updated", (event_revision.c.valid_from,), False),
):
    Index(_name, *_columns, unique=_unique, sqlite_where=_CURRENT, postgresql_where=_CURRENT)
Index("ix_event_revision_history", event_revision.c.time_ns, event_revision.c.valid_to)

event_alias = Table(
    "event_alias",
    metadata,
    Column("alias", String(255), primary_key=True),
    Column("event", _Key, ForeignKey("event.id"), nullable=False, index=True),
    _run(),
)

contributor = Table(
    "contributor",
    metadata,
    Column("event", _Key, ForeignKey("event.id"), primary_key=True, autoincrement=False),
    Column("agency", String(160), nullable=False, index=True),
    _run(),
)

ledger = Table(
    "ledger",
    metadata,
    Column("product", String(16), primary_key=True),
    Column("key", String(40), primary_key=True),
    Column("start_ns", Nanoseconds, primary_key=True, autoincrement=False),
    Column("end_ns", Nanoseconds, primary_key=True, autoincrement=False),
    Column("version", String(64), nullable=False),
    Column("input_hash", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text, nullable=False),
    Column("n_items", BigInteger, nullable=False),
    Column("seconds", Double),
    Column("updated_ns", Nanoseconds, nullable=False),
    Column("lease_until_ns", Nanoseconds),
    _run(),
)

gap = Table(
    "gap",
    metadata,
    Column("key", String(40), primary_key=True),
    Column("start_ns", Nanoseconds, primary_key=True, autoincrement=False),
    Column("end_ns", Nanoseconds, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),
    Column("n_asked", Integer, nullable=False),
    Column("first_asked_ns", Nanoseconds, nullable=False),
    Column("asked_ns", Nanoseconds, nullable=False),
    _run(),
)
Index("ix_gap_end_ns", gap.c.end_ns)

quality = Table(
    "quality",
    metadata,
    Column("stream", _Key, ForeignKey("stream.id"), primary_key=True, autoincrement=False),
    Column("component", String(1), primary_key=True),
    Column("day_ns", Nanoseconds, primary_key=True, autoincrement=False),
    Column("fingerprint", String(64), nullable=False),
    Column("assessed_ns", Nanoseconds, nullable=False),
    Column("sampling_rate_hz", Double),
    Column("n_samples", BigInteger, nullable=False),
    Column("availability", Double, nullable=False),
    Column("n_gaps", Integer, nullable=False),
    Column("max_gap_s", Double, nullable=False),
    Column("n_overlaps", Integer, nullable=False),
    Column("n_conflicts", BigInteger, nullable=False),
    Column("n_clock_steps", Integer, nullable=False),
    Column("timing_quality", Double),
    Column("minimum", Double),
    Column("maximum", Double),
    Column("mean", Double),
    Column("rms", Double),
    Column("flat_s", Double, nullable=False),
    Column("clipped_s", Double, nullable=False),
    Column("n_spikes", Integer, nullable=False),
    Column("n_steps", Integer, nullable=False),
    Column("is_dead", Boolean, nullable=False),
    Column("above_low_db", Double),
    Column("above_high_db", Double),
    Column("details", Text, nullable=False),
    Column("psd", Text),
    _run(),
)
Index("ix_quality_day_ns", quality.c.day_ns)

request = Table(
    "request",
    metadata,
    _id(),
    Column("url", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("asked_ns", Nanoseconds, nullable=False),
    Column("took_s", Double, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    _run(),
)
Index("ix_request_asked_ns", request.c.asked_ns)

trained_picker = Table(
    "trained_picker",
    metadata,
    _id(),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("card", Text, nullable=False),
    Column("weights", LargeBinary, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("added_ns", Nanoseconds, nullable=False),
    _run(),
)

picker_decision = Table(
    "picker_decision",
    metadata,
    _id(),
    Column("outcome", String(16), nullable=False),
    Column("champion", _Key, ForeignKey("trained_picker.id"), nullable=False),
    Column("challenger", _Key, ForeignKey("trained_picker.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", String(160), nullable=False),
    Column("decided_ns", Nanoseconds, nullable=False),
    Column("alpha", Double, nullable=False),
    Column("report", Text, nullable=False),
    _run(),
)

reviewed_window = Table(
    "reviewed_window",
    metadata,
    Column("stream", _Key, ForeignKey("stream.id"), primary_key=True, autoincrement=False),
    Column("start_ns", Nanoseconds, primary_key=True, autoincrement=False),
    Column("end_ns", Nanoseconds, nullable=False),
    Column("actor", String(160), nullable=False),
    Column("reviewed_ns", Nanoseconds, nullable=False),
    _run(),
)

pick_verdict = Table(
    "pick_verdict",
    metadata,
    _id(),
    Column("pick", _Key, ForeignKey("pick.id"), nullable=False, index=True),
    Column("verdict", String(16), nullable=False),
    Column("actor", String(160), nullable=False),
    Column("reason", Text, nullable=False),
    Column("judged_ns", Nanoseconds, nullable=False),
    _run(),
)
