"""Evaluations: trials, scores, scores of production runs, and feedback."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Lays down the tables."""
    _trials()
    _scores()
    _run_scores()
    _feedback()


def _trials() -> None:
    op.create_table(
        "trials",
        sa.Column("key", sa.String(71), primary_key=True),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("trials_by_time", "trials", ["at"])
    op.create_index("trials_by_release", "trials", ["release", "at"])


def _scores() -> None:
    op.create_table(
        "scores",
        sa.Column("key", sa.String(71), primary_key=True),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("scores_by_time", "scores", ["at"])


def _run_scores() -> None:
    op.create_table(
        "run_scores",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("scorer", sa.String(63), primary_key=True),
        sa.Column("identity", sa.String(71), nullable=False),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due", sa.String(32)),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("value", sa.Float),
        sa.Column("cost_usd", sa.Float),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("run_scores_by_agent", "run_scores", ["agent", "at"])
    op.create_index("run_scores_by_release", "run_scores", ["release", "stage", "at"])


def _feedback() -> None:
    op.create_table(
        "feedback",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("rating", sa.Float),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("feedback_by_run", "feedback", ["run_id", "at"])
    op.create_index("feedback_by_agent", "feedback", ["agent", "at"])
    op.create_index("feedback_by_release", "feedback", ["release", "stage", "at"])
