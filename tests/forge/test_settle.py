"""A promotion as the bot's merge request: approvals of one commit, a guarded merge, a close that ends it."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.evidence import Request
from penstock.contracts.policy import Stage
from penstock.errors import Refused
from penstock.forge.settle import end_closed
from penstock.release.clock import now, stamp
from penstock.release.driver import promote
from penstock.release.rollback import roll_back
from penstock.release.stops import unhold

World = Any  # of conftest.py
SUBJECT: tuple[str, str, Stage] = ("clerk", "1.0.0", "canary")
STAGES = "registry_repo/stages/clerk.yaml"
NOTE = "<!-- penstock:promotion -->"


def a_proposal(here: World) -> int:
    here.reconcile()
    iid: int = here.propose(SUBJECT)
    return iid


def test_proposing_again_finds_the_open_one(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    assert here.propose(SUBJECT) == iid
    made = here.gitlab.merge_request(iid)
    assert made.title == "Promote clerk@1.0.0 to canary"
    assert "penstock::promotion" in made.labels
    assert "0 of 1 approvals by an approver of team qa" in made.description
    assert here.gitlab.head("penstock/clerk/canary")[:12] in made.description


def test_somebody_else_s_request_on_the_branch_is_refused(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    here.push("penstock/clerk/canary", {"README.md": "mine"})
    here.gitlab.open_merge_request("penstock/clerk/canary", by="ada")
    with pytest.raises(Refused, match="is not the bot's"):
        here.propose(SUBJECT)


def test_from_a_proposal_over_an_approval_to_the_table(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    waiting = here.settle(iid)
    assert waiting.outcome == "waiting"
    assert "0 of 1 approvals by an approver of team qa" in waiting.sentence
    head = here.gitlab.head("penstock/clerk/canary")
    assert [state for state, _ in here.statuses(head)] == ["pending"]
    here.approve_request(iid, "ben")
    merged = here.settle(iid)
    assert merged.outcome == "merged", merged
    canary = here.routes().canary
    assert canary is not None
    assert canary.version == "1.0.0"
    assert here.gitlab.merge_request(iid).state == "merged"
    workspace = here.bot().workspace
    workspace.fetch()
    commit = workspace.repository.commits(STAGES, None, workspace.base_head())[0]
    assert "Asked for by ben@example.org." in commit.message
    (approval,) = workspace.releases.approvals(commit.trailers["Evidence"][0])
    assert (approval.who, approval.identified_by) == ("ben@example.org", "gitlab")
    assert len(here.notes(iid, NOTE)) == 1


def test_an_approval_of_an_author_or_a_stranger_does_not_count_and_says_why(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ada")
    here.approve_request(iid, "mia")
    assert here.settle(iid).outcome == "waiting"
    (note,) = here.notes(iid, NOTE)
    assert "author&#64;example.org wrote clerk&#64;1.0.0 and may not approve it" in note
    assert "mia&#64;example.org may not approve for canary" in note


def test_an_approval_of_an_older_head_does_not_count(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    with here.as_user("penstock") as bot:  # the same move again, as another commit
        head = bot.project.branches.get("penstock/clerk/canary").commit["id"]
    workspace = here.bot().workspace
    workspace.fetch()
    known = workspace.repository.commit(head)
    content = {STAGES: workspace.repository.read(head, STAGES)}
    again = workspace.repository.write_commit(known.parents[0], content, f"{known.message}\n", workspace.bot)
    assert again != head
    workspace.repository.push_aside(again, "penstock/clerk/canary")
    assert here.settle(iid).outcome == "waiting"
    assert workspace.releases.approvals(_evidence(here)) == []


def test_taking_an_approval_back_is_a_no_until_the_next_yes(world: Callable[..., World]) -> None:
    here = world()
    hold_off = here.bot()
    iid = a_proposal(here)
    here.gitlab.fail("PUT", r"/merge$", 405, times=9)  # so that nothing is merged meanwhile
    here.approve_request(iid, "ben")
    here.settle(iid)
    with here.as_user("ben") as ben:
        ben.merge_request(iid).unapprove()
    assert "ben@example.org rejected it: took back: approved !1 at commit" in here.settle(iid).sentence
    here.approve_request(iid, "ben")
    assert "405" in here.settle(iid).sentence
    kinds = [one.kind for one in hold_off.workspace.releases.approvals(_evidence(here))]
    assert kinds == ["approve", "reject", "approve"]
    assert here.settle(iid).outcome == "waiting"
    assert len(hold_off.workspace.releases.approvals(_evidence(here))) == 3


def test_a_head_that_moves_before_the_merge_is_not_merged(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    good = here.gitlab.head("penstock/clerk/canary")

    def push() -> None:
        here.gitlab.commit("penstock/clerk/canary", {"registry_repo/teams.yaml": "evil"}, by="ada")

    here.gitlab.before("PUT", r"/merge$", push)
    assert here.settle(iid).outcome == "waiting"
    assert here.gitlab.merge_request(iid).state == "opened"
    assert here.gitlab.head("penstock/clerk/canary") != good
    assert here.settle(iid).outcome == "refused"
    assert here.gitlab.merge_request(iid).state == "opened"
    assert here.propose(SUBJECT) == iid
    assert here.settle(iid).outcome == "merged", "what Ben approved was the evidence, and it is the same"


def test_a_commit_that_hides_below_the_promotion_is_not_merged(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    author = here.author
    author.git("fetch", "--quiet", "origin")
    author.git("checkout", "--quiet", "-b", "evil", "origin/main")
    author.commit({"registry_repo/teams.yaml": "releaseManagers: [eve@example.org]\n"}, "Evil")
    author.git("fetch", "--quiet", here.gitlab.git_url("ada"), "penstock/clerk/canary")
    author.git("cherry-pick", "FETCH_HEAD")
    author.git("push", "--quiet", "--force", here.gitlab.git_url("ada"), "HEAD:penstock/clerk/canary")
    again = here.settle(iid)
    assert again.outcome == "proposed again"
    assert "brings other commits" in again.sentence
    assert here.gitlab.merge_request(iid).state == "opened"
    assert "eve" not in here.author.git("--git-dir", str(here.author.remote), "show", "main:registry_repo/teams.yaml")


@pytest.mark.parametrize("status", [405, 409, 422])
def test_a_merge_that_gitlab_refuses_is_tried_again_later(status: int, world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    here.gitlab.fail("PUT", r"/merge$", status)
    assert here.settle(iid).outcome == "waiting"
    assert here.routes().canary is None
    assert here.settle(iid).outcome == "merged"


def test_main_that_moved_meanwhile_is_merged_into(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    here.push("main", {"README.md": "more"}, by="mia")
    assert here.settle(iid).outcome == "merged"
    assert here.routes().canary is not None


def test_a_lost_answer_to_the_merge_changes_nothing(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    here.gitlab.drop("PUT", r"/merge$", done=True)
    with pytest.raises(Exception, match="no answer"):
        here.settle(iid)
    here.reconcile()
    assert here.routes().canary is not None


def test_a_project_that_squashes_merges_no_promotion(world: Callable[..., World]) -> None:
    here = world()
    here.gitlab.settings.squash_option = "always"
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    refused = here.settle(iid)
    assert refused.outcome == "refused"
    assert "squashes" in refused.sentence


def test_what_stands_there_already_closes_its_promotion(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve("clerk", "1.0.0", "canary", "ben")
    here.by_requests("push")
    promote(here.acting("ben"), SUBJECT)
    assert here.settle(iid).outcome == "closed"
    assert here.gitlab.merge_request(iid).state == "closed"


def test_closing_it_ends_the_promotion(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    bot = here.bot()
    release = bot.workspace.releases.named_release("clerk", "1.0.0") or ""
    asked = Request(
        action="promote",
        agent="clerk",
        version="1.0.0",
        release=release,
        stage="canary",
        who="author@example.org",
        at=stamp(now()),
    )
    bot.workspace.records.put_request(asked)
    with here.as_user("mia") as mia:
        mia.project.mergerequests.update(iid, {"state_event": "close"})
    ended = end_closed(bot, iid)
    assert ended is not None
    assert "closed by mia" in ended.sentence
    assert "penstock/clerk/canary" not in here.gitlab.state.heads
    assert bot.workspace.releases.answers()[asked.digest]["outcome"] == "refused"
    assert "**closed** by mia" in here.notes(iid, NOTE)[0]
    assert end_closed(bot, iid) is None
    assert here.routes().canary is None


def test_two_workers_settle_it_once(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    bot = here.bot()
    with bot.locked("clerk", "canary", "promote clerk@1.0.0"):
        assert here.settle(iid).outcome == "busy"
    assert here.settle(iid).outcome == "waiting"


def _evidence(here: World) -> str:
    workspace = here.bot().workspace
    workspace.fetch()
    head = here.gitlab.head("penstock/clerk/canary")
    return str(workspace.repository.commit(head).trailers["Evidence"][0])


def test_a_rollback_s_commit_is_merged_without_asking_anybody(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    here.approve("clerk", "1.0.0", "canary", "ben")
    promote(here.acting("ben"), SUBJECT)
    here.by_requests()
    done = roll_back(here.acting("ben"), "clerk", "bad", stage="canary")
    assert done.table.overlay["clerk"]
    (made,) = [one for one in here.gitlab.state.merge_requests.values() if one.state == "opened"]
    assert made.source_branch == "penstock/clerk/rollback"
    assert here.settle(made.iid).outcome == "merged"
    workspace = here.bot().workspace
    table = workspace.releases.newest_table()
    assert table is not None
    assert table.overlay == {}


def test_other_evidence_has_it_proposed_anew_by_whoever_asked(world: Callable[..., World]) -> None:
    here = world()
    iid = a_proposal(here)
    here.approve_request(iid, "ben")
    here.gitlab.set_access("ada", 40)
    text = here.author.git("show", "main:pipelines/release.yaml")
    here.push("main", {"pipelines/release.yaml": text.replace("gates: [{gate: schema}]", "gates: []") + "\n"})
    before = here.gitlab.head("penstock/clerk/canary")
    renewed = here.settle(iid)
    assert renewed.outcome == "proposed again", renewed
    head = here.gitlab.head("penstock/clerk/canary")
    assert head != before
    workspace = here.bot().workspace
    workspace.fetch()
    assert "Asked for by ben@example.org." in workspace.repository.commit(head).message
    assert here.settle(iid).outcome == "waiting"


def test_after_a_close_it_may_be_proposed_again(world: Callable[..., World]) -> None:
    here = world()
    first = a_proposal(here)
    with here.as_user("mia") as mia:
        mia.project.mergerequests.update(first, {"state_event": "close"})
    assert end_closed(here.bot(), first) is not None
    again = here.propose(SUBJECT)
    assert again != first
    here.approve_request(again, "ben")
    assert here.settle(again).outcome == "merged"


def test_the_branch_of_a_merged_promotion_is_used_again(world: Callable[..., World]) -> None:
    here = world()
    first = a_proposal(here)
    here.approve_request(first, "ben")
    assert here.settle(first).outcome == "merged"
    roll_back(here.acting("ben"), "clerk", "bad", stage="canary", keep=True)
    (back,) = [one.iid for one in here.gitlab.state.merge_requests.values() if one.state == "opened"]
    assert here.settle(back).outcome == "merged"
    unhold(here.acting("ben"), "clerk", "good")
    (back,) = [one.iid for one in here.gitlab.state.merge_requests.values() if one.state == "opened"]
    assert here.settle(back).outcome == "merged"
    assert here.propose(SUBJECT) > back
