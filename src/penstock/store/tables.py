"""The database's tables. A change here goes with a new revision in `store/migrations/versions`.

JSON is kept as text: it is read back whole, never queried, and text holds in both databases what JSON can say.
"""

from typing import Any

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, text

metadata = MetaData()


def only_where(condition: str) -> dict[str, Any]:
    """Makes an index of the rows alone that fulfil the condition."""
    return {"sqlite_where": text(condition), "postgresql_where": text(condition)}


runs = Table(
    "runs",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("agent", String(63), nullable=False),
    Column("version", String(255), nullable=False),
    Column("release", String(71), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("tenant", Text, nullable=False),
    Column("session_id", Text),
    Column("started_at", String(32), nullable=False),
    Column("duration_ms", Float),
    Column("cost_usd", Float),
    Column("team", String(63)),
    Column("prompt_tokens", BigInteger),
    Column("completion_tokens", BigInteger),
    Column("document", Text, nullable=False),
    Column("archived_at", String(32)),
    Index("runs_by_release", "agent", "release", "stage", "mode", "started_at"),
    Index("runs_by_time", "started_at"),
    Index("runs_by_agent", "agent", "started_at"),
    Index("runs_by_tenant", "tenant", "started_at"),
    Index("runs_by_session", "session_id", "started_at", **only_where("session_id IS NOT NULL")),
    Index("runs_unarchived", "started_at", **only_where("archived_at IS NULL")),
)

events = Table(
    "events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("seq", Integer, nullable=False),
    Column("type", String(64), nullable=False),
    Column("document", Text, nullable=False),
    Index("events_by_run", "run_id", "attempt", "seq"),
)

# `claim` says where the body is, if it is not here: in the payload store, too large for a row.
payloads = Table(
    "payloads",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("run_id", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("ref", String(255), nullable=False),
    Column("body", Text, nullable=False),
    Column("claim", Text),
    Index("payloads_by_run", "run_id", "role", "ref", unique=True),
)

# A spool that is read again must not bring back what was deleted. `erased_at` NULL = the payload store (asked only if
# `has_claims`) and the archive may still hold some of it.
payload_deletions = Table(
    "payload_deletions",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("at", String(32), nullable=False),
    Column("has_claims", Boolean),
    Column("erased_at", String(32)),
)

intents = Table(
    "intents",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("call_id", String(64), primary_key=True),
    Column("document", Text, nullable=False),
)

sessions = Table(
    "sessions",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("agent", String(63), primary_key=True),
    Column("session", String(255), primary_key=True),
    Column("release", String(71), nullable=False),
    Column("version", String(255), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("pinned_at", String(32), nullable=False),
)

session_messages = Table(
    "session_messages",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("tenant", String(255), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("session", String(255), nullable=False),
    Column("message", Text, nullable=False),
    Column("at", String(32)),
    Index("session_messages_by_session", "tenant", "agent", "session", "id"),
    Index("session_messages_by_time", "at"),
)

results = Table(
    "results",
    metadata,
    Column("digest", String(71), primary_key=True),
    Column("release", String(71), nullable=False),
    Column("gate", String(63), nullable=False),
    Column("origin", String(16), nullable=False),
    Column("inputs", String(71), nullable=False),
    Column("at", String(32), nullable=False),
    Column("document", Text, nullable=False),
    Index("results_by_release", "release", "at"),
    Index("results_by_inputs", "gate", "inputs", "origin", "at"),
)

evidence = Table(
    "evidence",
    metadata,
    Column("digest", String(71), primary_key=True),
    Column("release", String(71), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("document", Text, nullable=False),
    Index("evidence_by_release", "release", "stage"),
)

catalog = Table(
    "catalog",
    metadata,
    Column("kind", String(63), primary_key=True),
    Column("name", String(63), primary_key=True),
    Column("version", String(255), primary_key=True),
    Column("owner", String(63), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("description", Text, nullable=False),
    Column("labels", Text, nullable=False),
    Index("catalog_by_owner", "owner"),
    Index("catalog_by_stage", "stage"),
)

# One run of one release on one case: the cache of evaluations and, by it, their resume.
trials = Table(
    "trials",
    metadata,
    Column("key", String(71), primary_key=True),
    Column("release", String(71), nullable=False),
    Column("at", String(32), nullable=False),
    Column("document", Text, nullable=False),
    Index("trials_by_time", "at"),
    Index("trials_by_release", "release", "at"),
)

# What a scorer saw of a trial, by (case, trial, scorer).
scores = Table(
    "scores",
    metadata,
    Column("key", String(71), primary_key=True),
    Column("at", String(32), nullable=False),
    Column("document", Text, nullable=False),
    Index("scores_by_time", "at"),
)

# What a scorer of a suite's `online` saw of a production run. `state` is claimed, scored or failed; `due` is when
# another worker may take a claim over or a failure is tried again, NULL when neither will be.
run_scores = Table(
    "run_scores",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("scorer", String(63), primary_key=True),
    Column("identity", String(71), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("release", String(71), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("state", String(16), nullable=False),
    Column("due", String(32)),
    Column("at", String(32), nullable=False),
    Column("value", Float),
    Column("cost_usd", Float),
    Column("document", Text, nullable=False),
    Index("run_scores_by_agent", "agent", "at"),
    Index("run_scores_by_release", "release", "stage", "at"),
)

# What users said of a run.
feedback = Table(
    "feedback",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("run_id", String(64), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("release", String(71), nullable=False),
    Column("stage", String(16), nullable=False),
    Column("at", String(32), nullable=False),
    Column("rating", Float),
    Column("document", Text, nullable=False),
    Index("feedback_by_run", "run_id", "at"),
    Index("feedback_by_agent", "agent", "at"),
    Index("feedback_by_release", "release", "stage", "at"),
)

# What each executor last said of itself. `at` is by the database's clock where that is another machine's, so that
# clocks that differ make nobody silent.
executors = Table(
    "executors",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("url", Text, nullable=False),
    Column("host", String(255), nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", String(64), nullable=False),
    Column("lineage", String(64)),
    Column("generation", BigInteger),
    Column("table_age_s", Float),
    Column("problem", Text),
    Column("at", String(32), nullable=False),
    Index("executors_by_time", "at"),
)

# What a holder (agent:<name>, team:<name>, tenant:<id>) spent in a period (a UTC day or month), and what executors hold
# of it. Money is in billionths of a USD, so that sums are exact.
budget_accounts = Table(
    "budget_accounts",
    metadata,
    Column("holder", String(300), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("spent_nano", BigInteger, nullable=False),
    Column("held_nano", BigInteger, nullable=False),
    Column("alerted", Integer, nullable=False),
)

# What one executor holds of an account: drawn, and not known to be spent yet.
budget_blocks = Table(
    "budget_blocks",
    metadata,
    Column("executor", String(64), primary_key=True),
    Column("holder", String(300), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("nano", BigInteger, nullable=False),
    Column("since", String(32), nullable=False),
    Index("budget_blocks_by_account", "holder", "period"),
)

# What was spent. `nano` NULL = the price is not known. `period` NULL = it counts in the day and in its month.
budget_ledger = Table(
    "budget_ledger",
    metadata,
    Column("id", String(80), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("at", String(32), nullable=False),
    Column("day", String(10), nullable=False),
    Column("period", String(10)),
    Column("agent", String(63)),
    Column("team", String(63)),
    Column("tenant", String(255)),
    Column("run_id", String(64)),
    Column("model", String(255)),
    Column("nano", BigInteger),
    Column("estimated", Integer, nullable=False),
    Column("who", Text),
    Column("reason", Text),
    Index("budget_ledger_by_agent", "agent", "at"),
    Index("budget_ledger_by_team", "team", "at"),
    Index("budget_ledger_by_tenant", "tenant", "at"),
)

# The days of which runs are in the archive: whether to look there at all.
archive_days = Table("archive_days", metadata, Column("day", String(10), primary_key=True))

# Work that one process does for all of them, whoever comes first once it is due; while it is at work, `due` is when
# another may take over.
duties = Table(
    "duties",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("holder", String(64)),
    Column("due", String(32), nullable=False),
)

# What operators were told of. `told_at` NULL = the webhook does not know it yet, or there is none.
alerts = Table(
    "alerts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("rule", String(63), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("first_at", String(32), nullable=False),
    Column("at", String(32), nullable=False),
    Column("count", Integer, nullable=False),
    Column("told_at", String(32)),
    Column("document", Text, nullable=False),
    Index("alerts_by_time", "at"),
    Index("alerts_by_rule", "rule", "agent", "first_at"),
)

from penstock.store import tables_queue, tables_reviews  # noqa: E402, F401  (their tables belong to the same metadata)
