"""What operating executors takes: alerts; budgets and cost; archive, claims of payloads, duties; accepted runs."""

import json

import sqlalchemy as sa
from alembic import op

from penstock.store.clock import now

revision = "0004"
down_revision = "0003"

BATCH = 1_000


def upgrade() -> None:
    """Lays down the tables and columns, part by part."""
    _alerts()
    _budgets()
    _cost()
    _archive()
    _queue()
    _batches_and_keys()
    _reviews()


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


def _queue() -> None:
    op.create_table(
        "queued_runs",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("batch", sa.String(64)),
        sa.Column("line", sa.Integer),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("turn", sa.BigInteger, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("holder", sa.String(64)),
        sa.Column("due", sa.String(32)),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("ended_at", sa.String(32)),
        sa.Column("outcome", sa.String(16)),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("route", sa.Text),
        sa.Column("error", sa.Text),
    )
    op.create_index("queued_runs_by_turn", "queued_runs", ["state", "priority", "turn", "run_id"])
    op.create_index("queued_runs_by_lane", "queued_runs", ["state", "priority", "tenant", "agent", "turn"])
    op.create_index("queued_runs_by_due", "queued_runs", ["state", "due"])
    op.create_index("queued_runs_by_end", "queued_runs", ["state", "ended_at"])
    op.create_index("queued_runs_by_batch", "queued_runs", ["batch", "line"])


def _batches_and_keys() -> None:
    op.create_table(
        "batches",
        sa.Column("batch", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("lines", sa.Integer, nullable=False),
        sa.Column("cancelled", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_index("batches_by_time", "batches", ["created_at"])
    op.create_table(
        "idempotency_keys",
        sa.Column("tenant", sa.String(255), primary_key=True),
        sa.Column("agent", sa.String(63), primary_key=True),
        sa.Column("key", sa.String(255), primary_key=True),
        sa.Column("body", sa.String(71), nullable=False),
        sa.Column("target", sa.String(64), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
    )
    op.create_index("idempotency_keys_by_time", "idempotency_keys", ["created_at"])
    op.create_index("idempotency_keys_by_target", "idempotency_keys", ["target"])


def _reviews() -> None:
    op.create_table(
        "reviews",
        sa.Column("run_id", sa.String(64), primary_key=True),
        sa.Column("call_id", sa.String(64), primary_key=True),
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("agent", sa.String(63), nullable=False),
        sa.Column("tool", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("created_at", sa.String(32), nullable=False),
        sa.Column("expires_at", sa.String(32), nullable=False),
        sa.Column("decided_at", sa.String(32)),
        sa.Column("decided_by", sa.String(255)),
        sa.Column("comment", sa.Text),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_index("reviews_by_tenant", "reviews", ["tenant", "state", "created_at"])
    op.create_index("reviews_by_expiry", "reviews", ["state", "expires_at"])


def _budgets() -> None:
    op.create_table(
        "budget_accounts",
        sa.Column("holder", sa.String(300), primary_key=True),
        sa.Column("period", sa.String(10), primary_key=True),
        sa.Column("spent_nano", sa.BigInteger, nullable=False),
        sa.Column("held_nano", sa.BigInteger, nullable=False),
        sa.Column("alerted", sa.Integer, nullable=False),
    )
    op.create_table(
        "budget_blocks",
        sa.Column("executor", sa.String(64), primary_key=True),
        sa.Column("holder", sa.String(300), primary_key=True),
        sa.Column("period", sa.String(10), primary_key=True),
        sa.Column("nano", sa.BigInteger, nullable=False),
        sa.Column("since", sa.String(32), nullable=False),
    )
    op.create_index("budget_blocks_by_account", "budget_blocks", ["holder", "period"])
    op.create_table(
        "budget_ledger",
        sa.Column("id", sa.String(80), primary_key=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.String(32), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("period", sa.String(10)),
        sa.Column("agent", sa.String(63)),
        sa.Column("team", sa.String(63)),
        sa.Column("tenant", sa.String(255)),
        sa.Column("run_id", sa.String(64)),
        sa.Column("model", sa.String(255)),
        sa.Column("nano", sa.BigInteger),
        sa.Column("estimated", sa.Integer, nullable=False),
        sa.Column("who", sa.Text),
        sa.Column("reason", sa.Text),
    )
    for holder in ("agent", "team", "tenant"):
        op.create_index(f"budget_ledger_by_{holder}", "budget_ledger", [holder, "at"])


def _cost() -> None:
    """New columns of runs, filled from the documents that hold the same facts."""
    op.add_column("runs", sa.Column("team", sa.String(63)))
    op.add_column("runs", sa.Column("prompt_tokens", sa.BigInteger))
    op.add_column("runs", sa.Column("completion_tokens", sa.BigInteger))
    connection = op.get_bind()
    after = ""
    page = sa.text("SELECT run_id, document FROM runs WHERE run_id > :after ORDER BY run_id LIMIT :batch")
    fill = sa.text(
        "UPDATE runs SET team = :team, prompt_tokens = :prompt, completion_tokens = :done WHERE run_id = :id"
    )
    while rows := connection.execute(page, {"after": after, "batch": BATCH}).all():
        connection.execute(fill, [_facts(run_id, json.loads(document)) for run_id, document in rows])
        after = rows[-1][0]


def _facts(run_id: str, run: dict[str, object]) -> dict[str, object]:
    found = run.get("usage")
    usage = found if isinstance(found, dict) else {}
    return {
        "id": run_id,
        "team": run.get("team"),
        "prompt": usage.get("promptTokens"),
        "done": usage.get("completionTokens"),
    }
