from typing import get_args

import pytest

from penstock.engine.failure import FailureCode
from penstock.errors import Fault, Invalid, LimitReached, Unavailable
from penstock.executor.problems import RUN_STATUS, TITLES, problem_of, problem_of_run


def run(status: str, code: str) -> dict[str, object]:
    error = {"code": code, "what": "it broke", "where": "main", "now": "ask again"}
    return {"runId": "r1", "status": status, "error": error, "output": None, "usage": {"steps": 1}}


def test_every_failure_of_the_engine_has_a_status() -> None:
    decided = {code for _, code in RUN_STATUS}
    assert decided == set(get_args(FailureCode))


@pytest.mark.parametrize(("ended", "code"), sorted(RUN_STATUS))
def test_a_problem_of_a_run_keeps_the_run(ended: str, code: str) -> None:
    document = problem_of_run(run(ended, code)).as_document()
    assert document["status"] == RUN_STATUS[ended, code]
    assert document["runStatus"] == ended
    assert (document["runId"], document["usage"]) == ("r1", {"steps": 1})
    assert (document["what"], document["where"], document["now"]) == ("it broke", "main", "ask again")
    assert document["title"] == TITLES[f"run-{ended.replace('_', '-')}"]


def test_types_are_stable() -> None:
    assert problem_of_run(run("failed", "model")).as_document()["type"] == "urn:penstock:problem:run-failed:model"
    assert problem_of_run(run("timed_out", "timeout")).as_document()["type"] == "urn:penstock:problem:run-timed-out"
    assert problem_of(Unavailable("gone")).as_document()["type"] == "urn:penstock:problem:unavailable"


def test_only_what_may_work_again_says_retry_after() -> None:
    assert problem_of(LimitReached("full")).retry_after_s == 1
    assert problem_of(Unavailable("gone")).retry_after_s == 1
    assert problem_of_run(run("rejected", "limit")).retry_after_s == 1
    assert problem_of_run(run("failed", "limit")).retry_after_s is None


def test_all_faults_are_shown() -> None:
    faults = [Fault("body", 0, 0, name, "unknown field") for name in ("b", "a")]
    document = problem_of(Invalid("2 faults", faults=faults)).as_document()
    assert [fault["pointer"] for fault in document["faults"]] == ["a", "b"]
