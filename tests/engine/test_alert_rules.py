from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.operations_alerts import DEFAULT_ALERTS, Alerts
from penstock.engine.alert_rules import RunRules
from penstock.pal import ModelAnswer, ModelCall, Usage
from penstock.testing.conformance.rig import Rig
from penstock.testing.fake_provider import FakeProvider, asks, says
from penstock.testing.fake_tools import FakeTools

MakeRig = Callable[..., Rig]


async def alerts_of(one: Rig, alerts: Alerts = DEFAULT_ALERTS, **call: Any) -> list[dict[str, Any]]:
    """The alerts of one run, as its events tell them."""
    one.engine.alert_rules = RunRules(alerts)
    await one.run(one.call(tools={"weather": {}}, **{"stage": "prod", **call}))
    one.require_sound_events()
    return [event["data"] for event in one.sink.events() if event["type"] == "alert.raised"]


async def test_a_first_token_that_comes_late_is_an_event_of_its_run(rig: MakeRig) -> None:
    async def slow(call: ModelCall) -> ModelAnswer:
        return ModelAnswer("word", (), Usage(1, 1, 0.0), ttft_ms=2_310.0)

    one = rig(FakeProvider(slow))
    (alert,) = await alerts_of(one, stream=True)
    assert (alert["rule"], alert["when"], alert["severity"]) == ("slow-first-token", "ttft", "warning")
    assert alert["limit"] == 2_000
    assert alert["value"] == pytest.approx(2_310, abs=100)
    assert "more than 2,000" in alert["what"]


async def test_only_the_first_token_counts(rig: MakeRig) -> None:
    first = asks(("weather", {"town": "Bonn"}))
    early = ModelAnswer(None, first.tool_requests, first.usage, ttft_ms=5.0)
    late = ModelAnswer("word", (), Usage(1, 1, 0.0), ttft_ms=9_000.0)
    one = rig(FakeProvider(early, late), FakeTools(weather=lambda _: {"degrees": 4}))
    assert await alerts_of(one, stream=True) == []


async def test_each_failed_tool_call_is_one_alert(rig: MakeRig) -> None:
    provider = FakeProvider(asks(("weather", {"town": 5}), ("x" * 200, {})), says("sorry"))
    found = await alerts_of(rig(provider, FakeTools()))
    assert [alert["rule"] for alert in found] == ["tool-failed", "tool-failed"]
    assert sorted(alert["what"].rpartition(" ")[2] for alert in found) == ["arguments", "unknown-tool"]
    assert max(len(alert["tool"]) for alert in found) == 63


async def test_a_costly_run_is_told_once(rig: MakeRig) -> None:
    call = asks(("weather", {"town": "Bonn"}))
    dear = ModelAnswer(None, call.tool_requests, Usage(1, 1, 0.6))
    provider = FakeProvider(dear, dear, dear, says("done", Usage(1, 1, None)))
    (alert,) = await alerts_of(rig(provider, FakeTools(weather=lambda _: {"degrees": 4})))
    assert (alert["rule"], alert["value"], alert["limit"]) == ("costly-run", 1.2, 1.0)


@pytest.mark.parametrize("changes", [{"stage": "dev"}, {"mode": "eval"}])
async def test_what_is_not_served_is_not_watched(rig: MakeRig, changes: dict[str, Any]) -> None:
    provider = FakeProvider(asks(("weather", {"town": 5})), says("sorry", Usage(1, 1, 9.0)))
    assert await alerts_of(rig(provider, FakeTools()), **changes) == []


async def test_a_rule_is_for_its_agents(rig: MakeRig) -> None:
    rules = [
        {"name": "other", "when": "tool-failed", "agents": ["other", "pay-*"]},
        {"name": "ours", "when": "tool-failed", "agents": ["cl*"], "severity": "error"},
    ]
    provider = FakeProvider(asks(("weather", {"town": 5})), says("sorry"))
    (alert,) = await alerts_of(rig(provider, FakeTools()), Alerts.model_validate({"rules": rules}))
    assert (alert["rule"], alert["severity"]) == ("ours", "error")
