"""Moves by merge request: what is proposed, once; when it may be merged; and that reconcile goes on from the merge."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from penstock.errors import Refused, Unavailable
from penstock.release.apply import Applied
from penstock.release.canary import tick
from penstock.release.driver import promote
from penstock.release.move import Move
from penstock.release.proposal import Proposal
from penstock.release.proposed import why_not_merge
from penstock.release.rollback import roll_back
from penstock.release.workspace import Workspace

World = Any
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
CANARY: Any = ("helper", "1.0.0", "canary")


@dataclass
class Forge:
    """Remembers what was proposed, as a forge shows it."""

    proposals: dict[str, tuple[str, Move, str]] = field(default_factory=dict)
    calls: int = 0

    def propose(self, branch: str, commit: str, move: Move, text: str) -> Proposal:
        self.calls += 1
        self.proposals[branch] = (commit, move, text)
        return Proposal(f"https://gitlab.example.org/shop/-/merge_requests/{list(self.proposals).index(branch) + 1}", 1)


@dataclass
class Proposing:
    """A world whose moves are proposed, with its forge."""

    here: World
    forge: Forge = field(default_factory=Forge)

    def workspace(self, who: tuple[str, str] = MANAGER) -> Workspace:
        found: Workspace = self.here.workspace(who)
        settings = found.settings.model_copy(update={"promotion": "merge-request"})
        return replace(found, settings=settings, proposer=self.forge)

    def promote(self) -> Applied:
        return promote(self.workspace(), CANARY)

    def merge(self, branch: str, *words: str) -> None:
        """What the forge's merge does: a merge commit on main."""
        clone = self.here.author
        clone.git("fetch", "--quiet", "origin")
        clone.git("checkout", "--quiet", "main")
        clone.git("merge", "--quiet", "--ff-only", "origin/main")
        clone.git("merge", "--quiet", "--no-ff", "-m", f"Merge branch {branch}", *words, f"origin/{branch}")
        clone.git("push", "--quiet", "origin", "main")


@pytest.fixture
def proposing(world: Callable[..., World]) -> Proposing:
    here = world()
    here.reconcile()
    return Proposing(here)


def test_a_promotion_waits_for_approval_and_merge(proposing: Proposing) -> None:
    here, forge = proposing.here, proposing.forge
    applied = proposing.promote()
    assert applied.proposal is not None
    assert here.routes().canary is None, "nothing moved"
    commit, move, text = forge.proposals["penstock/helper/canary"]
    assert (move.action, move.stage, move.evidence != "") == ("promote", "canary", True)
    assert "0 of 1 approvals" in text
    workspace = proposing.workspace()
    workspace.fetch()
    assert "0 of 1 approvals" in (why_not_merge(workspace, "helper", commit) or "")
    here.approve("helper", "1.0.0", "canary", APPROVER)
    assert why_not_merge(workspace, "helper", commit) is None
    proposing.merge("penstock/helper/canary")
    assert here.reconcile().drift == []
    assert here.routes().canary is not None


def test_asking_again_keeps_the_commit_that_people_look_at(proposing: Proposing) -> None:
    first = proposing.promote()
    proposing.here.merge({"README.md": "Another file moved."}, "Elsewhere")
    second = proposing.promote()
    assert (second.commit, proposing.forge.calls) == (first.commit, 2)


def test_other_evidence_makes_another_proposal_of_the_same_branch(proposing: Proposing) -> None:
    here = proposing.here
    first = proposing.promote()
    path = "pipelines/release.yaml"
    text = (here.author.root / path).read_text()
    here.merge({path: text.replace("canary: {approvals", "canary: {gates: [{gate: quality}], approvals")}, "A gate")
    here.merge({path: text.replace("gates: [{gate: quality}]}", "gates: []}")}, "No gate before dev")
    second = proposing.promote()
    assert second.commit != first.commit
    assert list(proposing.forge.proposals) == ["penstock/helper/canary"]
    workspace = proposing.workspace()
    workspace.fetch()
    assert why_not_merge(workspace, "helper", first.commit) is not None


def test_a_merge_that_nobody_approved_is_never_published(proposing: Proposing) -> None:
    here = proposing.here
    proposing.promote()
    proposing.merge("penstock/helper/canary")
    (drift,) = here.reconcile().drift
    assert "0 of 1 approvals" in drift
    assert here.routes().canary is None


