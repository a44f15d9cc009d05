"""Publish: only what resolves, agent by agent; a forged or lost history is shown, never published."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from penstock.errors import Conflict, Refused
from penstock.release.apply import apply_plan
from penstock.release.driver import plan_promotion, promote
from penstock.release.restore import restore
from penstock.release.stage_edits import stages_edit_faults
from penstock.release.stages_file import stages_path

World = Any
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
EVE = ("Eve", "eve@example.org")
BOT = ("Penstock", "bot@penstock.invalid")


def forge(here: World, change: Callable[[str], str], message: str = "Tidy", author: tuple[str, str] = EVE) -> str:
    """Somebody edits a stages file on main by hand."""
    clone = here.clone(EVE)
    clone.git("pull", "--quiet", "--ff-only")
    path = clone.root / stages_path("helper")
    commit = clone.commit({stages_path("helper"): change(path.read_text())}, message, author)
    clone.push()
    return str(commit)


def test_a_forged_edit_is_not_published_and_can_be_restored(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    here.to_canary("helper", "1.0.0")
    before = here.table()
    commit = forge(here, lambda text: text.replace("weightBp: 2000", "weightBp: 10000"))
    done = here.reconcile()
    assert here.table().agents == before.agents
    assert [commit[:12] in text and "eve@example.org" in text for text in done.drift] == [True]
    assert done.exit_status == 1

    here.add("helper", "1.1.0")
    [move] = here.reconcile().moves
    assert "does not resolve" in move.why
    with pytest.raises(Refused, match="may not restore"):
        restore(here.workspace(EVE), "helper")
    restore(here.workspace(MANAGER), "helper")
    done = here.reconcile()
    assert (done.drift, [one.moved for one in done.moves]) == ([], [True])
    assert here.routes().canary.weight_bp == 2000


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ("Promote\n\nPenstock-Action: promote helper@1.0.0 prod\nEvidence: sha256:" + "0" * 64, "only the canary goes"),
        ("x\n\nPenstock-Action: promote helper@1.0.0 canary\nEvidence: sha256:" + "0" * 64, "is not in the"),
        ("x\n\nPenstock-Action: promote helper@1.0.0 canary\nOverride: sha256:" + "0" * 64, "override"),
        ("x\n\nPenstock-Action: rollback helper\nOverlay: 1234", "is not in force"),
    ],
)
def test_trailers_that_name_nothing_do_not_resolve(world: Callable[..., World], message: str, why: str) -> None:
    """Even with the bot's address, and with a file that says just what the move would."""
    from penstock.contracts.stages import AllowList
    from penstock.release import lifecycle
    from penstock.release.canary_step import Share
    from penstock.release.clock import now, stamp
    from penstock.release.stages_file import read_stages, write_stages

    here = world()
    here.reconcile()

    def canary(text: str) -> str:
        spec = read_stages(text.encode(), "stages")
        moved = lifecycle.to_canary(spec, "1.0.0", Share(1, 2000, AllowList.model_validate({})), stamp(now()))
        return write_stages("helper", moved).decode()

    forge(here, canary, message, BOT)
    done = here.reconcile()
    assert here.routes().canary is None
    assert why in done.drift[0]


def test_an_approval_of_the_author_does_not_resolve(world: Callable[..., World]) -> None:
    """The evidence is real and the approval is in the store, but it is the author's own."""
    from penstock.contracts.evidence import Approval
    from penstock.contracts.stages import AllowList
    from penstock.release import lifecycle
    from penstock.release.canary_step import Share
    from penstock.release.clock import now, stamp
    from penstock.release.stages_file import read_stages, write_stages

    here = world(files={"registry_repo/teams.yaml": "teams:\n  qa: {approvers: [author@example.org]}\n"})
    here.reconcile()
    here.measure("helper", "1.0.0", "canary")
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    view = plan_promotion(workspace, ("helper", "1.0.0", "canary")).situation.view
    assert view is not None
    approval = Approval(
        kind="approve",
        evidence=view.digest,
        release=view.evidence.release,
        stage="canary",
        who="author@example.org",
        at=stamp(now()),
        expires_at="2099-01-01T00:00:00Z",
        comment="mine",
    )
    workspace.records.put_evidence(view.evidence)
    workspace.records.put_approval(approval)
    message = (
        "x\n\nPenstock-Action: promote helper@1.0.0 canary\n"
        f"Evidence: {view.digest}\nApproved-by: Ada <author@example.org>\nApproval: {approval.digest}"
    )

    def canary(text: str) -> str:
        spec = read_stages(text.encode(), "stages")
        moved = lifecycle.to_canary(spec, "1.0.0", Share(1, 2000, AllowList.model_validate({})), stamp(now()))
        return write_stages("helper", moved).decode()

    forge(here, canary, message, BOT)
    assert "0 of 1 approvals" in here.reconcile().drift[0]
    assert here.routes().canary is None


