import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.contracts.eval_suite import ModelPace
from penstock.engine import patience
from penstock.engine.call import RunCall
from penstock.engine.failure import Failure
from penstock.engine.journal import Journal
from penstock.errors import NotFound, Unavailable
from penstock.pal import ModelAnswer, ModelCall, ModelFailed, Usage
from penstock.registry.documents import Registry
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.scoring.budget import Budget
from penstock.scoring.case_set import EvalCase
from penstock.scoring.engine_subject import EngineSubject, trial_of
from penstock.scoring.harness import Bounds, measure, score_all
from penstock.scoring.rig import Rig, open_rig
from penstock.scoring.scorer import Score, Scored, Scorer, ScorerFailed
from penstock.settings import Settings
from penstock.store.database import open_database
from penstock.store.runs import RunStore
from penstock.testing.fake_provider import FakeProvider, asks, hangs, says

TOWN = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
CODE = """
from pathlib import Path

async def weather(arguments, ctx):
    if arguments["town"] == "Nowhere":
        raise ValueError("no such town")
    return {"degrees": len(arguments["town"])}

async def book(arguments, ctx):
    Path("booked").write_text("it happened")
    return {"booked": True}
"""


def document(kind: str, name: str, spec: Mapping[str, Any]) -> str:
    metadata = {"name": name, "version": "1.0.0", "owner": "qa", "description": f"The {name}."}
    written = {"apiVersion": "penstock.dev/v1", "kind": kind, "metadata": metadata, "spec": dict(spec)}
    return yaml.safe_dump(written)


def agent(mode: str = "workflow", tools: tuple[str, ...] = (), **fields: Any) -> dict[str, Any]:
    return {
        "mode": mode,
        "promptRef": "prompts/plain@1.0.0",
        "modelRef": "models/one@1.0.0",
        "policyRefs": ["policies/default@1.0.0"],
        "toolRefs": [f"tools/{name}@1.0.0" for name in tools],
        "input": {"schema": {}},
        "output": {"schema": {"type": "string"}},
        **fields,
    }


def tool(name: str, side_effects: str, **fields: Any) -> dict[str, Any]:
    return {
        "input": {"schema": TOWN},
        "output": {"schema": {"type": "object"}},
        "implementation": {"type": "python", "entry": f"tool:{name}", **fields},
        "sideEffects": side_effects,
    }


RULES = [
    {"name": "all", "effect": "allow"},
    {
        "name": "no-secrets",
        "effect": "deny",
        "actions": ["tool.call"],
        "resources": ["tools/secret"],
        "reason": "private",
    },
]
FILES = {
    "agents/clerk/1.0.0.yaml": document("Agent", "clerk", agent(tools=("weather", "book", "secret"))),
    "agents/talker/1.0.0.yaml": document("Agent", "talker", agent("conversational")),
    "agents/grader/1.0.0.yaml": document("Agent", "grader", agent(modelRef="models/grading@1.0.0")),
    "agents/lacking/1.0.0.yaml": document("Agent", "lacking", agent(tools=("lacking",))),
    "prompts/plain/1.0.0.md": "---\n" + document("Prompt", "plain", {"role": "system"}) + "---\nYou help.\n",
    "policies/default/1.0.0.yaml": document("Policy", "default", {"rules": RULES}),
    "models/one/1.0.0.yaml": document("Model", "one", {"model": "fake/one", "contextTokens": 1000}),
    "models/grading/1.0.0.yaml": document("Model", "grading", {"model": "fake/grading", "contextTokens": 1000}),
    **{
        f"tools/{name}/1.0.0{path}": text
        for name, effects, fields in (
            ("weather", "read", {}),
            ("book", "write", {}),
            ("secret", "read", {"entry": "tool:weather"}),
            ("lacking", "read", {"entry": "tool:weather", "requires": ["no-such-distribution>=1"]}),
        )
        for path, text in ((".yaml", document("Tool", name, tool(name, effects, **fields))), ("/tool.py", CODE))
    },
}


def declaration(name: str, runs: int = 100) -> str:
    spec = {
        "runtime": "penstock",
        "versions": ">=0",
        "adapter": "direct",
        "capabilities": {"modes": ["workflow", "conversational"], "toolCalling": True, "maxContextTokens": 100_000},
        "limits": {"concurrentRuns": runs},
    }
    metadata = {"name": name}
    return yaml.safe_dump({"apiVersion": "penstock.dev/v1", "kind": "Runtime", "metadata": metadata, "spec": spec})


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    for path, text in {f"registry_repo/{path}": text for path, text in FILES.items()}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    (tmp_path / "runtimes").mkdir()
    (tmp_path / "runtimes/direct.yaml").write_text(declaration("direct"))
    (tmp_path / "runtimes/narrow.yaml").write_text(declaration("narrow", 2))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(patience, "FIRST_WAIT_S", 0.002)
    return Settings(root=tmp_path, default_runtime="direct")


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return load_registry(TreeSource(settings.root), default_runtime="direct")


