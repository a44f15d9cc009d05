"""What runs cost: the one definition, summed up by any dimension to the same number.

The cost of a call is its tokens times the model's price, in whole billionths of a USD (`pal.Usage`). The cost of a run
is the sum of its calls that were answered, however the run ended; it is not known if one call's price is not. Sums are
of whole billionths, so their order changes nothing. Runs that were rejected never began and are left out.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import orjson
from sqlalchemy import BigInteger, Float, cast, func, select
from sqlalchemy.sql.elements import ColumnElement

from penstock.store import tables
from penstock.store.clock import moment
from penstock.store.database import Database
from penstock.store.money import NANO, usd_of

Dimension = Literal["agent", "version", "team", "tenant", "run", "model", "day"]
DIMENSIONS: tuple[Dimension, ...] = get_args(Dimension)
NOT_KNOWN = "(not known)"


@dataclass(frozen=True, slots=True)
class CostRow:
    """The sums of one value of a dimension, or of all. `unpriced` counts runs (by model: calls) of unknown cost.

    With `unpriced` above 0, `nano` (billionths of a USD) is what it cost at least.
    """

    key: str
    runs: int = 0
    unpriced: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    nano: int = 0
    duration_ms: float = 0.0

    def __add__(self, other: "CostRow") -> "CostRow":
        return replace(
            self,
            runs=self.runs + other.runs,
            unpriced=self.unpriced + other.unpriced,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            nano=self.nano + other.nano,
            duration_ms=self.duration_ms + other.duration_ms,
        )

    def as_document(self) -> dict[str, Any]:
        """The row as a JSON object."""
        return {
            "key": self.key,
            "runs": self.runs,
            "unpriced": self.unpriced,
            "promptTokens": self.prompt_tokens,
            "completionTokens": self.completion_tokens,
            "totalTokens": self.prompt_tokens + self.completion_tokens,
            "costUsd": usd_of(self.nano),
            "isAtLeast": self.unpriced > 0,
            "durationMs": round(self.duration_ms, 3),
        }


@dataclass(frozen=True, slots=True)
class CostTable:
    """The dearest rows first, days in their order; `total` is of all runs, whatever the dimension."""

    by: Dimension
    rows: tuple[CostRow, ...]
    total: CostRow

    def as_document(self, limit: int | None = None) -> dict[str, Any]:
        """The table as a JSON object; `left_out` rows are in the total."""
        shown = self.rows if limit is None else self.rows[:limit]
        return {
            "by": self.by,
            "rows": [row.as_document() for row in shown],
            "leftOut": len(self.rows) - len(shown),
            "total": self.total.as_document(),
        }


class CostStore:
    """Reads what stored runs cost. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def table(
        self, by: Dimension, since: str, *, mode: str = "live", only: Mapping[str, str] | None = None
    ) -> CostTable:
        """The cost of runs that began at or after `since` (RFC 3339); `only` picks by columns, as agent or tenant."""
        columns = tables.runs.c
        wanted = [columns.started_at >= moment(since), columns.mode == mode, columns.status != "rejected"]
        wanted += [columns[name] == value for name, value in (only or {}).items()]
        rows = self._by_model(wanted) if by == "model" else self._by_column(by, wanted)
        ordered = sorted(rows, key=(lambda row: row.key) if by == "day" else _dearest)
        total = ordered if by != "model" else self._by_column("agent", wanted)
        return CostTable(by, tuple(ordered), sum(total, CostRow("total")))

    def _by_column(self, by: Dimension, wanted: list[ColumnElement[bool]]) -> list[CostRow]:
        columns = tables.runs.c
        keys: dict[Dimension, ColumnElement[Any]] = {
            "agent": columns.agent,
            "version": columns.agent + "@" + columns.version,
            "team": columns.team,
            "tenant": columns.tenant,
            "run": columns.run_id,
            "day": func.substr(columns.started_at, 1, len("2026-11-29")),
        }
        nano = cast(func.round(columns.cost_usd * cast(NANO, Float)), BigInteger)
        key = keys[by]
        query = select(
            key,
            func.count(),
            func.count() - func.count(columns.cost_usd),
            func.coalesce(func.sum(columns.prompt_tokens), 0),
            func.coalesce(func.sum(columns.completion_tokens), 0),
            func.coalesce(func.sum(nano), 0),
            func.coalesce(func.sum(columns.duration_ms), 0.0),
        )
        with self._database.read() as connection:
            found = connection.execute(query.where(*wanted).group_by(key)).all()
        return [
            CostRow(name or NOT_KNOWN, runs, unpriced, int(prompt), int(completion), int(cost), float(took))
            for name, runs, unpriced, prompt, completion, cost, took in found
        ]

    def _by_model(self, wanted: list[ColumnElement[bool]]) -> list[CostRow]:
        """From the runs' documents: a run may ask several models. Durations are those of runs that asked it."""
        with self._database.read() as connection:
            found = connection.execution_options(yield_per=1_000).scalars(select(tables.runs.c.document).where(*wanted))
            return _summed(row for text in found for row in _models(orjson.loads(text)))


def _models(run: Mapping[str, Any]) -> Iterator[CostRow]:
    took, models = float(run.get("durationMs") or 0.0), run.get("models")
    if models is None:  # written before runs told their models apart
        usage = run.get("usage") or {}
        models = {NOT_KNOWN: {**usage, "unpricedCalls": int(usage.get("costUsd") is None)}}
    for name, used in models.items():
        yield CostRow(
            name,
            1,
            int(used["unpricedCalls"]),
            int(used.get("promptTokens") or 0),
            int(used.get("completionTokens") or 0),
            round((used.get("costUsd") or 0.0) * NANO),
            took,
        )


def _summed(rows: Iterable[CostRow]) -> list[CostRow]:
    by_key: dict[str, CostRow] = {}
    for row in rows:
        by_key[row.key] = by_key[row.key] + row if row.key in by_key else row
    return list(by_key.values())


def _dearest(row: CostRow) -> tuple[int, int, str]:
    return -row.nano, -row.unpriced, row.key
