"""What operating executors takes: alerts; the archive's marks, claims of payloads, duties."""

import sqlalchemy as sa
from alembic import op

from penstock.store.clock import now

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Lays down the tables and columns, part by part."""
    _alerts()
    _archive()


def _archive() -> None:
    op.add_column("runs", sa.Column("archived_at", sa.String(32)))
    op.create_index("runs_by_tenant", "runs", ["tenant", "started_at"])
    in_session, unarchived = sa.text("session_id IS NOT NULL"), sa.text("archived_at IS NULL")
    columns = ["session_id", "started_at"]
    op.create_index("runs_by_session", "runs", columns, sqlite_where=in_session, postgresql_where=in_session)
    op.create_index("runs_unarchived", "runs", ["started_at"], sqlite_where=unarchived, postgresql_where=unarchived)
    op.add_column("payloads", sa.Column("claim", sa.Text))
    op.add_column("payload_deletions", sa.Column("has_claims", sa.Boolean))
    op.add_column("payload_deletions", sa.Column("erased_at", sa.String(32)))
    op.add_column("session_messages", sa.Column("at", sa.String(32)))
    op.create_index("session_messages_by_time", "session_messages", ["at"])
    # What was said before has no time of its own: its retention begins now.
    op.execute(sa.text("UPDATE session_messages SET at = :at").bindparams(at=now()))
    op.create_table("archive_days", sa.Column("day", sa.String(10), primary_key=True))
    op.create_table(
        "duties",
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("holder", sa.String(64)),
        sa.Column("due", sa.String(32), nullable=False),
    )


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