def case(case_id: str = "0", text: Any = "hello", **fields: Any) -> EvalCase:
    written = {"id": case_id, "input": text, **fields}
    return EvalCase("cases", Case.model_validate(written), digest(written))


def bounds(concurrency: int = 4, cost_usd: float = 100.0, pace: Mapping[str, ModelPace] | None = None) -> Bounds:
    return Bounds(1, concurrency, pace or {}, Budget(cost_usd, 10.0))


def echo(call: ModelCall) -> ModelAnswer:
    return says(f"you said {call.messages[-1]['content']}")


async def test_each_trial_is_a_stored_run_with_events_and_cost(settings: Settings, registry: Registry) -> None:
    cases = [case(str(i), f"hello {i}") for i in range(20)]
    async with open_rig(settings, registry, provider=FakeProvider(echo)) as rig:
        measured = await measure(rig.subject(resolve(registry, "clerk", "1.0.0")), cases, bounds(), rig.store)
    assert [trial.output for trial in measured.trials] == [f"you said hello {i}" for i in range(20)]
    runs = RunStore(open_database(settings.database))
    for trial in measured.trials:
        stored = runs.run(trial.run_id)
        assert stored is not None
        assert (stored["mode"], stored["stage"], stored["status"]) == ("eval", "dev", "finished")
        assert stored["usage"]["costUsd"] == trial.cost_usd == 0.001
        types = [event["type"] for event in runs.events(trial.run_id) if event["type"] != "policy.decided"]
        assert [step.partition(":")[0] for step in trial.steps] == types
    assert (measured.trials[0].prompt_tokens, measured.trials[0].completion_tokens) == (10, 5)
    assert list(settings.spool.iterdir()) == []


async def test_the_trajectory_shows_every_call_also_those_that_were_refused(
    settings: Settings, registry: Registry
) -> None:
    script = [
        asks(("weather", {"town": "Bonn"}), ("book", {"town": "Bonn"}), ("secret", {"town": "Bonn"})),
        asks(("weather", {"town": "Nowhere"}), ("weather", {"town": 5}), ("ghost", {"a": 1}), ("weather", "no json")),
        says("done"),
    ]
    fixtures = {"book": [{"booked": "by the fixture"}]}
    async with open_rig(settings, registry, provider=FakeProvider(*script)) as rig:
        trial = await rig.subject(resolve(registry, "clerk", "1.0.0")).run(case(fixtures=fixtures), 0)
    by_name: dict[str, list[Any]] = {}
    for call in trial.calls:
        by_name.setdefault(call.name, []).append(call)
    found = {
        one.arguments["town"] if isinstance(one.arguments, dict) else one.arguments: one for one in by_name["weather"]
    }
    assert (found["Bonn"].result, found["Bonn"].error) == ({"degrees": 4}, None)
    assert found["Nowhere"].result is None
    assert "failed" in found["Nowhere"].error
    assert "arguments" in found[5].error
    assert "no JSON" in found["no json"].error
    assert [(one.arguments, one.result) for one in by_name["book"]] == [
        ({"town": "Bonn"}, {"booked": "by the fixture"})
    ]
    assert by_name["ghost"][0].arguments == {"a": 1}
    assert "denied" in by_name["secret"][0].error
    assert trial.denied == ("tool.call tools/secret",)
    assert "tool.finished:weather" in trial.steps
    assert (trial.status, trial.model_calls) == ("finished", 3)
    assert not (settings.root / "booked").exists()
    assert len(trial.calls) == 7


async def test_a_conversation_begins_with_the_cases_history(settings: Settings, registry: Registry) -> None:
    provider = FakeProvider(echo)
    history = [{"role": "user", "content": "I am Ada"}, {"role": "assistant", "content": "Hello Ada"}]
    async with open_rig(settings, registry, provider=provider) as rig:
        await rig.subject(resolve(registry, "talker", "1.0.0")).run(case(history=history), 0)
    assert [message["content"] for message in provider.calls[0].messages[1:]] == ["I am Ada", "Hello Ada", "hello"]


async def test_a_writing_tool_without_a_fixture_is_no_evidence(settings: Settings, registry: Registry) -> None:
    provider = FakeProvider(lambda _: asks(("book", {"town": "Bonn"})))
    async with open_rig(settings, registry, provider=provider) as rig:
        measured = await measure(rig.subject(resolve(registry, "clerk", "1.0.0")), [case()], bounds(), rig.store)
    assert measured.trials == []
    assert "neither the case's fixtures" in measured.problems[0].what
    assert not (settings.root / "booked").exists()


