"""The budget ledger: what was spent, by whom, in the same transaction as the runs that spent it."""

import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, delete, func, or_, select, update
from sqlalchemy.sql.elements import ColumnElement

from penstock.store import tables
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.money import usd_of

HOLDERS = ("agent", "team", "tenant")
Account = tuple[str, str]
"""(holder, period): `agent:clerk` and `2026-11-29` or `2026-11`."""
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class LedgerSums:
    """What the lines of one account come to, billionths of a USD.

    `estimated` is the part whose real cost is not known; `unpriced` counts lines without any amount.
    """

    lines: int
    spent: int
    estimated: int
    unpriced: int

    def as_document(self) -> dict[str, Any]:
        """The sums as a JSON object, in USD."""
        return {
            "lines": self.lines,
            "spentUsd": usd_of(self.spent),
            "estimatedUsd": usd_of(self.estimated),
            "unpricedCalls": self.unpriced,
        }


class BudgetLedger:
    """Reads lines, and takes in what the spool holds."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take_in(
        self, connection: Connection, spendings: Sequence[Mapping[str, Any]], closed: Sequence[Mapping[str, Any]]
    ) -> None:
        """Adds spendings to ledger and accounts, and gives back what executors that ended well still held.

        What is known already changes nothing.
        """
        fresh = self._unknown(connection, spendings)
        if fresh:
            connection.execute(tables.budget_ledger.insert(), [_row(one) for one in fresh])
            self._spend(connection, fresh)
        for record in closed:
            give_up_blocks(connection, str(record["executor"]))

    def lines(
        self, holder: str, *, period: str | None = None, since: str | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """The newest lines of a holder, newest last, of one period or since a moment (RFC 3339)."""
        columns = tables.budget_ledger.c
        query = select(tables.budget_ledger).where(_of(holder, period)).order_by(columns.at.desc(), columns.id.desc())
        if since is not None:
            query = query.where(columns.at >= since)
        with self._database.read() as connection:
            rows = connection.execute(query.limit(limit)).mappings().all()
        return [_document(dict(row)) for row in reversed(rows)]

    def sums(self, holder: str, *, period: str | None = None, since: str | None = None) -> LedgerSums:
        """What all of these lines come to."""
        columns = tables.budget_ledger.c
        query = select(
            func.count(),
            func.coalesce(func.sum(columns.nano), 0),
            func.coalesce(func.sum(columns.nano * columns.estimated), 0),
            func.count() - func.count(columns.nano),
        ).where(_of(holder, period))
        if since is not None:
            query = query.where(columns.at >= since)
        with self._database.read() as connection:
            lines, spent, estimated, unpriced = connection.execute(query).one()
        return LedgerSums(lines, int(spent), int(estimated), unpriced)

    def _unknown(self, connection: Connection, spendings: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        by_id = {str(one["id"]): one for one in spendings}
        ids, column = list(by_id), tables.budget_ledger.c.id
        for start in range(0, len(ids), _CHUNK):
            for known in connection.scalars(select(column).where(column.in_(ids[start : start + _CHUNK]))):
                del by_id[known]
        return list(by_id.values())

    def _spend(self, connection: Connection, spendings: Iterable[Mapping[str, Any]]) -> None:
        """Moves what was spent from what the executor held to what the account spent."""
        by_holders: dict[tuple[Any, ...], int] = defaultdict(int)
        for one in spendings:
            key = one["executor"], one["day"], one["agent"], one["team"], one["tenant"]
            by_holders[key] += one["nano"] or 0
        spent: dict[Account, int] = defaultdict(int)
        by_block: dict[tuple[Account, str], int] = defaultdict(int)
        for (executor, day, *names), nano in by_holders.items():
            for account in accounts_of({"day": day, **dict(zip(HOLDERS, names, strict=True))}):
                spent[account] += nano
                by_block[account, str(executor)] += nano
        for account in sorted(spent):
            add_to_account(self._database, connection, account, spent=spent[account])
        blocks, accounts = tables.budget_blocks.c, tables.budget_accounts.c
        for account, executor in sorted(by_block):
            own = and_(blocks.executor == executor, blocks.holder == account[0], blocks.period == account[1])
            held = connection.scalar(select(blocks.nano).where(own))
            used = min(held or 0, by_block[account, executor])
            if used:
                connection.execute(update(tables.budget_blocks).where(own).values(nano=blocks.nano - used))
                of_account = and_(accounts.holder == account[0], accounts.period == account[1])
                less = update(tables.budget_accounts).where(of_account).values(held_nano=accounts.held_nano - used)
                connection.execute(less)


def accounts_of(spending: Mapping[str, Any]) -> list[Account]:
    """The accounts in which a spending counts: of each holder, the day and its month."""
    day = str(spending["day"])
    return [(f"{kind}:{spending[kind]}", period) for kind in HOLDERS if spending[kind] for period in (day, day[:7])]


def add_to_account(database: Database, connection: Connection, account: Account, *, spent: int = 0) -> None:
    """Adds to what an account spent; the account is made by whoever comes first."""
    insert: Any = database.insert(tables.budget_accounts)
    columns = tables.budget_accounts.c
    more = {"spent_nano": columns.spent_nano + spent}
    values = {"holder": account[0], "period": account[1], "spent_nano": spent, "held_nano": 0, "alerted": 0}
    connection.execute(insert.on_conflict_do_update(index_elements=["holder", "period"], set_=more), values)


Unknown = Callable[[Account, int], int]
"""How much of a block nobody can tell whether it is spent, given its account and size."""


def give_up_blocks(connection: Connection, executor: str, unknown: Unknown = lambda account, nano: 0) -> None:
    """Ends what an executor held: what is `unknown` of it counts as spent, the rest goes back.

    Called again it finds nothing.
    """
    blocks, accounts = tables.budget_blocks.c, tables.budget_accounts.c
    query = select(blocks.holder, blocks.period, blocks.nano).where(blocks.executor == executor)
    found = connection.execute(query.order_by(blocks.holder, blocks.period)).all()
    for holder, period, nano in found:
        values: dict[str, Any] = {"held_nano": accounts.held_nano - nano}
        lost = unknown((holder, period), nano)
        if lost:
            values["spent_nano"] = accounts.spent_nano + lost
            connection.execute(tables.budget_ledger.insert(), _lost_row(executor, holder, period, lost))
        of_account = and_(accounts.holder == holder, accounts.period == period)
        connection.execute(update(tables.budget_accounts).where(of_account).values(**values))
    if found:
        connection.execute(delete(tables.budget_blocks).where(blocks.executor == executor))


def _lost_row(executor: str, holder: str, period: str, nano: int) -> dict[str, Any]:
    kind, _, name = holder.partition(":")
    at = now()
    return {
        "id": f"lost-{uuid.uuid4().hex}",
        "kind": "lost",
        "at": at,
        "day": period if len(period) == len("2026-11-29") else at[:10],
        "period": period,
        **{one: name if one == kind else None for one in HOLDERS},
        "nano": nano,
        "estimated": 1,
        "who": f"executor {executor}",
        "reason": "the executor died in the middle of calls: what they cost is not known",
    }


def _row(one: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": one["id"],
        "kind": "call",
        "at": one["at"],
        "day": one["day"],
        "agent": one["agent"],
        "team": one["team"],
        "tenant": one["tenant"],
        "run_id": one["runId"],
        "model": one["model"],
        "nano": one["nano"],
        "estimated": int(one["estimated"]),
    }


def _document(row: Mapping[str, Any]) -> dict[str, Any]:
    """A line as a JSON object; what says nothing is left out."""
    line = {
        "at": row["at"],
        "kind": row["kind"],
        "amountUsd": usd_of(row["nano"]) if row["nano"] is not None else None,
        "estimated": bool(row["estimated"]),
        "runId": row["run_id"],
        "model": row["model"],
        **{kind: row[kind] for kind in HOLDERS},
        "period": row["period"],
        "who": row["who"],
        "reason": row["reason"],
    }
    return {name: value for name, value in line.items() if value is not None or name == "amountUsd"}


def _of(holder: str, period: str | None) -> ColumnElement[bool]:
    kind, _, name = holder.partition(":")
    columns = tables.budget_ledger.c
    condition: ColumnElement[bool] = columns[kind] == name
    if period is None:
        return condition
    whole = columns.day == period if len(period) == len("2026-11-29") else columns.day.like(f"{period}-%")
    return and_(condition, or_(and_(columns.period.is_(None), whole), columns.period == period))
