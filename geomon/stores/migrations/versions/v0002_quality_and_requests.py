"""Quality of channel-days, and the log of requests.

A frozen copy of what `geomon.stores.schema` was then.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Key = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's row id must be spelt INTEGER

# Of the tables of before, only what the new ones refer to.
Table("run", metadata, Column("id", _Key, primary_key=True))
Table("stream", metadata, Column("id", _Key, primary_key=True))


def _run() -> Column[int]:
    return Column("run", _Key, ForeignKey("run.id"), nullable=False)


quality = Table(
    "quality",
    metadata,
    Column("stream", _Key, ForeignKey("stream.id"), primary_key=True, autoincrement=False),
    Column("component", String(1), primary_key=True),
    Column("day_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("fingerprint", String(64), nullable=False),
    Column("assessed_ns", BigInteger, nullable=False),
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
    Column("id", _Key, primary_key=True, autoincrement=False),
    Column("url", Text, nullable=False),
    Column("request", Text, nullable=False),
    Column("asked_ns", BigInteger, nullable=False),
    Column("took_s", Double, nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("n_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    _run(),
)
Index("ix_request_asked_ns", request.c.asked_ns)


def upgrade() -> None:
    """Add both tables, and an index by which gaps of all channels are found."""
    metadata.create_all(op.get_bind(), tables=[quality, request])
    op.create_index("ix_gap_end_ns", "gap", ["end_ns"])


def downgrade() -> None:
    """Drop both tables and the index."""
    op.drop_index("ix_gap_end_ns", "gap")
    metadata.drop_all(op.get_bind(), tables=[quality, request])
