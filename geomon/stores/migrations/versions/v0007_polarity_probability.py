"""How likely the direction of a first motion is right."""

from alembic import op
from sqlalchemy import Column, Double

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody said of the picks of before."""
    op.add_column("pick", Column("polarity_probability", Double))


def downgrade() -> None:
    """Drop the column."""
    op.drop_column("pick", "polarity_probability")
