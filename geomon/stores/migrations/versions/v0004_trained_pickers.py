"""Pickers that retraining brought, the decisions about them, and what people reviewed whole.

A frozen copy of what `geomon.stores.schema` was then.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

metadata = MetaData(
    naming_convention={
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
_Key = BigInteger().with_variant(Integer(), "sqlite")  # SQLite's row id must be spelt INTEGER

# Of the tables of before, only what the new ones refer to.
Table("run", metadata, Column("id", _Key, primary_key=True))
Table("stream", metadata, Column("id", _Key, primary_key=True))

trained_picker = Table(
    "trained_picker",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=False),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("card", Text, nullable=False),
    Column("weights", LargeBinary, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("added_ns", BigInteger, nullable=False),
    Column("run", _Key, ForeignKey("run.id"), nullable=False),
)

picker_decision = Table(
    "picker_decision",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=False),
    Column("outcome", String(16), nullable=False),
    Column("champion", _Key, ForeignKey("trained_picker.id"), nullable=False),
    Column("challenger", _Key, ForeignKey("trained_picker.id"), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", String(160), nullable=False),
    Column("decided_ns", BigInteger, nullable=False),
    Column("alpha", Double, nullable=False),
    Column("report", Text, nullable=False),
    Column("run", _Key, ForeignKey("run.id"), nullable=False),
)

reviewed_window = Table(
    "reviewed_window",
    metadata,
    Column("stream", _Key, ForeignKey("stream.id"), primary_key=True, autoincrement=False),
    Column("start_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("end_ns", BigInteger, nullable=False),
    Column("actor", String(160), nullable=False),
    Column("reviewed_ns", BigInteger, nullable=False),
    Column("run", _Key, ForeignKey("run.id"), nullable=False),
)


def upgrade() -> None:
    """Add the tables."""
    metadata.create_all(op.get_bind(), tables=[trained_picker, picker_decision, reviewed_window])


def downgrade() -> None:
    """Drop the tables."""
    metadata.drop_all(op.get_bind(), tables=[reviewed_window, picker_decision, trained_picker])
