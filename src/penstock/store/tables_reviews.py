"""The table of questions to persons: may this call be made?"""

from sqlalchemy import Column, Index, String, Table, Text

from penstock.store.tables import metadata

# One row a call that waits, or waited, for a person. `state` is open, approved, rejected or expired. `document` says
# what is asked: version, release, digest of the arguments, who the run is for. The arguments are payloads of the run.
reviews = Table(
    "reviews",
    metadata,
    Column("run_id", String(64), primary_key=True),
    Column("call_id", String(64), primary_key=True),
    Column("tenant", String(255), nullable=False),
    Column("agent", String(63), nullable=False),
    Column("tool", String(63), nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at", String(32), nullable=False),
    Column("expires_at", String(32), nullable=False),
    Column("decided_at", String(32)),
    Column("decided_by", String(255)),
    Column("comment", Text),
    Column("document", Text, nullable=False),
    Index("reviews_by_tenant", "tenant", "state", "created_at"),
    Index("reviews_by_expiry", "state", "expires_at"),
)
