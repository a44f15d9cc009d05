"""Budget accounts: what holders spent in a period, and what executors hold of it. All executors share them."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, select, update
from sqlalchemy.sql.elements import ColumnElement

from penstock.errors import Refused
from penstock.store import tables
from penstock.store.budget_ledger import HOLDERS, Account, BudgetLedger, accounts_of, add_to_account
from penstock.store.clock import now
from penstock.store.database import Database
from penstock.store.money import NANO, nano_of, usd_of

SHARE_OF_BUDGET, SHARE_OF_REST = 50, 8
"""A block is at most this part of the budget and of what is left, unless one call needs more: so that what lies in
executors shrinks as a budget ends."""
UNBOUNDED_BLOCK = 10 * NANO


@dataclass(frozen=True, slots=True)
class Draw:
    """What an executor asks of one account: at least `need` billionths of a USD. `hard` None = there is no limit."""

    account: Account
    need: int
    hard: int | None


@dataclass(frozen=True, slots=True)
class Drawn:
    """What it got, and how the account stands after that; `in_block` is all that the executor holds of it."""

    granted: int
    spent: int
    in_block: int


class NotEnough(Exception):
    """An account does not hold what is needed; nothing was drawn from any.

    `held` is in the hands of all executors, `in_block` of it in those of the one that asks.
    """

    def __init__(self, draw: Draw, spent: int, held: int, in_block: int = 0) -> None:
        super().__init__(draw.account)
        self.draw = draw
        self.spent = spent
        self.held = held
        self.in_block = in_block


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account, billionths of a USD; `held` is in the hands of `executors`."""

    holder: str
    period: str
    spent: int
    held: int
    executors: int


class BudgetStore:
    """Reads and moves money. Raises `Unavailable` when the database fails."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.ledger = BudgetLedger(database)

    def draw(self, executor: str, draws: Sequence[Draw]) -> dict[Account, Drawn]:
        """A block from each account, or `NotEnough`: all or none, in one transaction."""
        with self._database.write() as connection:
            ordered = sorted(draws, key=lambda one: one.account)  # one order, so that two never wait for each other
            return {one.account: self._draw(connection, executor, one) for one in ordered}

    def give_back(self, executor: str, amounts: dict[Account, int]) -> None:
        """Returns what was drawn and is not needed, billionths of a USD by account."""
        with self._database.write() as connection:
            for account in sorted(amounts):
                own = _block(executor, account)
                held = connection.scalar(select(tables.budget_blocks.c.nano).where(own)) or 0
                back = min(held, amounts[account])
                blocks, accounts = tables.budget_blocks.c, tables.budget_accounts.c
                connection.execute(update(tables.budget_blocks).where(own).values(nano=blocks.nano - back))
                less = update(tables.budget_accounts).where(_account(account))
                connection.execute(less.values(held_nano=accounts.held_nano - back))

    def spent(self, accounts: Sequence[Account]) -> dict[Account, int]:
        """What these accounts spent so far; 0 for one that nobody used."""
        columns = tables.budget_accounts.c
        with self._database.read() as connection:
            return {
                one: connection.scalar(select(columns.spent_nano).where(_account(one))) or 0 for one in set(accounts)
            }

    def is_first_alert(self, account: Account) -> bool:
        """Marks the soft limit of this account as told; False if somebody had told it."""
        columns = tables.budget_accounts.c
        with self._database.write() as connection:
            add_to_account(self._database, connection, account)
            mark = update(tables.budget_accounts).where(_account(account), columns.alerted == 0).values(alerted=1)
            return connection.execute(mark).rowcount == 1

    def rows(self, periods: Sequence[str]) -> list[AccountRow]:
        """The accounts of these periods, by holder."""
        columns, blocks = tables.budget_accounts.c, tables.budget_blocks.c
        query = select(tables.budget_accounts).where(columns.period.in_(periods))
        by_account: dict[Account, int] = {}
        with self._database.read() as connection:
            found = connection.execute(query.order_by(columns.holder, columns.period.desc())).all()
            held = select(blocks.holder, blocks.period).where(blocks.period.in_(periods), blocks.nano > 0)
            for holder, period in connection.execute(held):
                by_account[holder, period] = by_account.get((holder, period), 0) + 1
        return [
            AccountRow(
                one.holder, one.period, one.spent_nano, one.held_nano, by_account.get((one.holder, one.period), 0)
            )
            for one in found
        ]

    def correct(self, holder: str, day: str, amount_usd: float, *, who: str, reason: str) -> str:
        """Adds a line to the ledger, and its amount to the day and the month; returns the line's id.

        Raises `Refused` when that would leave less than nothing spent.
        """
        nano = nano_of(amount_usd) if amount_usd > 0 else -nano_of(-amount_usd)
        kind, _, name = holder.partition(":")
        line = {"day": day, **{one: name if one == kind else None for one in HOLDERS}}
        row = {"id": f"correction-{uuid.uuid4().hex}", "kind": "correction", "at": now(), "period": None, **line}
        with self._database.write() as connection:
            for account in accounts_of(line):
                add_to_account(self._database, connection, account, spent=nano)
                spent = connection.scalar(select(tables.budget_accounts.c.spent_nano).where(_account(account)))
                if spent is not None and spent < 0:
                    raise Refused(
                        f"{usd_of(spent - nano):.6f} USD are spent in {account[1]}, no more can be taken off",
                        where=holder,
                        now="see `agentctl budget ledger`",
                    )
            more = {"nano": nano, "estimated": 0, "who": who, "reason": reason}
            connection.execute(tables.budget_ledger.insert(), {**row, **more})
        return str(row["id"])

    def _draw(self, connection: Connection, executor: str, draw: Draw) -> Drawn:
        add_to_account(self._database, connection, draw.account)  # locks the row on PostgreSQL
        columns = tables.budget_accounts.c
        account = connection.execute(select(columns.spent_nano, columns.held_nano).where(_account(draw.account))).one()
        granted = _granted(draw, account.spent_nano, account.held_nano)
        if granted is None:
            in_block = connection.scalar(select(tables.budget_blocks.c.nano).where(_block(executor, draw.account)))
            raise NotEnough(draw, account.spent_nano, account.held_nano, in_block or 0)
        more = update(tables.budget_accounts).where(_account(draw.account))
        connection.execute(more.values(held_nano=columns.held_nano + granted))
        blocks = tables.budget_blocks.c
        insert: Any = self._database.insert(tables.budget_blocks).on_conflict_do_update(
            index_elements=["executor", "holder", "period"], set_={"nano": blocks.nano + granted}
        )
        holder, period = draw.account
        values = {"executor": executor, "holder": holder, "period": period, "nano": granted, "since": now()}
        connection.execute(insert, values)
        in_block = connection.scalar(select(blocks.nano).where(_block(executor, draw.account)))
        return Drawn(granted, account.spent_nano, in_block or 0)


def _granted(draw: Draw, spent: int, held: int) -> int | None:
    """The block's size; None where the account does not hold what is needed."""
    if draw.hard is None:
        return max(draw.need, UNBOUNDED_BLOCK)
    left = draw.hard - spent - held
    if left < draw.need:
        return None
    return max(draw.need, min(draw.hard // SHARE_OF_BUDGET, left // SHARE_OF_REST))


def _account(account: Account) -> ColumnElement[bool]:
    columns = tables.budget_accounts.c
    return and_(columns.holder == account[0], columns.period == account[1])


def _block(executor: str, account: Account) -> ColumnElement[bool]:
    columns = tables.budget_blocks.c
    return and_(columns.executor == executor, columns.holder == account[0], columns.period == account[1])