async def test_runs_wait_for_a_place_on_their_runtime(settings: Settings, registry: Registry) -> None:
    in_flight, most = 0, 0

    async def slow(call: ModelCall) -> ModelAnswer:
        nonlocal in_flight, most
        in_flight += 1
        most = max(most, in_flight)
        for _ in range(3):
            await asyncio.sleep(0)
        in_flight -= 1
        return says("done")

    cases = [case(str(i)) for i in range(12)]
    async with open_rig(settings, registry, provider=FakeProvider(slow)) as rig:
        subject = rig.subject(resolve(registry, "clerk", "1.0.0"), "narrow")
        measured = await measure(subject, cases, bounds(concurrency=10), rig.store)
    assert ([trial.status for trial in measured.trials], most) == (["finished"] * 12, 2)
    assert measured.trials[0].runtime == "narrow"


async def test_a_storm_of_refusals_ends_as_problems_after_bounded_attempts(
    settings: Settings, registry: Registry
) -> None:
    def refuse(_: ModelCall) -> ModelAnswer:
        raise ModelFailed("429: rate limit", where="fake", retryable=True)

    provider = FakeProvider(refuse)
    cases = [case(str(i)) for i in range(10)]
    async with open_rig(settings, registry, provider=provider) as rig:
        measured = await measure(rig.subject(resolve(registry, "clerk", "1.0.0")), cases, bounds(), rig.store)
        assert (measured.trials, measured.made, len(measured.problems)) == ([], 0, 10)
        assert {one.what for one in measured.problems} == {"429: rate limit"}
        assert len(provider.calls) == 10 * patience.ATTEMPTS
        provider._always = echo
        healed = await measure(rig.subject(resolve(registry, "clerk", "1.0.0")), cases, bounds(), rig.store)
        assert (healed.made, healed.problems) == (10, [])


async def test_a_key_says_everything_that_a_run_depends_on(settings: Settings, registry: Registry) -> None:
    one = case()
    resolved = resolve(registry, "clerk", "1.0.0")
    async with open_rig(settings, registry, provider=FakeProvider()) as rig:
        journal = Journal({"recorded": 1})
        subjects = [
            rig.subject(resolved),
            rig.subject(resolved, "narrow"),
            rig.subject(resolved, mode="shadow"),
            rig.subject(resolved, mode="shadow", journals={one.id: journal}),
            rig.subject(resolve(registry, "talker", "1.0.0")),
        ]
        keys = [subject.key(one, 0).digest for subject in subjects]
        keys += [subjects[0].key(one, 1).digest, subjects[0].key(case("1"), 0).digest]
        assert len(set(keys)) == len(keys)
        assert rig.subject(resolved).key(one, 0) == subjects[0].key(one, 0)
        assert (subjects[0].title, subjects[0].model) == ("clerk@1.0.0", "one")


async def test_a_cancel_takes_the_runs_along(settings: Settings, registry: Registry) -> None:
    provider = FakeProvider(hangs)
    async with open_rig(settings, registry, provider=provider) as rig:
        subject = rig.subject(resolve(registry, "clerk", "1.0.0"))
        task = asyncio.create_task(measure(subject, [case("a"), case("b")], bounds(), rig.store))
        await provider.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait([handle.task for handle in rig.engine.running] or [asyncio.create_task(asyncio.sleep(0))])
    runs = RunStore(open_database(settings.database)).runs()
    assert {run["status"] for run in runs} == {"cancelled"}


async def test_what_cannot_be_run_at_all_is_said_once(settings: Settings, registry: Registry) -> None:
    async with open_rig(settings, registry, provider=FakeProvider(echo)) as rig:
        with pytest.raises(NotFound, match="no runtime 'ghost'"):
            rig.subject(resolve(registry, "clerk", "1.0.0"), "ghost")
        lacking = rig.subject(resolve(registry, "lacking", "1.0.0"))
        with pytest.raises(Unavailable, match="no-such-distribution"):
            await measure(lacking, [case(str(i)) for i in range(50)], bounds(), rig.store)
        with pytest.raises(NotFound):
            rig.judge("agents/ghost@1.0.0")


