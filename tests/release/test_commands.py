"""The commands of the release path as people call them: what they print, and how they exit."""

import json
from collections.abc import Callable
from typing import Any

import pytest

World = Any
AUTHOR, APPROVER, MANAGER = (
    ("Ada Author", "author@example.org"),
    ("Ben Approver", "approver@example.org"),
    ("Mia Manager", "manager@example.org"),
)


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_the_path_by_commands(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    here = world()
    assert here.cli(MANAGER, "reconcile", "--dry", "--json") == 3  # there is no release store yet
    capsys.readouterr()
    assert here.cli(MANAGER, "reconcile", "--json") == 0
    assert [move["moved"] for move in document(capsys)["moves"]] == [True]

    assert here.cli(APPROVER, "plan", "helper@1.0.0", "--to", "canary", "--json") == 1
    planned = document(capsys)
    assert [one["kind"] for one in planned["unmet"]] == ["approval"]
    assert planned["traffic"]["after"] == {"canary": "1.0.0 on request only"}
    evidence = planned["evidence"]["evidence"]

    assert here.cli(AUTHOR, "approve", "helper@1.0.0", "--to", "canary", "--report", evidence, "--comment", "ok") == 1
    assert "wrote helper@1.0.0 and may not approve it" in capsys.readouterr().err
    words = ["approve", "helper@1.0.0", "--to", "canary", "--comment", "ok", "--report"]
    assert here.cli(APPROVER, *words, evidence[7:17]) == 2
    assert here.cli(APPROVER, *words, "0" * 64) == 1
    assert "counts now" in capsys.readouterr().err
    assert here.cli(APPROVER, *words, evidence[7:21], "--json") == 0
    assert document(capsys)["identifiedBy"] == "git-config"

    assert here.cli(APPROVER, "plan", "helper@1.0.0", "--to", "canary") == 0
    text = capsys.readouterr().out
    assert "approved by Ben Approver <approver@example.org> (self-declared)" in text
    assert "nothing stands in the way" in text
    assert here.cli(APPROVER, "promote", "helper@1.0.0", "--to", "canary", "--json") == 0
    assert document(capsys)["generation"] == here.table().generation
    assert here.routes().canary.version == "1.0.0"

    assert here.cli(MANAGER, "status", "helper", "--json") == 0
    [status] = document(capsys)["agents"]
    assert status["next"][0]["to"] == "prod"
    assert "gate canary-runs: missing: it has not run" in status["next"][0]["unmet"]
    assert here.cli(MANAGER, "status") == 0
    assert "1.0.0 to prod:" in capsys.readouterr().out
    assert here.cli(MANAGER, "status", "helpr") == 1
    assert "did you mean" in capsys.readouterr().err


def test_a_promotion_without_approval_says_everything(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    here.reconcile()
    before = here.table()
    assert here.cli(APPROVER, "promote", "helper@1.0.0", "--to", "prod") == 1
    said = capsys.readouterr().err
    assert "only the canary goes to prod" in said
    assert "0 of 1 approvals by a release manager (manager@example.org)" in said
    assert here.cli(("Eve", "eve@example.org"), "promote", "helper@1.0.0", "--to", "canary") == 1
    assert "eve@example.org may not promote" in capsys.readouterr().err
    assert here.cli(APPROVER, "promote", "helper@9.9.9", "--to", "canary") == 1
    assert here.cli(APPROVER, "promote", "helper@1.0.0", "--to", "canary", "--override") == 2
    assert here.table() == before


def test_an_override_is_logged_and_only_a_release_managers(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    here.reconcile()
    words = ["promote", "helper@1.0.0", "--to", "canary", "--override", "--reason", "outage"]
    assert here.cli(APPROVER, *words) == 1
    assert "only a release manager may" in capsys.readouterr().err
    assert here.cli(MANAGER, *words) == 0
    [request] = here.workspace(MANAGER).releases.requests()
    assert (request.who, request.parameters["reason"]) == ("manager@example.org", "outage")
    assert request.parameters["unmet"] == ["0 of 1 approvals by an approver of team qa (approver@example.org)"]
    message = here.author.git("--git-dir", str(here.author.remote), "log", "-1", "--format=%B", "main")
    assert f"Override: {request.digest}" in message
    assert "Reason: outage" in message
    assert "[skip ci]" in message
    done = here.reconcile()
    assert (done.drift, here.routes().canary.version) == ([], "1.0.0")


def test_a_rejection_stands_in_the_way_until_it_is_taken_back(world: Callable[..., World]) -> None:
    here = world()
    here.reconcile()
    evidence = here.evidence("helper", "1.0.0", "canary")
    words = ["helper@1.0.0", "--to", "canary", "--report", evidence, "--comment"]
    assert here.cli(APPROVER, "approve", *words, "good") == 0
    assert here.cli(APPROVER, "reject", *words, "not so good") == 0
    assert here.cli(APPROVER, "promote", "helper@1.0.0", "--to", "canary") == 1
    assert here.cli(APPROVER, "approve", *words, "good after all") == 0
    assert here.cli(APPROVER, "promote", "helper@1.0.0", "--to", "canary") == 0


def test_freeze_and_thaw(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    here = world("helper", "other")
    here.reconcile()
    assert here.cli(MANAGER, "freeze", "helper", "--reason", "incident 7") == 0
    assert (here.routes("helper").status, here.routes("other").status) == ("frozen", "active")
    assert "status: frozen" in here.stages_text()
    assert here.cli(MANAGER, "plan", "helper@1.0.0", "--to", "canary") == 1
    assert "helper is frozen" in capsys.readouterr().out
    assert here.cli(MANAGER, "freeze") == 0
    assert here.routes("other").status == "frozen"
    assert here.cli(MANAGER, "freeze", "helper") == 1
    assert here.cli(MANAGER, "thaw") == 0
    assert {routes.status for routes in here.table().agents.values()} == {"active"}
    assert here.cli(MANAGER, "thaw") == 1
    assert here.reconcile().drift == []


def test_end_of_life_of_a_version_and_of_an_agent(
    world: Callable[..., World], capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    here.to_prod("helper", "1.0.0")
    here.add("helper", "1.1.0")
    here.add("helper", "1.2.0", quality="bad")
    here.reconcile()
    assert here.cli(MANAGER, "deprecate", "helper@1.1.0") == 0
    assert here.routes().deprecated == ["1.1.0"]
    assert here.cli(MANAGER, "disable", "agents/helper@1.1.0", "--reason", "unsafe") == 0
    assert (here.routes().deprecated, here.routes().disabled) == ([], ["1.1.0"])
    assert here.cli(MANAGER, "disable", "helper@1.2.0") == 0  # a version that will never pass: no longer pending
    assert here.reconcile().moves == []
    assert here.cli(MANAGER, "disable", "helper@1.0.0") == 1
    assert "stands in prod: roll back" in capsys.readouterr().err
    assert here.cli(MANAGER, "disable", "helper@7.0.0") == 1
    assert here.cli(MANAGER, "deprecate", "helper") == 2
    assert here.cli(MANAGER, "disable", "helper", "--reason", "gone") == 0
    assert here.routes().status == "disabled"
    assert here.reconcile().drift == []
    assert here.cli(MANAGER, "thaw", "helper") == 0


def test_end_of_life_of_what_agents_pin(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    here = world()
    here.reconcile()
    assert here.cli(MANAGER, "disable", "policies/default@1.0.0", "--reason", "too wide") == 1
    said = capsys.readouterr().err
    assert "live: helper@1.0.0 (dev) pins policies/default@1.0.0" in said
    assert here.cli(MANAGER, "disable", "policies/default@1.0.0", "--reason", "too wide", "--yes", "--json") == 0
    assert document(capsys)["live"] == ["helper@1.0.0 (dev)"]
    here.add("helper", "1.1.0")
    done = here.reconcile()
    assert [move.moved for move in done.moves] == [False]
    assert "disabled" in done.moves[0].why
    assert here.cli(MANAGER, "plan", "helper@1.0.0", "--to", "canary") == 1
    assert "is disabled in retired.yaml" in capsys.readouterr().out
    assert [entry.version for entry in here.routes().dev] == ["1.0.0"]
    assert here.cli(MANAGER, "disable", "policies/default@1.0.0", "--yes") == 1
    assert here.cli(MANAGER, "disable", "policies/nothing@1.0.0", "--yes") == 1


def test_reconcile_shows_what_it_would_do(world: Callable[..., World], capsys: pytest.CaptureFixture[str]) -> None:
    here = world()
    here.reconcile()
    here.add("helper", "1.1.0")
    before = here.table()
    assert here.cli(MANAGER, "reconcile", "--dry", "--json") == 0
    assert document(capsys)["pending"] == ["helper@1.1.0"]
    assert here.table() == before
    assert here.cli(MANAGER, "reconcile", "--dry", "--restore", "helper") == 2
    assert here.cli(MANAGER, "reconcile", "--restore", "helper") == 1
    assert "nothing to restore" in capsys.readouterr().err


def test_the_database_gone_stops_promotions_but_shows_why(
    world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = world()
    here.reconcile()
    here.approve("helper", "1.0.0", "canary", APPROVER)
    before = here.table()
    (here.home / "plain").write_text("no folder")
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"sqlite:///{here.home}/plain/store.db")
    assert here.cli(APPROVER, "promote", "helper@1.0.0", "--to", "canary") == 3
    assert "database" in capsys.readouterr().err
    assert here.table() == before
    assert here.cli(MANAGER, "freeze", "helper", "--reason", "meanwhile") == 0
    assert here.routes().status == "frozen"
