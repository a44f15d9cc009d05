import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from penstock.contracts.operations_alerts import DEFAULT_ALERTS, Alerts, BurnRate, CostAnomaly, SlowFirstToken

PAGE = Path(__file__).parents[2] / "docs" / "observability.md"


def test_without_a_section_the_default_rules_hold() -> None:
    by_name = {rule.name: rule for rule in DEFAULT_ALERTS.rules}
    assert list(by_name) == ["slow-first-token", "tool-failed", "costly-run", "cost-anomaly", "burn-fast", "burn-slow"]
    slow, fast, anomaly = by_name["slow-first-token"], by_name["burn-fast"], by_name["cost-anomaly"]
    assert isinstance(slow, SlowFirstToken)
    assert isinstance(fast, BurnRate)
    assert isinstance(anomaly, CostAnomaly)
    assert (slow.above_ms, anomaly.factor, DEFAULT_ALERTS.quiet) == (2_000, 3.0, "10m")
    assert (fast.long, fast.short, fast.factor, fast.severity) == ("1h", "5m", 14.4, "error")


def test_the_documentation_shows_the_default_rules() -> None:
    text = PAGE.read_text("utf-8")
    (block,) = [one for one in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL) if "alerts:" in one]
    assert Alerts.model_validate(yaml.safe_load(block)["spec"]["alerts"]) == DEFAULT_ALERTS


def test_a_list_takes_the_place_of_the_defaults() -> None:
    rule = {"name": "slow", "when": "ttft", "aboveMs": 500, "severity": "error", "agents": ["pay-*"]}
    found = Alerts.model_validate({"rules": [rule], "quiet": "1h"})
    assert found.as_document() == {"rules": [{**rule, "aboveMs": 500.0, "stages": ["canary", "prod"]}], "quiet": "1h"}
    assert Alerts.model_validate({"rules": []}).rules == []
    assert found.rules[0].applies("pay-out", "prod")
    assert not found.rules[0].applies("pay-out", "dev")
    assert not found.rules[0].applies("other", "prod")


@pytest.mark.parametrize(
    "wrong",
    [
        {"rules": [{"name": "a", "when": "ttft"}, {"name": "a", "when": "run-cost"}]},
        {"rules": [{"name": "a", "when": "weather"}]},
        {"rules": [{"name": "a", "when": "ttft", "aboveUsd": 1}]},
        {"rules": [{"name": "a", "when": "burn-rate", "long": "an hour"}]},
        {"rules": [{"name": "a", "when": "hourly-cost", "factor": 1}]},
        {"rules": [{"name": "a", "when": "ttft", "stages": []}]},
        {"quiet": 5},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Alerts.model_validate(wrong)
