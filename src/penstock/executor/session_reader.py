"""Sessions as their own tenant may see them: what was said, agent by agent."""

from typing import Any

from sqlalchemy import select

from penstock.errors import NotFound
from penstock.store import tables
from penstock.store.database import Database
from penstock.store.sessions import SessionStore


def session_document(database: Database, session: str, tenant: str | None) -> dict[str, Any]:
    """The session's release and history with each agent; raises `NotFound`, `Unavailable` when the database fails."""
    columns = tables.sessions.c
    query = select(columns.agent, columns.version, columns.release, columns.stage, columns.pinned_at)
    with database.read() as connection:
        rows = connection.execute(
            query.where(columns.session == session, columns.tenant == (tenant or "")).order_by(columns.agent)
        ).all()
    if not rows:
        raise NotFound("there is no such session", where=f"session {session}", now="check the id and X-Penstock-Tenant")
    store = SessionStore(database)
    return {
        "sessionId": session,
        "agents": [
            {
                "agent": row.agent,
                "version": row.version,
                "release": row.release,
                "stage": row.stage,
                "pinnedAt": row.pinned_at,
                "history": store.history(tenant, row.agent, session),
            }
            for row in rows
        ],
    }
