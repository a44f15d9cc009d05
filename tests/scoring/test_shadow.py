"""Recorded runs as cases, and what became of the tool calls of shadow runs."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from penstock.adapters.direct import DirectRuntime
from penstock.contracts.release import Release
from penstock.pal import ModelFailed
from penstock.scoring.diff.pair import TrialPair
from penstock.scoring.recorded_run import recorded_run, sample_runs
from penstock.scoring.shadow import newly_failed, refused_share, side_effects
from penstock.scoring.trial import ToolCall, Trial, TrialKey
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_release
from penstock.testing.fake_provider import FakeProvider, Step, asks, says
from penstock.testing.fake_tools import FakeTools

BONN = {"town": "Bonn"}
READS: dict[str, Any] = {"weather": {}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RunStore]:
    database = open_database(f"sqlite:///{tmp_path / 'store.db'}")
    yield RunStore(database)
    database.close()


@pytest.fixture
def live(store: RunStore) -> Callable[..., Any]:
    """Makes and stores a live run that answers with these steps; returns its id."""

    async def make(*steps: Step, agent: Mapping[str, Any] | None = None, **call: Any) -> str:
        rig = Rig(DirectRuntime, "penstock", FakeProvider(*steps), FakeTools(weather=lambda _: {"degrees": 4}))
        result = await rig.run(rig.call(agent, tools=READS, stage="prod", tenant="shop", **call))
        store.ingest(rig.sink.records)
        return result.run_id

    return make


def release() -> Release:
    made, _ = example_release(tools=READS)
    return made


async def test_a_run_is_a_case_with_its_history_and_what_it_showed(store: RunStore, live: Callable[..., Any]) -> None:
    history = ({"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"})
    agent = {"mode": "conversational"}
    run_id = await live(asks(("weather", BONN)), says("cold"), agent=agent, history=history, input="and in Bonn?")
    found = recorded_run(store, run_id)
    assert found is not None
    assert (found.case.id, found.case.case.input) == (f"production/{run_id}", "and in Bonn?")
    assert found.case.case.history == list(history)
    trial = found.trial
    assert (trial.status, trial.output, trial.runtime, trial.model_calls) == (
        "finished",
        "cold",
        found.trial.runtime,
        2,
    )
    assert trial.calls == (ToolCall("weather", BONN, {"degrees": 4}, None, "tool"),)
    assert trial.steps[0] == "run.started"
    assert "tool.finished:weather" in trial.steps
    row = store.run(run_id)
    assert row is not None
    assert (trial.at, trial.cost_usd, trial.duration_ms) == (row["finishedAt"], 0.002, row["durationMs"])
    assert [entry.door for entry in found.journal.entries] == ["model", "tool", "model"]


async def test_a_run_without_payloads_is_none(store: RunStore, live: Callable[..., Any]) -> None:
    run_id = await live(says("hi"))
    store.delete_payloads(run_id)
    assert recorded_run(store, run_id) is None
    assert recorded_run(store, "never") is None


async def test_a_sample_leaves_out_what_broke_by_no_doing_of_the_release(
    store: RunStore, live: Callable[..., Any]
) -> None:
    good, _ = await live(says("hi")), await live(ModelFailed("overloaded", where="models/fake"))
    found = sample_runs(store, release(), hours=1, limit=10)
    assert [run.trial.run_id for run in found.runs] == [good]
    assert found.unusable == 1
    window = found.window_document()
    assert window["unusable"] == 1
    assert window["since"] < window["until"]
    assert window["runs"].startswith("sha256:")


async def test_the_window_bounds_the_sample(store: RunStore, live: Callable[..., Any]) -> None:
    await live(says("hi"))
    assert sample_runs(store, release(), hours=1, limit=10, until=datetime.now(UTC) - timedelta(hours=2)).runs == []
    assert (
        sample_runs(store, release(), hours=0.000001, limit=10, until=datetime.now(UTC) + timedelta(hours=1)).runs == []
    )
    assert len(sample_runs(store, release(), hours=1, limit=10).runs) == 1


async def test_a_failed_run_is_evidence_with_its_failure(store: RunStore, live: Callable[..., Any]) -> None:
    agent = {"output": {"schema": {"type": "object"}}}
    run_id = await live(says("no json"), says("still none"), agent=agent)
    found = recorded_run(store, run_id)
    assert found is not None
    assert (found.trial.status, found.trial.output) == ("failed", None)
    assert found.trial.failure is not None
    assert found.trial.failure["code"] == "schema"
    assert found.trial.is_evidence


def trial(*calls: ToolCall, status: str = "finished") -> Trial:
    failure = None if status == "finished" else {"code": "schema", "what": "no", "where": "", "now": ""}
    return Trial(
        key=TrialKey("r", "c", 0, "p"),
        run_id="run",
        runtime="direct",
        status=status,
        output=None,
        failure=failure,
        calls=calls,
    )


def test_calls_are_counted_by_what_the_tools_declare() -> None:
    made, _ = example_release(tools={"weather": {}, "store": {"sideEffects": "write"}})
    calls = (
        ToolCall("weather", {}, 1, None, "tool"),
        ToolCall("weather", {}, 1, None, "journal"),
        ToolCall("store", {}, 1, None, "journal"),
        ToolCall("store", {}, None, "refused", "refused"),
        ToolCall("unknown", {}, None, "no such tool", None),
    )
    pair = TrialPair(case="c", baseline=trial(), candidate=trial(*calls))
    counted = side_effects([pair], made)
    assert counted.as_document() == {"refused": 1, "fromJournal": 2, "calledRead": 1, "calledWrite": 0}
    wrote = TrialPair(case="c", baseline=trial(), candidate=trial(ToolCall("store", {}, 1, None, "tool")))
    assert side_effects([wrote], made).called_write == 1
    assert refused_share([pair, wrote]) == 0.5
    assert refused_share([]) is None


def test_only_failures_that_prod_did_not_have_are_new() -> None:
    both = TrialPair(case="a", baseline=trial(status="failed"), candidate=trial(status="failed"))
    new = TrialPair(case="b", baseline=trial(), candidate=trial(status="timed_out"))
    gone = TrialPair(case="c", baseline=trial(status="failed"), candidate=trial())
    assert newly_failed([both, new, gone]) == [new]
