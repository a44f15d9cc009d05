"""Who may correct what was spent, and what of it is on record."""

import json
from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from penstock.errors import PenstockError, Refused, WrongUse
from penstock.release.budget import correct_budget
from penstock.release.workspace import Workspace
from penstock.store.budgets import BudgetStore

AUTHOR = ("Ada Author", "author@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
DAY = date(2026, 11, 29)


def test_a_release_manager_corrects_and_it_stays_on_record(
    world: Callable[..., Any], capfd: pytest.CaptureFixture[str]
) -> None:
    here = world()
    manager: Workspace = here.workspace(MANAGER)
    correct_budget(manager, "agent:helper", DAY, 2.5, "paid\n  by hand")
    assert here.cli(MANAGER, "budget", "correct", "agent:helper", "--amount", "-1.25", "--day", "2026-11-29",
                    "--reason", "the provider's bill", "--json") == 0  # fmt: skip
    assert json.loads(capfd.readouterr().out)["amountUsd"] == -1.25
    lines = BudgetStore(manager.database).ledger.lines("agent:helper", period="2026-11")
    assert [(line["amountUsd"], line["who"], line["reason"]) for line in lines] == [
        (2.5, MANAGER[1], "paid by hand"),
        (-1.25, MANAGER[1], "the provider's bill"),
    ]
    spent = {
        (row.holder, row.period): row.spent for row in BudgetStore(manager.database).rows(["2026-11", "2026-11-29"])
    }
    assert spent == {("agent:helper", "2026-11"): 1_250_000_000, ("agent:helper", "2026-11-29"): 1_250_000_000}
    refused: list[tuple[tuple[str, str], str, float, str, type[PenstockError]]] = [
        (AUTHOR, "agent:helper", -1.0, "mine", Refused),
        (MANAGER, "agent:helper", -1.3, "too much", Refused),
        (MANAGER, "helper", 1.0, "nobody", WrongUse),
        (MANAGER, "agent:helper", 0.0, "nothing", WrongUse),
        (MANAGER, "agent:helper", 1.0, " ", WrongUse),
    ]
    for who, holder, amount, reason, kind in refused:
        with pytest.raises(kind):
            correct_budget(here.workspace(who), holder, DAY, amount, reason)
    assert len(BudgetStore(manager.database).ledger.lines("agent:helper")) == 2
