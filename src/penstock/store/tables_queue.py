"""Tables of runs that wait for an executor: the queue, its batches, and the keys that make a request count once."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from penstock.store.tables import metadata

# One row a run that was accepted to be run by any executor. `kind` is sync, async or batch. `state`:
#   accepted  waits for an executor, in the order of (priority, turn)
#   delayed   failed or was turned away, and waits until `due`
#   review    waits for a person's decision on calls that it wants to make (`reviews`)
#   leased    `holder` runs it, and has to say so again before `due`
#   done      ended; `outcome` is how
#   dead      waits for a person; `error` says why, `outcome` how it ended, NULL when it has not ended
#   replayed  was dead, and runs again as another run
# `attempt` is the number of its leases, and the token that fences: only the newest lease may write. `failures` counts
# the tries that failed, `tries` is how many it gets. Times are by the database's clock.
queued_runs = Table(
    "queued_runs",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("tenant", String(255), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("batch", String(64)),
    Column("line", Integer),
    Column("priority", Integer, nullable=False),
    Column("turn", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("holder", String(64)),
    Column("due", String(32)),
    Column("created_at", String(32), nullable=False),
    Column("ended_at", String(32)),
    Column("outcome", String(16)),
    Column("document", Text, nullable=False),
    Column("route", Text),
    Column("error", Text),
    Index("queued_runs_by_turn", "state", "priority", "turn", "run_id"),
    Index("queued_runs_by_lane", "state", "priority", "tenant", "agent", "turn"),
    Index("queued_runs_by_due", "state", "due"),
    Index("queued_runs_by_end", "state", "ended_at"),
    Index("queued_runs_by_batch", "batch", "line"),
)

batches = Table(
    "batches",
    metadata,
    Column("batch", String(64), primary_key=True),
    Column("tenant", String(255), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("lines", Integer, nullable=False),
    Column("cancelled", Boolean, nullable=False),
    Column("created_at", String(32), nullable=False),
    Index("batches_by_time", "created_at"),
)

# What a request with an Idempotency-Key became: `target` is the run or the batch.
idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("tenant", String(255), primary_key=True),
    Column("agent", String(63), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("body", String(71), nullable=False),
    Column("target", String(64), nullable=False),
    Column("created_at", String(32), nullable=False),
    Index("idempotency_keys_by_time", "created_at"),
    Index("idempotency_keys_by_target", "target"),
)
