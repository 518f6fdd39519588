"""What people say of single picks.

A frozen copy of what `geomon.stores.schema` was then.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String, Table, Text

revision = "0005"
down_revision = "0004"
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

# Of the tables of before, only what the new one refers to.
Table("pick", metadata, Column("id", _Key, primary_key=True))
Table("run", metadata, Column("id", _Key, primary_key=True))

pick_verdict = Table(
    "pick_verdict",
    metadata,
    Column("id", _Key, primary_key=True, autoincrement=False),
    Column("pick", _Key, ForeignKey("pick.id"), nullable=False, index=True),
    Column("verdict", String(16), nullable=False),
    Column("actor", String(160), nullable=False),
    Column("reason", Text, nullable=False),
    Column("judged_ns", BigInteger, nullable=False),
    Column("run", _Key, ForeignKey("run.id"), nullable=False),
)


def upgrade() -> None:
    """Add the table."""
    metadata.create_all(op.get_bind(), tables=[pick_verdict])


def downgrade() -> None:
    """Drop the table."""
    metadata.drop_all(op.get_bind(), tables=[pick_verdict])
