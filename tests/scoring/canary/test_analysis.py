import json
import random
from dataclasses import replace
from typing import Any

import pytest

from penstock.scoring.canary.analysis import Analysis, stored_analysis
from penstock.scoring.canary.figures import MetricFigures
from penstock.scoring.canary.session import WORDS_S
from penstock.store.database import open_database
from penstock.store.feedback import Feedback, FeedbackStore
from penstock.store.runs import RunStore

SUCCESS = [{"metric": "success"}]
LAG_S = 300 + 30 + 60
"""Window, the agent's timeout, and what a row may take to arrive."""


def figures(analysis: Analysis, metric: str) -> MetricFigures:
    [found] = [one for one in analysis.metrics if one.watch.metric == metric]
    return found


def thresholds(analysis: Analysis) -> set[float]:
    return {round(one.threshold, 6) for one in analysis.metrics}


def sides(count: int, one_in: int) -> list[str]:
    return ["prod" if at % one_in else "canary" for at in range(count)]


def failing(share: float, seed: int = 1) -> Any:
    draw = random.Random(seed)
    return lambda at, side: {"status": "failed"} if side == "canary" and draw.random() < share else {}


def test_a_canary_that_fails_is_stopped_with_a_reason(live: Any) -> None:
    live.many(sides(400, 10), failing(0.5))
    found = live.analyse(metrics=SUCCESS)
    assert found.outcome == "failed"
    assert found.reason.startswith("success: ")
    assert "in 40 sessions on the canary, against 0.0% in 360 on prod, e = " in found.reason
    assert found.reason.endswith(" >= 20")
    success = figures(found, "success")
    assert (success.canary.sessions, success.prod.sessions, success.prod.mean) == (40, 360, 0.0)
    assert success.difference is not None
    assert 0 < success.lower < success.difference < success.upper


def test_an_equal_canary_is_let_alone(live: Any) -> None:
    live.many(sides(400, 4), lambda at, side: {"status": "failed" if at % 20 < 4 else "finished"})
    found = live.analyse()
    assert found.outcome == "passed"
    assert found.reason.startswith("no evidence against the canary: 100 sessions on the canary beside 300 on prod")


@pytest.mark.parametrize(
    ("metric", "wrong"),
    [
        ("latency", {"duration_ms": 1_001.0}),
        ("cost", {"cost_usd": 0.011}),
        ("toolSuccess", {"tool_calls": 2, "tool_failures": 1}),
    ],
)
def test_each_metric_sees_its_own(live: Any, metric: str, wrong: dict[str, Any]) -> None:
    fine = {"duration_ms": 1_000.0, "cost_usd": 0.01, "tool_calls": 2}
    live.many(sides(300, 3), lambda at, side: {**fine, **wrong} if side == "canary" else fine)
    found = live.analyse()
    assert found.outcome == "failed"
    assert [one.watch.metric for one in found.metrics if one.outcome == "failed"] == [metric]
    assert found.reason.startswith(f"{metric}: ")


def test_words_that_are_down_are_a_loss(live: Any) -> None:
    for at, side in enumerate(sides(200, 2)):
        live.say(live.run(side, at=60.0 * at), -1 if side == "canary" else 1, 60.0 * at + 20)
    found = live.analyse()
    assert [one.watch.metric for one in found.metrics if one.outcome == "failed"] == ["feedback"]
    assert "100.0% of users' words were down" in found.reason


def test_a_session_weighs_once_however_many_runs_it_has(live: Any) -> None:
    for status in ("finished", "failed", "timed_out", "failed"):
        live.run("canary", "s", 10, status=status, tool_calls=4, tool_failures=1)
    live.run("prod", "t", 11)
    found = live.analyse()
    assert figures(found, "success").canary.mean == 0.75
    assert figures(found, "toolSuccess").canary.mean == 0.25
    assert figures(found, "toolSuccess").prod.sessions == 0


def test_nothing_to_compare_decides_nothing(live: Any) -> None:
    assert live.analyse().outcome == "inconclusive"
    live.many(["canary"] * 50, failing(1.0))
    found = live.analyse(prod=False)
    assert (found.outcome, found.reason) == (
        "inconclusive",
        "nothing to compare yet: 50 sessions on the canary beside 0 on prod",
    )
    success = figures(found, "success")
    assert (success.canary.mean, success.prod.mean, success.difference) == (1.0, None, None)
    assert (success.lower, success.upper, success.e_value) == (-1.0, 1.0, 1.0)
    assert found.sessions_since(live.at(0)) == 50


