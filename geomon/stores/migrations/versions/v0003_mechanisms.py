"""Focal mechanisms, and magnitudes of other types than the preferred one.

A frozen copy of what `geomon.stores.schema` was then.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Double, ForeignKey, Integer, MetaData, String, Table

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

metadata = MetaData(
    naming_convention={
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Key = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's row id must be spelt INTEGER

# Of the tables of before, only what the new ones refer to.
Table("origin", metadata, Column("id", _Key, primary_key=True))
Table("magnitude", metadata, Column("id", _Key, primary_key=True))

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


def upgrade() -> None:
    """Add both tables."""
    metadata.create_all(op.get_bind(), tables=[origin_magnitude, focal_mechanism])


def downgrade() -> None:
    """Drop both tables."""
    metadata.drop_all(op.get_bind(), tables=[origin_magnitude, focal_mechanism])
