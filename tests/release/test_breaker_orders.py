"""An operator's word on a breaker: in the table at once, with Git stopped, carried on until the next one."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import NotFound, Refused, WrongUse
from penstock.release.breaker import order_breaker
from penstock.routing.difference import difference

World = Any
AUTHOR, STRANGER, MANAGER = (
    ("Ada Author", "author@example.org"),
    ("Sam Stranger", "stranger@example.org"),
    ("Mia Manager", "manager@example.org"),
)
MODEL = "models/standard"


@pytest.fixture(scope="module")
def here(lasting_world: Callable[..., World]) -> World:
    made = lasting_world()
    made.reconcile()
    made.workspace(STRANGER)
    return made


def test_it_needs_no_git_and_every_later_table_carries_it(here: World, capsys: pytest.CaptureFixture[str]) -> None:
    before = here.table()
    away = here.author.remote.with_name("away.git")
    workspace = here.workspace(AUTHOR)
    here.author.remote.rename(away)
    table = order_breaker(workspace, MODEL, "open", " the provider \n is down ")
    away.rename(here.author.remote)
    assert table.generation == before.generation + 1
    source = table.source
    assert (source.kind, source.actor, source.reason) == (
        "breaker-open", "author@example.org", "models/standard: the provider is down",
    )  # fmt: skip
    order = table.breakers[MODEL]
    assert (order.state, order.actor, order.reason) == ("open", "author@example.org", "the provider is down")
    assert [(one.agent, one.field, one.before) for one in difference(before, table)] == [(MODEL, "breaker", None)]

    here.add("helper", "1.1.0")
    here.reconcile()
    assert here.table().generation > table.generation
    assert here.table().breakers == table.breakers

    assert here.cli(MANAGER, "breaker", "--json") == 0
    assert json.loads(capsys.readouterr().out)["breakers"] == [
        {"resource": MODEL, "state": "open", "why": "the provider is down", "since": order.at,
         "openedBy": "author@example.org"}
    ]  # fmt: skip
    assert here.cli(MANAGER, "breaker", "close", MODEL, "--reason", "it is back") == 0
    said = capsys.readouterr().out
    assert f"breaker of {MODEL} closed: routing table {here.table().generation} is in force" in said
    assert here.table().breakers[MODEL].state == "closed"
    assert here.table().source.kind == "breaker-close"


def test_the_owning_team_and_release_managers_have_the_right(here: World) -> None:
    generation = here.table().generation
    with pytest.raises(Refused, match=r"stranger@example\.org may not open the breaker of models/standard"):
        order_breaker(here.workspace(STRANGER), MODEL, "open", "for fun")
    assert here.table().generation == generation


@pytest.mark.parametrize(
    ("resource", "reason", "error", "told"),
    [
        ("agents/helper", "x", WrongUse, "'agents/helper' has no breaker"),
        ("models/standard@1.0.0", "x", WrongUse, "has no breaker"),
        ("models/standart", "x", NotFound, "no models/standart on the base branch"),
        ("tools/search", "x", NotFound, "no tools/search"),
        (MODEL, "  ", WrongUse, "a reason is needed"),
    ],
)
def test_what_makes_no_sense_is_refused(
    here: World, resource: str, reason: str, error: type[Exception], told: str
) -> None:
    with pytest.raises(error, match=told):
        order_breaker(here.workspace(MANAGER), resource, "open", reason)