def test_a_prod_that_falls_silent_takes_nothing_back(live: Any) -> None:
    live.many(sides(300, 3), failing(0.5))
    before = figures(live.analyse(), "success")
    live.many(["canary"] * 200)
    after = figures(live.analyse(), "success")
    assert (before.outcome, after.outcome) == ("failed", "failed")
    assert after.e_value == before.e_value
    assert after.canary.sessions == before.canary.sessions + 200


def test_a_session_counts_once_all_of_it_can_be_on_record(live: Any) -> None:
    live.run("canary", "s", 0)
    live.run("prod", "t", 1)
    assert live.analyse(now=LAG_S - 1).sessions_since(live.at(0)) == 0
    assert live.analyse(now=LAG_S).outcome == "inconclusive"
    found = live.analyse(now=LAG_S + 1)
    assert (found.outcome, found.sessions_since(live.at(0)), found.sessions_since(live.at(1))) == ("passed", 1, 0)
    assert figures(found, "feedback").canary.sessions == 0


def test_words_are_waited_for_longer(live: Any) -> None:
    for side, at in (("canary", 0), ("prod", 1)):
        live.say(live.run(side, at=at), 1, at + 5)
    assert figures(live.analyse(now=300 + WORDS_S), "feedback").canary.sessions == 0
    assert figures(live.analyse(now=300 + WORDS_S + 62), "feedback").outcome == "passed"


def test_a_clock_before_the_canary_began_counts_nothing(live: Any) -> None:
    live.many(sides(20, 2))
    found = live.analyse(now=-3_600)
    assert (found.outcome, found.started) == ("inconclusive", ())


def test_looking_more_often_finds_the_same(live: Any) -> None:
    live.many(sides(240, 3), failing(0.15, seed=5))
    looks = [live.analyse(now=60.0 * at + LAG_S, metrics=SUCCESS) for at in range(0, 300, 20)]
    highest = [figures(one, "success").e_value for one in looks]
    assert highest == sorted(highest)
    assert looks[-1].as_document() == live.analyse(metrics=SUCCESS).as_document()
    failed = [one.outcome == "failed" for one in looks]
    assert failed == sorted(failed)
    assert any(failed)
    assert not failed[1]


def test_rows_in_any_order_give_the_same_document(live: Any) -> None:
    live.many(sides(200, 3), failing(0.2))
    straight = live.analyse().as_document()
    random.Random(2).shuffle(live.canary)
    live.prod.reverse()
    assert live.analyse().as_document() == straight


def test_alpha_is_shared_by_the_metrics_that_act(live: Any) -> None:
    live.many(sides(10, 2))
    assert thresholds(live.analyse()) == {100}
    watches = [{"metric": "success"}, {"metric": "latency", "dryRun": True}, {"metric": "cost"}]
    assert thresholds(live.analyse(metrics=watches)) == {40}


def test_a_metric_without_a_promise_does_not_apply(live: Any) -> None:
    slo = live.agent.slo.model_copy(update={"p95_ms": None, "cost_per_run_usd": None})
    live.agent = live.agent.model_copy(update={"slo": slo, "tool_refs": []})
    live.many(sides(10, 2), lambda at, side: {"cost_usd": None})
    found = live.analyse()
    assert [one.watch.metric for one in found.metrics] == ["success", "feedback"]
    assert thresholds(found) == {40}
    assert found.outcome == "passed"


def test_a_dry_run_is_shown_and_stops_nothing(live: Any) -> None:
    live.many(sides(300, 3), failing(0.5))
    found = live.analyse(metrics=[{"metric": "success", "dryRun": True}, {"metric": "latency"}])
    assert figures(found, "success").outcome == "failed"
    assert found.outcome == "passed"
    only_watched = live.analyse(metrics=[{"metric": "success", "dryRun": True}])
    assert (only_watched.outcome, only_watched.reason) == ("inconclusive", "no metric may act")
    assert live.analyse(metrics=[]).outcome == "inconclusive"


@pytest.mark.parametrize(
    ("metric", "field", "what"), [("cost", "cost_usd", "price"), ("latency", "duration_ms", "duration")]
)
def test_what_is_not_on_record_is_no_evidence_and_never_nothing(live: Any, metric: str, field: str, what: str) -> None:
    live.many(sides(200, 2), lambda at, side: {field: None} if side == "canary" else {})
    found = live.analyse()
    assert found.outcome == "errored"
    assert (
        found.reason == f"{metric}: the {what} of 100 of 100 sessions on the canary and 0 of 100 on prod is not known"
    )
    assert figures(found, metric).canary.mean is None
    watched = [{"metric": metric, "dryRun": True}, {"metric": "success"}]
    assert live.analyse(metrics=watched).outcome == "passed"


