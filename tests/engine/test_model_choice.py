"""Which model answers: by what the caller says, a rule, or a model; on record, and the same in a replay."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.contracts.agent import AgentSpec
from penstock.contracts.model_choice import COMPLEXITIES, ComplexityChoice
from penstock.engine.call import RunCall, new_run_id
from penstock.engine.complexity_rule import complexity_by_rule
from penstock.engine.journal import Journal
from penstock.executor.replay import StoredRun, compare, start_replay
from penstock.pal import ModelFailed
from penstock.testing.conformance.rig import Rig
from penstock.testing.example_release import example_release
from penstock.testing.fake_provider import FakeProvider, says

MakeRig = Callable[..., Rig]
MODELS = {one: f"models/{one}@1.0.0" for one in COMPLEXITIES}
RULES = {
    "rule": [
        {"below": {"inputCharacters": 10}, "choose": "simple"},
        {"below": {"inputCharacters": 50, "historyMessages": 3}, "choose": "medium"},
    ],
    "otherwise": "complex",
}
CLASSIFIER = {"classifier": "models/judge@1.0.0", "otherwise": "complex"}


def chosen(rig: Rig) -> dict[str, Any]:
    found: list[dict[str, Any]] = [e["data"] for e in rig.sink.events() if e["type"] == "model.chosen"]
    assert len(found) == 1
    return found[0]


def asked(rig: Rig) -> list[str]:
    return [call.ref for call in rig.provider.calls]


@pytest.mark.parametrize("complexity", COMPLEXITIES)
async def test_the_caller_chooses(rig: MakeRig, complexity: str) -> None:
    one = rig(FakeProvider(says("well")))
    result = await one.run(one.call({"modelRef": MODELS, "complexity": RULES}, complexity=complexity))
    assert result.finished
    assert asked(one) == [MODELS[complexity]]  # type: ignore[index]
    assert chosen(one)["by"] == "request"
    one.require_sound_events()


@pytest.mark.parametrize(
    ("text", "complexity", "why"),
    [
        ("short", "simple", "rule 1: inputCharacters 5 is below 10"),
        ("rather longer", "medium", "rule 2: inputCharacters 13 is below 50 and historyMessages 0 is below 3"),
        ("x" * 50, "complex", "no rule fits 50 inputCharacters, 0 historyMessages"),
    ],
)
async def test_the_first_rule_that_fits_decides(rig: MakeRig, text: str, complexity: str, why: str) -> None:
    one = rig(FakeProvider(says("well")))
    await one.run(one.call({"modelRef": MODELS, "complexity": RULES}, input=text))
    model = MODELS[complexity]  # type: ignore[index]
    assert chosen(one) == {"complexity": complexity, "model": model, "by": "rule", "why": why}
    assert asked(one) == [model]


def test_a_bound_is_no_part_of_what_is_below_it() -> None:
    choice = ComplexityChoice.model_validate(RULES)
    assert [complexity_by_rule(choice, size, 0)[0] for size in (9, 10, 49, 50)] == [
        "simple",
        "medium",
        "medium",
        "complex",
    ]
    assert complexity_by_rule(choice, 20, 3)[0] == "complex"


async def test_a_model_classifies_and_is_counted_and_journalled(rig: MakeRig) -> None:
    one = rig(FakeProvider(says('{"complexity": "simple"}'), says("well"), says("unasked")))
    call = one.call({"modelRef": MODELS, "complexity": CLASSIFIER}, stream=True)
    handle = one.start(call)
    heard = [event["data"]["text"] async for event in handle.events() if event["type"] == "token.delta"]
    result = await handle.result()
    assert "".join(heard) == "well"
    assert asked(one) == ["models/judge@1.0.0", MODELS["simple"]]
    assert chosen(one)["by"] == "classifier"
    assert result.usage.model_calls == 2
    assert result.usage.cost_usd == pytest.approx(0.002)
    again = await replayed(one, result.run_id, call)
    assert again == (result.output, result.usage, [event["type"] for event in one.sink.events(result.run_id)])
    assert len(one.provider.calls) == 2


async def replayed(rig: Rig, run_id: str, call: RunCall) -> tuple[Any, Any, list[str]]:
    bodies = [p["body"] for p in rig.sink.of("payload") if p["role"] == "journal" and p["runId"] == run_id]
    handle = rig.start(replace(call, mode="replay", journal=Journal.from_entries(bodies), run_id=new_run_id()))
    result = await handle.result()
    return result.output, result.usage, [event["type"] for event in rig.sink.events(handle.run_id)]


@pytest.mark.parametrize("answer", [says("hard!"), says('{"complexity": "huge"}'), says("[]"), ModelFailed("away")])
async def test_a_classifier_that_says_nothing_leaves_it_to_the_declared_rest(rig: MakeRig, answer: Any) -> None:
    one = rig(FakeProvider(answer, says("well")))
    result = await one.run(one.call({"modelRef": MODELS, "complexity": CLASSIFIER}))
    assert result.finished
    assert asked(one) == ["models/judge@1.0.0", MODELS["complex"]]
    assert chosen(one)["by"] == "default"
    assert "models/judge@1.0.0" in chosen(one)["why"]


async def test_a_denied_classifier_is_not_asked(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("well")))
    rules: list[dict[str, Any]] = [
        {"name": "no", "effect": "deny", "actions": ["model.use"], "resources": ["models/judge"]},
        {"name": "all", "effect": "allow"},
    ]
    result = await one.run(one.call({"modelRef": MODELS, "complexity": CLASSIFIER}, rules=rules))
    assert result.failure is not None
    assert result.failure.code == "policy"
    assert not one.provider.calls


async def test_spare_models_follow_the_chosen_one(rig: MakeRig) -> None:
    spares = {"models": [MODELS["medium"], MODELS["complex"]]}
    one = rig(FakeProvider(ModelFailed("a"), says("well")))
    await one.run(one.call({"modelRef": MODELS, "fallback": spares}, complexity="medium"))
    assert asked(one) == [MODELS["medium"], MODELS["complex"]]


async def test_one_model_is_no_choice(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("well")))
    await one.run(one.call(complexity="complex"))
    assert "model.chosen" not in one.types()
    assert asked(one) == ["models/fake@1.0.0"]


def test_every_model_is_in_the_release_once() -> None:
    both = {**MODELS, "complex": MODELS["medium"]}
    agent = {"modelRef": both, "complexity": CLASSIFIER, "fallback": {"models": [MODELS["simple"]]}}
    release, _ = example_release(agent)
    assert [model.ref for model in release.models] == [both["simple"], both["medium"], "models/judge@1.0.0"]
    spec: AgentSpec = release.agent.spec
    assert spec.main_model == both["medium"]
    assert spec.models_for("simple") == [both["simple"]]


async def test_a_stored_run_that_its_caller_called_complex_is_replayed_as_such(rig: MakeRig) -> None:
    one = rig(FakeProvider(says("well")))
    call = one.call({"modelRef": MODELS, "complexity": RULES}, complexity="complex")
    result = await one.run(call)
    bodies = [p["body"] for p in one.sink.of("payload") if p["role"] == "journal"]
    journal, events = Journal.from_entries(bodies), tuple(one.sink.events())
    stored = StoredRun(result.as_document(), "hello", result.output, (), journal, events)
    releases: Any = SimpleNamespace(release=lambda _: call.release, blob=lambda _: call.prompt_body)
    handle = start_replay(one.engine, releases, stored, None)
    assert compare(stored, await handle.result(), handle.past_events).differences == []
    assert len(one.provider.calls) == 1