def test_a_proposal_that_is_more_than_its_file_is_not_merged(proposing: Proposing) -> None:
    here = proposing.here
    applied = proposing.promote()
    here.approve("helper", "1.0.0", "canary", APPROVER)
    clone = here.author
    clone.git("fetch", "--quiet", "origin")
    clone.git("checkout", "--quiet", "-B", "penstock/helper/canary", "origin/penstock/helper/canary")
    (clone.root / "README.md").write_text("and this")
    clone.git("add", "README.md")
    clone.git("commit", "--quiet", "--amend", "--no-edit")
    forged = clone.git("rev-parse", "HEAD").strip()
    clone.git("push", "--quiet", "--force", "origin", "penstock/helper/canary")
    workspace = proposing.workspace()
    workspace.fetch()
    assert "one commit that changes" in (why_not_merge(workspace, "helper", forged) or "")
    assert why_not_merge(workspace, "helper", applied.commit) is None


def test_a_blackout_at_the_merge_keeps_it(proposing: Proposing) -> None:
    here = proposing.here
    path = "pipelines/release.yaml"
    text = (here.author.root / path).read_text().rstrip()
    here.merge({path: f'{text}\n  blackouts: [{{name: always, cron: "* * * * *", duration: 1h, reason: sale}}]\n'})
    with pytest.raises(Refused, match="sale"):
        proposing.promote()


def test_a_rollback_is_in_force_while_its_commit_waits_to_be_merged(proposing: Proposing) -> None:
    here = proposing.here
    here.approve("helper", "1.0.0", "canary", APPROVER)
    proposing.promote()
    proposing.merge("penstock/helper/canary")
    here.reconcile()
    done = roll_back(proposing.workspace(), "helper", "bad", stage="canary")
    assert here.routes().canary is None
    assert list(here.table().overlay) == ["helper"]
    assert (done.kind, list(proposing.forge.proposals)[-1]) == ("rollback", "penstock/helper/rollback")
    assert "waits to be merged: https://gitlab.example.org" in done.pending
    proposing.merge("penstock/helper/rollback")
    assert here.reconcile().drift == []
    assert here.table().overlay == {}


def test_without_a_forge_the_project_is_told_what_is_missing(proposing: Proposing) -> None:
    workspace = replace(proposing.workspace(), proposer=None)
    with pytest.raises(Unavailable, match="no forge is set up"):
        promote(workspace, CANARY)


def test_a_remote_that_takes_no_push_is_proposed_to(proposing: Proposing) -> None:
    here = proposing.here
    here.approve("helper", "1.0.0", "canary", APPROVER)
    hook = here.author.remote / "hooks" / "pre-receive"
    hook.write_text('#!/bin/sh\nwhile read old new name; do [ "$name" = refs/heads/main ] && exit 1; done; exit 0\n')
    hook.chmod(0o755)
    plain = here.workspace(MANAGER)
    with pytest.raises(Refused, match="does not take a push"):
        promote(plain, CANARY)
    applied = promote(replace(here.workspace(MANAGER), proposer=proposing.forge), CANARY)
    assert applied.proposal is not None


def test_a_canary_step_is_proposed_once_and_goes_on_from_its_merge(proposing: Proposing) -> None:
    here = proposing.here
    path = "pipelines/release.yaml"
    text = (here.author.root / path).read_text()
    here.merge({path: text.replace("[{percent: 20}]", "[{percent: 5}, {percent: 50}]")}, "Two steps")
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.to_canary("helper", "1.1.0")
    found = []
    for _ in range(2):
        workspace = proposing.workspace()
        workspace.fetch()
        (one,) = tick(workspace)
        found.append((one.did, proposing.forge.proposals["penstock/helper/canary"][0]))
    assert found[0] == found[1], "the second tick leaves the first one's proposal as it is"
    assert found[0][0] == "proposed"
    workspace.fetch()
    assert why_not_merge(workspace, "helper", found[0][1]) is None
    proposing.merge("penstock/helper/canary")
    assert here.reconcile().drift == []
    assert here.routes().canary.step == 2