def test_a_price_missing_here_and_there_is_left_out(live: Any) -> None:
    live.many(sides(400, 2), lambda at, side: {"cost_usd": None} if at in {0, 1, 2} else {})
    found = live.analyse()
    assert found.outcome == "passed"
    assert (figures(found, "cost").canary.unknown, figures(found, "cost").canary.sessions) == (2, 198)


def test_a_failure_outweighs_what_is_not_known(live: Any) -> None:
    live.many(
        sides(300, 3), lambda at, side: {"cost_usd": None, "status": "failed" if side == "canary" else "finished"}
    )
    assert live.analyse().outcome == "failed"


def test_rows_without_a_count_of_tool_failures_are_no_units(live: Any) -> None:
    live.many(sides(20, 2), lambda at, side: {"tool_calls": 3, "tool_failures": None})
    assert figures(live.analyse(), "toolSuccess").outcome == "inconclusive"


def test_the_allow_list_counts_as_sessions_and_is_not_compared(live: Any) -> None:
    live.many(
        sides(60, 3), lambda at, side: {"status": "failed", "routed_by": "allow-list"} if side == "canary" else {}
    )
    found = live.analyse()
    assert figures(found, "success").canary.sessions == 0
    assert found.sessions_since(live.at(0)) == 20
    assert found.outcome == "inconclusive"


def test_tolerance_is_borne(live: Any) -> None:
    live.many(sides(300, 2), failing(0.1))
    assert live.analyse(metrics=SUCCESS).outcome == "failed"
    assert live.analyse(metrics=[{"metric": "success", "tolerance": 0.2}]).outcome == "passed"


def test_proof_of_not_worse_takes_evidence(live: Any) -> None:
    live.many(sides(40, 2))
    assert not live.analyse(margin=0.1).non_inferiority.is_proven
    live.many(sides(300, 2))
    assert live.analyse(margin=0.1).non_inferiority.is_proven
    assert not live.analyse(margin=0.01).non_inferiority.is_proven


def test_both_sides_are_waited_for_by_the_longer_timeout(live: Any) -> None:
    live.run("canary", "s", 0)
    live.run("prod", "t", 0)
    comparison = live.comparison(LAG_S + 1)
    limits = live.agent.limits.model_copy(update={"timeout_ms": 600_000})
    slow = replace(comparison, prod=live.agent.model_copy(update={"limits": limits}))
    assert comparison.counted_until("success") - slow.counted_until("success") == 570


def test_the_document_is_json(live: Any) -> None:
    live.many(sides(60, 3), failing(1.0))
    document = live.analyse().as_document()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert set(document) == {"outcome", "reason", "sessions", "metrics", "nonInferiority"}


def test_stored_runs_and_words_are_read_for_both_sides(live: Any, tmp_path: Any) -> None:
    database = open_database(f"sqlite:///{tmp_path}/store.db")
    try:
        for at, side in enumerate(sides(60, 2)):
            run = live.run(side, at=60.0 * at, status="failed" if side == "canary" else "finished")
            row = {
                "runId": run.run_id, "agent": "clerk", "version": "1.0.0", "release": f"sha256:{side}", "stage": side,
                "mode": "live", "status": run.status, "tenant": "acme", "sessionId": run.session_id,
                "startedAt": run.started_at, "durationMs": 5.0, "routedBy": run.routed_by,
                "usage": {"costUsd": 0.001, "toolCalls": 0, "toolFailures": 0},
            }  # fmt: skip
            RunStore(database).ingest([{"kind": "run", "run": row}])
            word = Feedback(run.run_id, "clerk", f"sha256:{side}", side, 1.0, "ada", {}, live.at(60.0 * at + 9))
            FeedbackStore(database).put(word)
        found = stored_analysis(database, "clerk", "sha256:canary", "sha256:prod", live.comparison())
        assert found.outcome == "failed"
        assert figures(found, "feedback").prod.sessions == 30
        alone = stored_analysis(database, "clerk", "sha256:canary", None, live.comparison(prod=False))
        assert alone.outcome == "inconclusive"
        assert alone.sessions_since(live.at(0)) == 30
    finally:
        database.close()
