"""Feedback: what users said of live runs, one word each; whoever speaks again takes back what was said before."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from penstock.errors import Conflict
from penstock.store import tables
from penstock.store.clock import moment, now
from penstock.store.database import Database

TEXTS = ("comment", "corrected")


@dataclass(frozen=True, slots=True)
class Feedback:
    """One user's word on one run.

    `rating` is from -1 (down) to 1 (up). `texts` holds `comment` and `corrected` (what the output should have been),
    as far as they were given: redacted by whoever makes this. `user` None = an unnamed caller.
    """

    run_id: str
    agent: str
    release: str
    stage: str
    rating: float
    user: str | None = None
    texts: Mapping[str, Any] = field(default_factory=dict)
    at: str = field(default_factory=now)

    @property
    def id(self) -> str:
        """Of run and user: a second word of the same user has the same id."""
        return sha256(orjson.dumps([self.run_id, self.user])).hexdigest()

    def as_document(self) -> dict[str, Any]:
        """The word as a JSON object."""
        return {"rating": self.rating, "user": self.user, "at": self.at, **self.texts}


class FeedbackStore:
    """Reads and writes feedback. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put(self, word: Feedback) -> bool:
        """Keeps the word; True if it takes the place of an earlier one of the same user.

        Raises `Conflict` for texts on a run whose payloads were deleted: nothing of its contents is kept again.
        """
        row = {
            "id": word.id,
            "run_id": word.run_id,
            "agent": word.agent,
            "release": word.release,
            "stage": word.stage,
            "at": word.at,
            "rating": word.rating,
            "document": orjson.dumps(word.as_document()).decode(),
        }
        insert: Any = self._database.insert(tables.feedback)
        changes = {name: insert.excluded[name] for name in ("at", "rating", "document")}
        newer = insert.excluded.at >= tables.feedback.c.at
        with self._database.write() as connection:
            if word.texts and _is_deleted(connection, word.run_id):
                raise Conflict(
                    "the run's payloads were deleted, so no text about them is kept",
                    where=f"run {word.run_id}",
                    now="send the rating alone",
                )
            known = connection.scalar(select(tables.feedback.c.id).where(tables.feedback.c.id == word.id))
            connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changes, where=newer), row)
        return known is not None

    def of_run(self, run_id: str) -> list[dict[str, Any]]:
        """Everything said of a run, newest first: rating, user, at, and comment and corrected where given."""
        columns = tables.feedback.c
        query = select(columns.document).where(columns.run_id == run_id).order_by(columns.at.desc(), columns.id)
        with self._database.read() as connection:
            return [orjson.loads(text) for text in connection.scalars(query)]

    def ratings(self, agent: str, release: str, stage: str, since: str) -> list[float]:
        """What was said since then (RFC 3339) of a release's runs at a stage, oldest first."""
        columns = tables.feedback.c
        query = (
            select(columns.rating)
            .where(columns.agent == agent, columns.release == release, columns.stage == stage)
            .where(columns.at >= moment(since), columns.rating.is_not(None))
            .order_by(columns.at, columns.id)
        )
        with self._database.read() as connection:
            return list(connection.scalars(query))


def drop_texts(connection: Connection, run_id: str) -> None:
    """Takes comment and corrected out of all that was said of a run; the ratings stay."""
    columns = tables.feedback.c
    rows = connection.execute(select(columns.id, columns.document).where(columns.run_id == run_id)).all()
    for row in rows:
        document = {name: value for name, value in orjson.loads(row.document).items() if name not in TEXTS}
        change = update(tables.feedback).where(columns.id == row.id)
        connection.execute(change.values(document=orjson.dumps(document).decode()))


def _is_deleted(connection: Connection, run_id: str) -> bool:
    column = tables.payload_deletions.c.run_id
    return connection.scalar(select(column).where(column == run_id)) is not None
