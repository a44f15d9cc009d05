"""The first schema."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Lays down all tables."""
    _runs()
    _events()
    _payloads()
    _payload_deletions()
    _intents()
    _sessions()
    _session_messages()
    _results()
    _evidence()
    _catalog()


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("session_id", sa.Text),
        sa.Column("started_at", sa.String(32), nullable=False),
        sa.Column("duration_ms", sa.Float),
        sa.Column("cost_usd", sa.Float),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("runs_by_agent", "runs", ["agent", "started_at"])
    op.create_index("runs_by_release", "runs", ["agent", "release", "stage", "mode", "started_at"])
    op.create_index("runs_by_time", "runs", ["started_at"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.String(64), primary_key=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("events_by_run", "events", ["run_id", "attempt", "seq"])


def _payloads() -> None:
    op.create_table(
        "payloads",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.String(64), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("ref", sa.String(255), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("payloads_by_run", "payloads", ["run_id", "role", "ref"], unique=True)


def _payload_deletions() -> None:
    op.create_table(
        "payload_deletions",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("at", sa.String(32), nullable=False),
    )


def _intents() -> None:
    op.create_table(
        "intents",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("agent", sa.String(63), primary_key=True),
        sa.Column("session", sa.String(255), primary_key=True),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("version", sa.String(255), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("pinned_at", sa.String(32), nullable=False),
    )


def _session_messages() -> None:
    op.create_table(
        "session_messages",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("session", sa.String(255), nullable=False),
        sa.Column("message", sa.Text, nullable=False),
    )
    op.create_index("session_messages_by_session", "session_messages", ["tenant", "agent", "session", "id"])


def _results() -> None:
    op.create_table(
        "results",
        sa.Column("digest", sa.String(71), primary_key=True),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("gate", sa.String(63), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("inputs", sa.String(71), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("results_by_inputs", "results", ["gate", "inputs", "origin", "at"])
    op.create_index("results_by_release", "results", ["release", "at"])


def _evidence() -> None:
    op.create_table(
        "evidence",
        sa.Column("digest", sa.String(71), primary_key=True),
        sa.Column("release", sa.String(71), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("evidence_by_release", "evidence", ["release", "stage"])


def _catalog() -> None:
    op.create_table(
        "catalog",
        sa.Column("kind", sa.String(63), primary_key=True),
        sa.Column("name", sa.String(63), primary_key=True),
        sa.Column("version", sa.String(255), primary_key=True),
        sa.Column("owner", sa.String(63), nullable=False),
        sa.Column("stage", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("labels", sa.Text, nullable=False),
    )
    op.create_index("catalog_by_owner", "catalog", ["owner"])
    op.create_index("catalog_by_stage", "catalog", ["stage"])