async def test_what_is_a_week_old_is_cleared_when_a_rig_opens(settings: Settings, registry: Registry) -> None:
    def row(key: str, days: float) -> tuple[str, str, str, dict[str, Any]]:
        at = (datetime.now(UTC) - timedelta(days=days)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return (key, "sha256:release", at, {"key": key})

    async with open_rig(settings, registry, provider=FakeProvider(echo)) as rig:
        rig.store.put([row("old", 7.1), row("new", 6.9)])
    async with open_rig(settings, registry, provider=FakeProvider(echo)) as rig:
        assert set(rig.store.find(["old", "new"], "")) == {"new"}


async def test_a_spool_that_cannot_be_written_opens_no_rig(settings: Settings, registry: Registry) -> None:
    settings.state.mkdir()
    settings.spool.write_text("a file in the way")
    with pytest.raises(Unavailable, match="spool"):
        async with open_rig(settings, registry, provider=FakeProvider(echo)):
            raise AssertionError("it opened")


async def test_a_time_limit_reached_over_a_refusing_provider_is_no_evidence(
    settings: Settings, registry: Registry
) -> None:
    async with open_rig(settings, registry, provider=FakeProvider(echo)) as rig:
        subject = rig.subject(resolve(registry, "clerk", "1.0.0"))
        key = subject.key(case(), 0)
        handle = await rig.start(_call_of(subject))
        result = await handle.result()
    late = replace(result, status="timed_out", output=None, failure=Failure("timeout", "too late", "here"))
    waiting = [{"type": "llm.started", "data": {}}, {"type": "llm.retried", "data": {}}]
    assert trial_of(key, late, handle.past_events, Journal()).is_evidence
    assert not trial_of(key, late, waiting, Journal()).is_evidence


def _call_of(subject: EngineSubject) -> RunCall:
    return RunCall(release=subject.release, prompt_body=subject._body, runtime=subject.runtime, input="hi", mode="eval")


def _unasked(scored: Scored, **_: Any) -> float:
    raise AssertionError("asked past its judge")


class Asking:
    """A scorer that asks its judge."""

    title, digest = "asking", "sha256:asking"
    own_files: tuple[str, ...] = ()

    def __init__(self, rig: Rig) -> None:
        self.judge = rig.judge("agents/grader@1.0.0")
        self.scorer = Scorer("asking", _unasked, "score", 1, {"asks-judge"})

    async def score(self, case: Case, trial: Any, release: Any, against: Any = None) -> Score:
        answer = await self.judge.ask({"case": case.id})
        return Score(1.0, str(answer.output), {"run": answer.run_id, "model": answer.model}, answer.cost_usd or 0.0)


def judging(price: float | None = 0.5, grade: Callable[[ModelCall], ModelAnswer] | None = None) -> FakeProvider:
    """Answers clerks for nothing, and judges for a price."""

    def answer(call: ModelCall) -> ModelAnswer:
        if call.model != "fake/grading":
            return says("hi", Usage(1, 1, 0.0))
        return grade(call) if grade is not None else says("good", Usage(10, 10, price))

    return FakeProvider(answer)


async def test_a_judge_is_a_run_of_its_own_that_the_budget_pays(settings: Settings, registry: Registry) -> None:
    provider, cases = judging(), [case(str(i)) for i in range(6)]
    limits = bounds(concurrency=1, cost_usd=1.8)
    async with open_rig(settings, registry, provider=provider) as rig:
        measured = await measure(rig.subject(resolve(registry, "clerk", "1.0.0")), cases, limits, rig.store)
        asking = Asking(rig)
        scores = await score_all(measured, cases, [asking], asking.judge.release, limits, rig.store)
    assert (len(scores.rows), len(scores.problems), limits.budget.spent_usd) == (4, 2, 2.0)
    assert scores.stopped is not None
    score = scores.rows[0].score
    assert (score.reason, score.cost_usd, score.details["model"]) == ("good", 0.5, "fake/grading")
    stored = RunStore(open_database(settings.database)).run(score.details["run"])
    assert stored is not None
    assert (stored["agent"], stored["mode"]) == ("grader", "eval")
    asked = [call for call in provider.calls if call.model == "fake/grading"]
    assert orjson.loads(asked[0].messages[-1]["content"]) == {"case": "0"}


async def test_a_judge_that_fails_is_no_score_and_still_paid(settings: Settings, registry: Registry) -> None:
    def refuse(_: ModelCall) -> ModelAnswer:
        raise ModelFailed("500", where="fake", retryable=True)

    async with open_rig(settings, registry, provider=judging(grade=refuse)) as rig:
        limits = bounds()
        judge = rig.judge("agents/grader@1.0.0", limits)
        with pytest.raises(ScorerFailed, match=r"grader@1.0.0 did not answer: 500"):
            await judge.ask({"case": "0"})
        limits.budget.spend(1_000)
        with pytest.raises(ScorerFailed, match="budget"):
            await judge.ask({"case": "0"})


async def test_a_judges_pace_is_that_of_its_model(settings: Settings, registry: Registry) -> None:
    limits = bounds(concurrency=4, pace={"grading": ModelPace(rpm=1, tpm=None)})
    async with open_rig(settings, registry, provider=judging()) as rig:
        judge = rig.judge("agents/grader@1.0.0", limits)
        assert (await judge.ask({})).output == "good"
        waiting = asyncio.create_task(judge.ask({}))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert done == set()
        waiting.cancel()
        free = rig.subject(resolve(registry, "clerk", "1.0.0"))
        assert (await measure(free, [case("a"), case("b")], limits, rig.store)).made == 2
