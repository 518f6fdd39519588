"""Which agency an event of another catalogue comes from.

A frozen copy of what `geomon.stores.schema` was then.
"""

from alembic import op
from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String, Table, select

revision = "0006"
down_revision = "0005"
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
Table("run", metadata, Column("id", _Key, primary_key=True))
event = Table(
    "event",
    metadata,
    Column("id", _Key, primary_key=True),
    Column("catalog", String(64)),
    Column("run", _Key),
)

contributor = Table(
    "contributor",
    metadata,
    Column("event", _Key, ForeignKey("event.id"), primary_key=True, autoincrement=False),
    Column("agency", String(160), nullable=False, index=True),
    Column("run", _Key, ForeignKey("run.id"), nullable=False),
)


def upgrade() -> None:
    """Add the table; what was imported before comes from an agency called like its catalogue."""
    connection = op.get_bind()
    metadata.create_all(connection, tables=[contributor])
    imported = select(event.c.id, event.c.catalog, event.c.run).where(event.c.catalog != "geomon")
    connection.execute(contributor.insert().from_select(["event", "agency", "run"], imported))


def downgrade() -> None:
    """Drop the table."""
    metadata.drop_all(op.get_bind(), tables=[contributor])
