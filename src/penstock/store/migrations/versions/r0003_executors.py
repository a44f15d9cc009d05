"""What executors report of themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Lays down the table."""
    op.create_table(
        "executors",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("lineage", sa.String(64)),
        sa.Column("generation", sa.BigInteger),
        sa.Column("table_age_s", sa.Float),
        sa.Column("problem", sa.Text),
        sa.Column("at", sa.String(32), nullable=False),
    )
    op.create_index("executors_by_time", "executors", ["at"])
