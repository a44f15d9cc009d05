"""The poll: what webhooks would have told, found again; looking again changes nothing; one fault hides no other."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.policy import Stage
from penstock.forge.bot import Bot
from penstock.forge.check import Verdict
from penstock.forge.deployment import put_deployments
from penstock.forge.sync import Steps, sync
from penstock.release.driver import promote
from penstock.release.rollback import roll_back
from penstock.release.stops import change_status
from penstock.testing.eval_project import AGENT, PROMPT

World = Any  # of conftest.py
Deployed = tuple[str, str, str]


def steps(here: World) -> Steps:
    return Steps(lambda bot, head, base, cancelled: Verdict("passed", f"{head[:12]} is fine"))


def deployed(here: World) -> list[Deployed]:
    found = here.gitlab.state.deployments
    return [(one.environment.name, one.sha, one.status) for one in found]


def test_lost_webhooks_change_nothing_but_the_delay(world: Callable[..., World]) -> None:
    here = world()
    here.gitlab.lose_webhooks = True
    iid = here.request({"README.md": "words"})
    here.say(iid, "/penstock plan clerk --to canary")
    bot = here.bot()
    first = sync(bot, steps=steps(here))
    assert first.problems == []
    assert any("clerk@1.0.0 is moved to dev" in one for one in first.done)
    assert here.statuses(here.gitlab.head("topic"))[-1][0] == "success"
    assert len(here.notes(iid, "<!-- penstock:answer")) == 1
    assert [one[0] for one in deployed(here)] == ["dev"]
    calls = [call for call in here.gitlab.calls if call.request.method != "GET"]
    again = sync(bot, steps=steps(here))
    assert (again.done, again.problems) == ([], [])
    assert [call for call in here.gitlab.calls if call.request.method != "GET"] == calls
    assert sync(here.bot(), steps=steps(here)).done == []


def test_a_promotion_goes_its_way_by_the_poll_alone(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    iid = here.propose(("clerk", "1.0.0", "canary"))
    here.approve_request(iid, "ben")
    bot = here.bot()
    said = [line for _ in range(2) for line in sync(bot, steps=steps(here)).done]
    assert any(line.startswith(f"!{iid}: merged") for line in said), said
    assert [one[0] for one in deployed(here)] == ["canary"], "the first look tells what stands then"
    assert sync(bot, steps=steps(here)).done == []


def test_a_closed_promotion_is_ended_by_the_poll(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    iid = here.propose(("clerk", "1.0.0", "canary"))
    with here.as_user("mia") as mia:
        mia.project.mergerequests.update(iid, {"state_event": "close"})
    bot = here.bot()
    assert any("closed by mia" in one for one in sync(bot, steps=steps(here)).done)
    assert "penstock/clerk/canary" not in here.gitlab.state.heads


def test_statuses_that_nobody_ends_are_ended(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request({"README.md": "one"})
    old = here.gitlab.head("topic")
    orphan(here, old)
    here.push("topic", {"README.md": "two"})
    new = here.gitlab.head("topic")
    orphan(here, new)
    sync(here.bot(), steps=steps(here))
    assert here.statuses(old) == [("canceled", f"not checked to the end: a newer commit took its place: {new[:12]}")]
    assert here.statuses(new)[-1][0] == "success"
    here.push("topic", {"README.md": "three"})
    last = here.gitlab.head("topic")
    orphan(here, last)
    with here.as_user("ada") as ada:
        ada.project.mergerequests.update(iid, {"state_event": "close"})
    sync(here.bot(), steps=steps(here))
    assert here.statuses(last) == [("canceled", "not checked to the end: it is closed")]


def orphan(here: World, head: str) -> None:
    with here.as_user("penstock") as killed:
        statuses = killed.project.commits.get(head, lazy=True).statuses
        statuses.create({"state": "pending", "name": "penstock", "ref": "topic"})


@pytest.mark.parametrize("crash", [False, True])
def test_each_change_of_standing_is_one_deployment(crash: bool, world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    bot = here.bot()
    assert [one.environment for one in put_deployments(bot)] == ["dev"]
    here.approve("clerk", "1.0.0", "canary", "ben")
    promote(here.acting("ben"), ("clerk", "1.0.0", "canary"))
    here.approve("clerk", "1.0.0", "prod", "mia")
    promote(here.acting("mia"), ("clerk", "1.0.0", "prod"))
    if crash:  # the deployment is made, its mark is not
        here.gitlab.drop("POST", r"/deployments$", done=True)
        with pytest.raises(Exception, match="no answer"):
            put_deployments(bot)
    put_deployments(bot)
    put_deployments(here.bot())
    made = deployed(here)
    assert [(name, status) for name, _, status in made] == [
        ("dev", "success"),
        ("canary", "success"),
        ("prod", "success"),
    ]
    assert len({sha for _, sha, _ in made}) == 3


def test_a_rollback_of_prod_is_a_deployment_and_a_freeze_is_none(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    bot = here.bot()
    for version in ("1.0.0", "1.1.0"):
        if version == "1.1.0":
            here.gitlab.set_access("ada", 40)
            here.push("main", agent_files("1.1.0"))
            here.reconcile()
        moves: list[tuple[Stage, str]] = [("canary", "ben"), ("prod", "mia")]
        for stage, who in moves:
            here.approve("clerk", version, stage, who)
            promote(here.acting(who), ("clerk", version, stage))
        put_deployments(bot)
    before = len(deployed(here))
    roll_back(here.acting("mia"), "clerk", "it is bad", stage="prod")
    assert [(one.environment, one.version) for one in put_deployments(bot)] == [("dev", "1.1.0"), ("prod", "1.0.0")]
    change_status(here.acting("mia"), "freeze", "clerk", "wait")
    assert put_deployments(bot) == []
    assert len(deployed(here)) == before + 2


def agent_files(version: str) -> dict[str, str | None]:
    return {
        f"registry_repo/agents/clerk/{version}.yaml": AGENT.format(version=version),
        f"registry_repo/prompts/clerk/{version}.md": PROMPT.format(version=version),
    }


def test_one_fault_keeps_no_other_part_from_being_done(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request({"README.md": "words"})
    here.say(iid, "/penstock plan")
    here.gitlab.fail("GET", rf"/merge_requests/{iid}/notes$", 403)
    bot = here.bot()
    found = sync(bot, steps=steps(here))
    assert found.exit_status == 1
    assert len(found.problems) == 1
    assert here.statuses(here.gitlab.head("topic"))[-1][0] == "success"
    assert sync(bot, steps=steps(here)).done == [f"!{iid}: answered '/penstock plan'"]


def test_a_gitlab_that_is_away_is_said_and_the_rest_is_done(world: Callable[..., World], monkeypatch: Any) -> None:
    here = world()
    monkeypatch.setattr("penstock.forge.client.FIRST_WAIT_S", 0.01)
    bot = here.bot()
    here.gitlab.fail("GET", r"/merge_requests$", 503, times=9)
    found = sync(bot, steps=steps(here))
    assert found.exit_status == 3
    assert found.problems[0].startswith("merge requests: GitLab says 503")
    assert any("is moved to dev" in one for one in found.done)


def test_a_list_over_many_pages_is_looked_at_whole(world: Callable[..., World]) -> None:
    here = world()
    here.request({"README.md": "words"})
    for number in range(3):
        here.gitlab.commit(f"b{number}", {"x": str(number)})
        here.gitlab.open_merge_request(f"b{number}")
    bot = here.bot()
    bot.connection.client.per_page = 2
    here.gitlab.shift_pages(r"/merge_requests$", -1)
    sync(bot, steps=steps(here))
    heads = [here.gitlab.head(name) for name in ("topic", "b0", "b1", "b2")]
    assert [here.statuses(head)[-1][0] for head in heads] == ["success"] * 4


def test_a_cancelled_look_ends_after_the_part_in_hand(world: Callable[..., World]) -> None:
    here = world()
    here.request({"README.md": "words"})
    sync(here.bot(), steps=steps(here), cancelled=lambda: True)
    assert here.statuses(here.gitlab.head("topic")) == []


def test_bots_share_nothing_but_git_gitlab_and_the_store(world: Callable[..., World]) -> None:
    here = world()
    bots: list[Bot] = [here.bot(), here.bot()]
    iid = here.request({"README.md": "words"})
    here.say(iid, "/penstock plan")
    for bot in bots:
        sync(bot, steps=steps(here))
    assert len(here.notes(iid, "<!-- penstock:answer")) == 1
    assert len(here.notes(iid, "<!-- penstock:note")) == 1
