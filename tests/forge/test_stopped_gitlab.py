"""What goes on while GitLab is away, and what is proposed that nobody has to approve."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import Unavailable
from penstock.forge.check import Verdict
from penstock.forge.sync import Steps, sync
from penstock.release.canary import tick
from penstock.release.driver import promote
from penstock.release.rollback import roll_back
from penstock.testing.eval_project import AGENT, PROMPT

World = Any  # of conftest.py
CANARY: Any = ("clerk", "1.0.0", "canary")


def look(here: World, times: int = 2) -> list[str]:
    """What so many polls of the bot did."""
    bot = here.bot()
    return [line for _ in range(times) for line in sync(bot, steps=STEPS).done]


STEPS = Steps(lambda bot, head, base, cancelled: Verdict("passed", "fine"))


@pytest.fixture
def with_canary(world: Callable[..., World]) -> World:
    """clerk 1.0.0 in canary, by a merge request that ben approved."""
    here = world()
    here.reconcile()
    here.approve_request(here.propose(CANARY), "ben")
    look(here)
    assert here.routes().canary is not None
    return here


def test_a_rollback_is_in_force_while_gitlab_is_away_and_its_commit_follows(with_canary: World) -> None:
    here = with_canary
    here.gitlab.away = True
    done = roll_back(here.acting("ben"), "clerk", "bad answers", stage="canary")
    assert here.routes().canary is None
    assert done.pending
    table = here.acting("ben").releases.newest_table()
    assert table is not None
    assert [entry.reason for entry in table.overlay["clerk"]] == ["bad answers"]
    here.gitlab.away = False
    said = look(here, times=3)
    assert any("merged" in line for line in said), said
    table = here.acting("ben").releases.newest_table()
    assert table is not None
    assert table.overlay == {}
    assert here.routes().canary is None, "nothing undoes it"


def test_a_promotion_while_gitlab_is_away_is_an_error_and_moves_nothing(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    here.by_requests()
    here.gitlab.away = True
    with pytest.raises(Unavailable):
        promote(here.acting("ben"), CANARY)
    here.gitlab.away = False
    assert here.routes().canary is None
    applied = promote(here.acting("ben"), CANARY)
    assert applied.proposal is not None, "the branch that was pushed before is found again"


def test_a_canary_step_is_a_merge_request_that_asks_nobody(with_canary: World) -> None:
    here = with_canary
    here.by_requests("push")
    promote(here.acting("mia"), ("clerk", "1.0.0", "prod"), override="the first one")
    text = (here.author.root / "pipelines/release.yaml").read_text()
    text = text.replace("[{percent: 20}]", "[{percent: 5}, {percent: 50}]").replace(", gates: [{gate: schema}]", "")
    changes = {
        "pipelines/release.yaml": text,
        "registry_repo/agents/clerk/1.1.0.yaml": AGENT.format(version="1.1.0"),
        "registry_repo/prompts/clerk/1.1.0.md": PROMPT.format(version="1.1.0"),
    }
    here.push("main", changes, by="mia")
    here.reconcile()
    promote(here.acting("mia"), ("clerk", "1.1.0", "canary"), override="to see it grow")
    here.by_requests()
    workspace = here.acting("mia")
    workspace.fetch()
    (found,) = tick(workspace)
    assert found.did == "proposed"
    assert any("merged" in line for line in look(here, times=3))
    canary = here.routes().canary
    assert canary is not None
    assert (canary.step, canary.weight_bp) == (2, 5000)
