from typing import Any

import pytest

from penstock.errors import Refused
from penstock.store.budget_ledger import Account
from penstock.store.budgets import BudgetStore, Draw, NotEnough
from penstock.store.database import Database
from penstock.store.money import NANO, nano_of, usd_of
from penstock.store.runs import RunStore

DAY, MONTH = "2026-11-29", "2026-11"
AGENT_DAY: Account = ("agent:clerk", DAY)
TEAM_MONTH: Account = ("team:desk", MONTH)


@pytest.fixture
def budgets(database: Database) -> BudgetStore:
    return BudgetStore(database)


def spending(number: int, nano: int | None, executor: str = "one", **more: Any) -> dict[str, Any]:
    """One call's line as an executor spools it."""
    return {
        "kind": "spending",
        "id": f"{executor}-{number}",
        "executor": executor,
        "at": f"{DAY}T10:00:{number:02}.000000Z",
        "day": DAY,
        "runId": f"run-{number}",
        "agent": "clerk",
        "team": "desk",
        "tenant": None,
        "model": "models/fake@1.0.0",
        "nano": nano,
        "estimated": False,
        **more,
    }


def standing(budgets: BudgetStore) -> dict[Account, tuple[int, int]]:
    """(spent, held) by account."""
    return {(row.holder, row.period): (row.spent, row.held) for row in budgets.rows([DAY, MONTH])}


@pytest.mark.parametrize(("usd", "nano"), [(0.0, 0), (0.001, 1_000_000), (0.1 + 0.2, 300_000_000), (1.2e-9, 2)])
def test_money_is_rounded_up_and_floating_point_adds_nothing(usd: float, nano: int) -> None:
    assert nano_of(usd) == nano
    assert nano_of(usd_of(nano)) == nano


def test_a_block_is_a_small_part_unless_a_call_needs_more(budgets: BudgetStore) -> None:
    hard = 100 * NANO
    assert budgets.draw("one", [Draw(AGENT_DAY, 1, hard)])[AGENT_DAY].granted == 2 * NANO
    assert budgets.draw("one", [Draw(AGENT_DAY, 90 * NANO, hard)])[AGENT_DAY].granted == 90 * NANO
    last = budgets.draw("two", [Draw(AGENT_DAY, 1, hard)])[AGENT_DAY]
    assert (last.granted, last.in_block) == (NANO, NANO)  # an eighth of the 8 USD that are left
    assert standing(budgets) == {AGENT_DAY: (0, 93 * NANO)}


def test_all_accounts_give_or_none_does(budgets: BudgetStore) -> None:
    with pytest.raises(NotEnough) as caught:
        budgets.draw("one", [Draw(AGENT_DAY, 5, 100), Draw(TEAM_MONTH, 5, 4)])
    assert (caught.value.draw.account, caught.value.spent, caught.value.held) == (TEAM_MONTH, 0, 0)
    assert standing(budgets) == {}
    budgets.draw("one", [Draw(AGENT_DAY, 5, 100), Draw(TEAM_MONTH, 4, 4)])
    assert standing(budgets) == {AGENT_DAY: (0, 5), TEAM_MONTH: (0, 4)}


def test_what_was_spent_leaves_the_block_and_is_taken_in_once(budgets: BudgetStore, database: Database) -> None:
    budgets.draw("one", [Draw(AGENT_DAY, 1_000, 1_000)])
    lines = [spending(1, 300), spending(2, 100, estimated=True), spending(3, None)]
    for _ in range(2):
        RunStore(database).ingest(lines)
    expected = {AGENT_DAY: (400, 600), ("agent:clerk", MONTH): (400, 0)}
    assert standing(budgets) == {**expected, ("team:desk", DAY): (400, 0), TEAM_MONTH: (400, 0)}
    sums = budgets.ledger.sums("agent:clerk", period=DAY)
    assert (sums.lines, sums.spent, sums.estimated, sums.unpriced) == (3, 400, 100, 1)
    newest = budgets.ledger.lines("team:desk", period=MONTH, limit=2)
    assert [(line["runId"], line["amountUsd"]) for line in newest] == [("run-2", usd_of(100)), ("run-3", None)]
    assert budgets.ledger.lines("team:other") == []


def test_who_ends_well_gives_back_what_is_left(budgets: BudgetStore, database: Database) -> None:
    budgets.draw("one", [Draw(AGENT_DAY, 1_000, 2_000)])
    budgets.draw("two", [Draw(AGENT_DAY, 500, 2_000)])
    budgets.give_back("two", {AGENT_DAY: 200, TEAM_MONTH: 0})
    RunStore(database).ingest([spending(1, 300), {"kind": "purse-closed", "executor": "one"}])
    assert standing(budgets)[AGENT_DAY] == (300, 300)
    assert [row.executors for row in budgets.rows([DAY]) if row.holder == "agent:clerk"] == [1]


def test_a_call_that_cost_more_than_was_held_leaves_no_debt_to_others(budgets: BudgetStore, database: Database) -> None:
    for executor in ("one", "two"):
        budgets.draw(executor, [Draw(AGENT_DAY, 100, 1_000)])
    RunStore(database).ingest([spending(1, 150)])
    assert standing(budgets)[AGENT_DAY] == (150, 100)


def test_a_correction_is_on_record_and_takes_no_more_off_than_was_spent(
    budgets: BudgetStore, database: Database
) -> None:
    RunStore(database).ingest([spending(1, 2 * NANO)])
    with pytest.raises(Refused, match=r"2\.000000 USD are spent"):
        budgets.correct("agent:clerk", DAY, -2.5, who="ada@example.com", reason="the bill")
    budgets.correct("agent:clerk", DAY, -1.5, who="ada@example.com", reason="the bill")
    assert standing(budgets)[AGENT_DAY] == (NANO // 2, 0)
    assert standing(budgets)[TEAM_MONTH] == (2 * NANO, 0)
    line = budgets.ledger.lines("agent:clerk")[-1]
    assert (line["kind"], line["amountUsd"], line["who"], line["reason"]) == (
        "correction", -1.5, "ada@example.com", "the bill",
    )  # fmt: skip


def test_a_soft_limit_is_told_by_one_of_all(budgets: BudgetStore) -> None:
    assert [budgets.is_first_alert(AGENT_DAY) for _ in range(3)] == [True, False, False]
    assert budgets.is_first_alert(TEAM_MONTH)
