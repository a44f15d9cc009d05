"""What operating executors takes: alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Lays down the tables."""
    _alerts()


def _alerts() -> None:
    op.create_table(
        "alerts",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("rule", sa.String(63), nullable=False),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("first_at", sa.String(32), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("count", sa.Integer, nullable=False),
        sa.Column("told_at", sa.String(32)),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("alerts_by_time", "alerts", ["at"])
    op.create_index("alerts_by_rule", "alerts", ["rule", "agent", "first_at"])
    op.create_table(
        "alert_leases",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until", sa.String(32), nullable=False),
    )
