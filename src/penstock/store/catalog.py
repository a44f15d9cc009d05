"""The catalog: what there is, for lists and filters; written by the driver from the registry."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson
from sqlalchemy import delete, select

from penstock.store import tables
from penstock.store.database import Database


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One version of one document; `stage` and `status` are empty where they make no sense."""

    kind: str
    name: str
    version: str
    owner: str
    stage: str = ""
    status: str = ""
    created_at: str = ""
    description: str = ""
    labels: dict[str, str] = field(default_factory=dict)

    def as_document(self) -> dict[str, Any]:
        """The row as a JSON object with camelCase keys."""
        document = asdict(self)
        document["createdAt"] = document.pop("created_at")
        return document


class Catalog:
    """Rows of all documents on the base branch. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def replace(self, rows: Iterable[CatalogRow]) -> int:
        """Puts these rows in the place of all others, in one transaction; returns how many there are."""
        found = [{**asdict(row), "labels": orjson.dumps(row.labels).decode()} for row in rows]
        with self._database.write() as connection:
            connection.execute(delete(tables.catalog))
            if found:
                connection.execute(tables.catalog.insert(), found)
        return len(found)

    def rows(
        self,
        *,
        kind: str | None = None,
        name: str | None = None,
        owner: str | None = None,
        stage: str | None = None,
        status: str | None = None,
        labels: dict[str, str] | None = None,
        limit: int | None = None,
    ) -> list[CatalogRow]:
        """The rows that meet every filter given, by kind, name and version (as text); `labels` must all be there."""
        columns = tables.catalog.c
        query = select(tables.catalog).order_by(columns.kind, columns.name, columns.version)
        wanted = {"kind": kind, "name": name, "owner": owner, "stage": stage, "status": status}
        for column, value in wanted.items():
            if value is not None:
                query = query.where(columns[column] == value)
        with self._database.read() as connection:
            stored = connection.execute(query).all()
        rows = [CatalogRow(**{**row._mapping, "labels": orjson.loads(row.labels)}) for row in stored]
        if labels:
            rows = [row for row in rows if labels.items() <= row.labels.items()]
        return rows if limit is None else rows[:limit]
