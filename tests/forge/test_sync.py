"""The poll: what webhooks would have told, found again; looking again changes nothing; one fault hides no other."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.routing_table import AgentRoutes, Entry, OverlayEntry, RoutingTable, TableSource
from penstock.errors import PenstockError
from penstock.forge.bot import Bot
from penstock.forge.check import Verdict
from penstock.forge.deployment import put_deployments
from penstock.forge.job import do_job
from penstock.forge.queue import Job
from penstock.forge.sync import Steps, sync
from penstock.release.clock import now, stamp

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
    assert [one[0] for one in deployed(here)] == ["dev/clerk"]
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
    assert [one[0] for one in deployed(here)] == ["canary/clerk"], "the first look tells what stands then"
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


def entry(version: str) -> Entry:
    return Entry(version=version, release=f"sha256:{'0' * 64}", runtime="direct")


class Tables:
    """Routing tables written one after the other, each of a commit of its own on main."""

    def __init__(self, here: World) -> None:
        self.here = here
        self.store = here.bot().workspace.releases
        self.lineage = self.store.lineage(create=True)
        self.number = 0

    def publish(self, *, pending: bool = False, **agents: dict[str, Any]) -> None:
        self.number += 1
        commit = self.here.gitlab.commit("main", {"n": str(self.number)})
        source = TableSource(commit=commit, kind="promote", actor="a", previous_generation=self.number - 1 or None)
        routes = {name: AgentRoutes(commit=commit, **places) for name, places in agents.items()}
        change = OverlayEntry(id="x", actor="a", reason="r", at="")
        table = RoutingTable(
            lineage=self.lineage,
            generation=self.number,
            created_at=stamp(now()),
            source=source,
            agents=routes,
            overlay={name: [change] for name in agents} if pending else {},
        )
        assert self.store.create_table(table)


def test_each_change_of_standing_is_one_deployment(world: Callable[..., World]) -> None:
    here = world()
    tables, bot = Tables(here), here.bot()
    bot.workspace.fetch()
    tables.publish(a={"dev": [entry("1.0.0")]})
    tables.publish(a={"prod": entry("1.0.0")}, b={"dev": [entry("2.0.0")]})
    assert [one.environment for one in put_deployments(bot)] == ["prod/a", "dev/b"]
    tables.publish(a={"prod": entry("1.0.0")}, b={"prod": entry("2.0.0")})
    tables.publish(a={"prod": entry("1.1.0")}, b={"prod": entry("2.0.0"), "status": "frozen"})
    tables.publish(pending=True, a={"prod": entry("1.0.0")}, b={"prod": entry("2.0.0")})
    told = [(one.generation, one.environment, one.version) for one in put_deployments(bot)]
    assert told == [(3, "prod/b", "2.0.0"), (4, "prod/a", "1.1.0"), (5, "prod/a", "1.0.0")]
    assert put_deployments(bot) == put_deployments(here.bot()) == []
    tables.publish(a={"prod": entry("1.0.0")}, b={"prod": entry("2.0.0")})
    assert put_deployments(bot) == []
    assert [(name, status) for name, _, status in deployed(here)] == [
        *(("prod/a", "success"), ("dev/b", "success")),
        *(("prod/b", "success"), ("prod/a", "success"), ("prod/a", "success")),
    ]


def test_a_crash_between_telling_and_marking_tells_once(world: Callable[..., World]) -> None:
    here = world()
    tables = Tables(here)
    here.bot().workspace.fetch()
    tables.publish(a={"prod": entry("1.0.0")}, b={"prod": entry("2.0.0")})
    here.gitlab.drop("POST", r"/deployments$", done=True)
    with pytest.raises(Exception, match="no answer"):
        put_deployments(here.bot())
    assert len(deployed(here)) == 1
    assert [one.agent for one in put_deployments(here.bot())] == ["b"]
    assert len(deployed(here)) == 2


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


def test_jobs_do_the_parts_of_a_look(world: Callable[..., World]) -> None:
    here = world()
    iid = here.request({"README.md": "words"})

    def do(*job: Any) -> list[str]:
        found = do_job(here.settings, Job(*job), lambda: False, steps(here))
        assert found.problems == []
        return found.done

    assert "clerk@1.0.0 is moved to dev" in do("base")
    assert do("base") == []
    assert do("request", iid) == [f"!{iid}: passed"]
    here.say(iid, "/penstock help")
    assert do("comments", iid) == [f"!{iid}: answered '/penstock help'"]
    proposal = here.propose(("clerk", "1.0.0", "canary"))
    here.approve_request(proposal, "ben")
    assert do("promotion", proposal)[0].startswith(f"!{proposal}: merged")
    assert [one[0] for one in deployed(here)] == ["dev/clerk", "canary/clerk"]
    with pytest.raises(PenstockError):
        do_job(here.settings.model_copy(update={"gitlab_url": ""}), Job("base"), lambda: False)
