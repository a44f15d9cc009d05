"""driver = dagster: a promotion is asked for on record, and the driver's side applies it, once."""

from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.evidence import Request
from penstock.contracts.policy import Stage
from penstock.errors import Refused, WrongUse
from penstock.release.driver import apply_request, promote, request_promotion

World = Any
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")
SUBJECT: tuple[str, str, Stage] = ("helper", "1.0.0", "canary")


@pytest.fixture
def asked(world: Callable[..., World], monkeypatch: pytest.MonkeyPatch) -> World:
    here = world()
    here.reconcile()
    monkeypatch.setenv("PENSTOCK_DRIVER", "dagster")
    return here


def one_request(here: World) -> Request:
    found: list[Request] = here.workspace(MANAGER).records.open_requests()
    assert len(found) == 1
    return found[0]


def test_a_request_waits_for_approval_and_is_applied_once(asked: World) -> None:
    answer = request_promotion(asked.workspace(APPROVER), SUBJECT, wait_s=0)
    assert answer.outcome == "waiting"
    request = one_request(asked)
    assert request.digest == answer.request
    waiting = apply_request(asked.workspace(MANAGER), request)
    assert (waiting.outcome, "0 of 1 approvals" in waiting.reason) == ("waiting", True)
    assert asked.routes().canary is None

    asked.approve(*SUBJECT, APPROVER)
    commits = len(asked.log())
    assert apply_request(asked.workspace(MANAGER), request).outcome == "done"
    assert asked.routes().canary.version == "1.0.0"
    assert asked.workspace(MANAGER).records.open_requests() == []
    assert apply_request(asked.workspace(MANAGER), request).outcome == "done"
    assert len(asked.log()) == commits + 1


def test_the_answer_comes_back_to_who_waits(asked: World) -> None:
    asked.approve(*SUBJECT, APPROVER)
    request_promotion(asked.workspace(APPROVER), SUBJECT, wait_s=0)
    apply_request(asked.workspace(MANAGER), one_request(asked))
    workspace = asked.workspace(APPROVER)
    releases = workspace.releases
    assert [answer["outcome"] for answer in releases.answers().values()] == ["done"]


def test_what_can_never_be_is_refused_for_good(asked: World) -> None:
    request_promotion(asked.workspace(MANAGER), ("helper", "1.0.0", "prod"), wait_s=0)
    answer = apply_request(asked.workspace(MANAGER), one_request(asked))
    assert (answer.outcome, "only the canary goes to prod" in answer.reason) == ("refused", True)
    assert asked.workspace(MANAGER).records.open_requests() == []


def test_a_request_without_the_right_is_refused_on_both_sides(asked: World) -> None:
    with pytest.raises(Refused, match="may not promote"):
        request_promotion(asked.workspace(("Eve", "eve@example.org")), SUBJECT, wait_s=0)
    request_promotion(asked.workspace(APPROVER), SUBJECT, wait_s=0)
    forged = one_request(asked).model_copy(update={"who": "eve@example.org"})
    assert apply_request(asked.workspace(MANAGER), forged).outcome == "refused"
    override = one_request(asked).model_copy(update={"parameters": {"override": True, "reason": "I want it"}})
    answer = apply_request(asked.workspace(MANAGER), override)
    assert (answer.outcome, "only a release manager" in answer.reason) == ("refused", True)


def test_this_side_does_not_apply(asked: World) -> None:
    with pytest.raises(WrongUse):
        promote(asked.workspace(APPROVER), SUBJECT)
    asked.add("helper", "1.1.0")
    assert asked.cli(MANAGER, "reconcile") == 0
    assert [entry.version for entry in asked.routes().dev] == ["1.0.0"]
    assert asked.cli(APPROVER, "promote", "helper@1.0.0", "--to", "canary", "--wait", "0") == 1
