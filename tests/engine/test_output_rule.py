"""The rule for an output that breaks its schema: after so many failures a template or a tool answers, on record."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from penstock.engine.journal import Journal
from penstock.engine.sequence import sequence_of
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]
INPUT = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
OUTPUT = {
    "type": "object",
    "properties": {"town": {"type": "string"}, "degrees": {"type": "number"}},
    "required": ["town", "degrees"],
}
BAD = says('{"town": "Bonn"}')
TEMPLATE = {"town": {"from": "/town"}, "degrees": 0}
RULE_TOOL = {
    "input": {"schema": {"type": "object", "required": ["input", "faults", "output"]}},
    "output": {"schema": OUTPUT},
    "sideEffects": "none",
}


def agent(**rule: Any) -> dict[str, Any]:
    return {"input": {"schema": INPUT}, "output": {"schema": OUTPUT}, "fallback": {"rule": rule} if rule else {}}


def call(rig: Rig, rule: Mapping[str, Any], **fields: Any) -> Any:
    spare = {"mender": RULE_TOOL} if "tool" in rule else None
    return rig.call(agent(**rule), spare_tools=spare, **{"input": {"town": "Bonn"}, **fields})


async def test_a_template_answers_after_as_many_failures_as_it_says(rig: MakeRig) -> None:
    for failures in (1, 2, 3):
        one = rig(FakeProvider(*[BAD] * 5))
        wanted = call(one, {"afterFailures": failures, "template": TEMPLATE})
        handle = one.start(wanted)
        result = await handle.result()
        assert (result.status, result.output) == ("finished", {"town": "Bonn", "degrees": 0})
        assert len(one.provider.calls) == failures
        times = {1: "once", 2: "2 times", 3: "3 times"}[failures]
        assert list(result.fallbacks) == [
            {"kind": "rule", "from": "output", "to": "template",
             "why": f"the output broke its schema {times}: 1 fault at /"}
        ]  # fmt: skip
        one.require_sound_events()


async def test_repair_turns_see_all_that_was_said_before(rig: MakeRig) -> None:
    one = rig(FakeProvider(BAD, BAD, says('{"town": "Bonn", "degrees": 4}')))
    result = await one.run(call(one, {"afterFailures": 3, "template": TEMPLATE}))
    assert (result.output["degrees"], result.fallbacks) == (4, ())
    roles = [message["role"] for message in one.provider.calls[-1].messages]
    assert roles == ["system", "user", "assistant", "user", "assistant", "user"]


async def test_without_a_rule_one_repair_turn_then_the_run_fails(rig: MakeRig) -> None:
    one = rig(FakeProvider(*[BAD] * 5))
    result = await one.run(call(one, {}))
    assert result.failure is not None
    assert (result.failure.code, len(one.provider.calls), result.fallbacks) == ("schema", 2, ())
    assert result.failure.what == "the output breaks its schema after one repair turn: 1 fault at /"


async def test_a_template_that_finds_nothing_or_breaks_the_schema_fails_the_run(rig: MakeRig) -> None:
    for template in ({"town": {"from": "/country"}, "degrees": 0}, {"town": {"from": "/town"}, "degrees": "warm"}):
        one = rig(FakeProvider(*[BAD] * 2))
        result = await one.run(call(one, {"template": template}))
        assert result.failure is not None
        assert (result.failure.code, result.output) == ("schema", None)


async def test_an_own_rule_is_a_tool_that_no_model_is_offered(rig: MakeRig) -> None:
    def mender(arguments: Mapping[str, Any]) -> dict[str, Any]:
        assert arguments["output"] == '{"town": "Bonn"}'
        assert arguments["faults"][0]["pointer"] == ""
        return {"town": arguments["input"]["town"], "degrees": 7}

    one = rig(FakeProvider(*[BAD] * 2), FakeTools(mender=mender))
    wanted = call(one, {"tool": "tools/mender@1.0.0"}, mode="eval")
    handle = one.start(wanted)
    result = await handle.result()
    assert (result.output, result.fallbacks[0]["to"]) == ({"town": "Bonn", "degrees": 7}, "tools/mender@1.0.0")
    assert result.usage.tool_calls == 1
    assert one.provider.calls[0].tools == ()
    decided = [event["data"]["resource"] for event in one.sink.events() if event["type"] == "policy.decided"]
    assert decided[-1] == "tools/mender"
    assert handle.journal is not None
    again = rig(FakeProvider(), FakeTools())
    journal = Journal.from_jsonl(handle.journal.to_jsonl())
    replayed = again.engine.start(replace(wanted, mode="replay", journal=journal))
    assert (await replayed.result()).output == result.output
    assert sequence_of(replayed.past_events) == sequence_of(handle.past_events)


async def test_an_own_rule_that_fails_or_is_denied_leaves_the_run_failed(rig: MakeRig) -> None:
    def breaks(_: Any) -> Any:
        raise ValueError("no")

    deny = [
        {"name": "no", "effect": "deny", "actions": ["tool.call"], "resources": ["tools/mender"]},
        {"name": "all", "effect": "allow"},
    ]
    for fields in ({}, {"rules": deny}):
        one = rig(FakeProvider(*[BAD] * 2), FakeTools(mender=breaks))
        result = await one.run(call(one, {"tool": "tools/mender@1.0.0"}, **fields))
        assert result.failure is not None
        assert result.failure.code == "schema"