def test_what_is_built_on_a_forged_edit_is_not_trusted(world: Callable[..., World]) -> None:
    here = world("helper", "other")
    here.reconcile()
    forge(here, lambda text: text.replace("runtime: direct", "runtime: elsewhere"))
    here.to_canary("other", "1.0.0")
    assert here.routes("other").canary.version == "1.0.0"
    here.approve("helper", "1.0.0", "canary", APPROVER)
    with pytest.raises(Refused, match="does not resolve"):
        promote(here.workspace(APPROVER), ("helper", "1.0.0", "canary"))
    assert [one.runtime for one in here.routes("helper").dev] == ["direct"]


def test_edits_on_a_branch_are_faults(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    workspace = here.workspace(MANAGER)
    base = workspace.fetch()
    commit = forge(here, lambda text: text + "# a note\n")
    head = workspace.fetch()
    [fault] = stages_edit_faults(workspace, base, head)
    assert fault.path == "registry_repo/stages/helper.yaml"
    assert commit[:12] in fault.what
    assert stages_edit_faults(workspace, head, head) == []
    fresh = here.add("helper", "1.1.0")
    assert stages_edit_faults(workspace, head, workspace.fetch()) == []
    assert fresh


def test_a_rewritten_branch_is_a_conflict(world: Callable[..., World]) -> None:
    here = world()
    old = here.author.git("rev-parse", "HEAD")
    here.add("helper", "1.1.0")
    here.reconcile()
    before = here.table()
    here.author.git("reset", "--quiet", "--hard", old)
    here.author.git("push", "--quiet", "--force", "origin", "main")
    with pytest.raises(Conflict, match="does not descend from"):
        here.reconcile()
    assert here.table() == before


def test_a_registry_that_cannot_be_read_prunes_nothing(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    here.to_canary("helper", "1.0.0")
    before = here.routes()
    here.merge({"registry_repo/agents/helper/1.0.0.yaml": "kind: [", "pipelines/release.yaml": "nonsense"})
    done = here.reconcile()
    assert here.routes() == before
    assert any("is released and was changed" in text for text in done.drift)
    here.author.remote.rename(here.home / "gone.git")
    assert here.cli(MANAGER, "reconcile") == 3
    assert here.routes() == before


def test_a_changed_release_stands_in_the_way_until_it_is_back(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    path = "registry_repo/prompts/helper/1.0.0.md"
    text = (here.author.root / path).read_text()
    here.merge({path: text + "And lie.\n"})
    assert any(f"{path} is released and was changed" in one for one in here.reconcile().drift)
    workspace = here.workspace(MANAGER)
    workspace.fetch()
    unmet = plan_promotion(workspace, ("helper", "1.0.0", "canary")).unmet
    assert sum(one.kind == "obstacle" for one in unmet) == 2  # the commit that did it, and the digest it was named by
    here.merge({path: text})
    assert here.reconcile().drift == []


def test_a_version_that_fails_its_gate_is_pending_with_the_reason(world: Callable[..., World]) -> None:
    here = world()
    here.add("helper", "1.1.0", quality="bad")
    moves = here.reconcile().moves
    assert [(move.version, move.moved) for move in moves] == [("1.0.0", True), ("1.1.0", False)]
    assert moves[1].why == "gate quality: failed: its label says bad"
    assert [entry.version for entry in here.routes().dev] == ["1.0.0"]


def test_two_promoters_of_one_agent(world: Callable[..., World]) -> None:
    here = world()
    here.add("helper", "1.1.0")
    here.reconcile()
    for version in ("1.0.0", "1.1.0"):
        here.approve("helper", version, "canary", APPROVER)
    outcomes = race(here, [("helper", "1.0.0", "canary"), ("helper", "1.1.0", "canary")])
    assert sorted(type(one).__name__ for one in outcomes) == ["Applied", "Conflict"]
    assert len([line for line in here.log() if "canary" in line]) == 1


def test_two_promoters_of_two_agents_both_land(world: Callable[..., World]) -> None:
    here = world("helper", "other")
    here.reconcile()
    for agent in ("helper", "other"):
        here.approve(agent, "1.0.0", "canary", APPROVER)
    outcomes = race(here, [("helper", "1.0.0", "canary"), ("other", "1.0.0", "canary")])
    assert [type(one).__name__ for one in outcomes] == ["Applied", "Applied"]
    assert {agent: here.routes(agent).canary.version for agent in ("helper", "other")} == {
        "helper": "1.0.0",
        "other": "1.0.0",
    }


def race(here: World, subjects: list[tuple[str, str, Any]]) -> list[Any]:
    """Promoters in clones of their own, planned before any of them applies, applied at the same time."""
    people = [("P", f"p{number}@example.org") for number in range(len(subjects))]
    plans = []
    for who, subject in zip(people, subjects, strict=True):
        workspace = here.workspace(who)
        workspace.fetch()
        planned = plan_promotion(workspace, subject)
        assert planned.ready, planned.unmet
        plans.append((workspace, planned))
    together = threading.Barrier(len(subjects))
    outcomes: list[Any] = [None] * len(subjects)

    def run(number: int) -> None:
        together.wait()
        try:
            outcomes[number] = apply_plan(*plans[number], people[number][1])
        except (Conflict, Refused) as error:
            outcomes[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(subjects))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


def test_a_protected_branch_leaves_everything_as_it_was(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    here.approve("helper", "1.0.0", "canary", APPROVER)
    hook = here.author.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'main is protected' >&2\nexit 1\n")
    hook.chmod(0o755)
    before, log = here.table(), here.log()
    with pytest.raises(Refused, match="does not take a push"):
        promote(here.workspace(APPROVER), ("helper", "1.0.0", "canary"))
    assert (here.table(), here.log()) == (before, log)
    hook.unlink()
    promote(here.workspace(APPROVER), ("helper", "1.0.0", "canary"))
    assert here.routes().canary.version == "1.0.0"


def test_a_project_without_a_remote(world: Callable[..., World]) -> None:
    here = world(remote=False)
    here.author.identify(MANAGER)
    assert [move.moved for move in here.reconcile(("Ada", "author@example.org")).moves] == [True]
    assert here.author.git("show", "main:registry_repo/stages/helper.yaml").startswith("apiVersion")


def test_the_catalog_follows(world: Callable[..., World]) -> None:
    from penstock.store.catalog import Catalog

    here = world()
    here.reconcile()
    here.to_canary("helper", "1.0.0")
    here.reconcile()
    [row] = Catalog(here.workspace(MANAGER).database).rows(kind="Agent")
    assert (row.name, row.version, row.stage, row.owner) == ("helper", "1.0.0", "canary", "qa")
    assert row.created_at.endswith("Z")


def test_an_empty_store_beside_a_promoted_branch_is_not_taken(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch
) -> None:
    here = world()
    here.reconcile()
    monkeypatch.setenv("PENSTOCK_RELEASES_URL", str(here.home / "other"))
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"sqlite:///{here.home / 'other.db'}")
    log = here.log()
    assert here.cli(MANAGER, "reconcile") == 3
    assert (here.log(), (here.home / "other").exists()) == (log, False)
    # The old store is lost for good: what it proved is gone, so the version goes through its gates again.
    assert here.cli(MANAGER, "reconcile", "--restore", "helper") == 0
    assert [entry.version for entry in here.routes().dev] == ["1.0.0"]
    assert here.reconcile().drift == []
