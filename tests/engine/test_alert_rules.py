from collections.abc import Callable
from typing import Any

import pytest

from penstock.contracts.operations_alerts import DEFAULT_ALERTS, Alerts
from penstock.engine.alert_rules import RunRules
from penstock.pal import ModelAnswer, Usage
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
    rule = {"name": "any", "when": "ttft", "aboveMs": 0.0, "severity": "error"}
    one = rig(FakeProvider(asks(("weather", {"town": "Bonn"})), says("two words")), FakeTools(weather=lambda _: {}))
    (alert,) = await alerts_of(one, Alerts.model_validate({"rules": [rule]}), stream=True)
    assert (alert["rule"], alert["when"], alert["severity"], alert["limit"]) == ("any", "ttft", "error", 0)
    (end,) = [event for event in one.sink.events() if event["type"] == "run.finished"]
    assert alert["value"] == pytest.approx(end["data"]["ttftMs"], abs=200)
    assert "more than 0" in alert["what"]


def test_how_late_is_a_matter_of_the_events_times(rig: MakeRig) -> None:
    one = rig(FakeProvider(), FakeTools())
    watch = RunRules(DEFAULT_ALERTS).of(one.call(stage="prod"))
    assert watch is not None
    assert list(watch.first_token("2026-11-20T10:00:09.000000Z")) == []  # it has not begun
    watch({"type": "run.started", "time": "2026-11-20T10:00:00.000000Z"})
    assert list(watch.first_token("2026-11-20T10:00:02.000000Z")) == []
    (alert,) = watch.first_token("2026-11-20T10:00:02.310000Z")
    assert (alert["rule"], alert["value"], alert["limit"]) == ("slow-first-token", 2_310.0, 2_000)


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
