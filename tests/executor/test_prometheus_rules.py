"""The rules for Prometheus say nothing that no executor says."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from penstock.executor.telemetry.metric import METRICS

FOLDER = Path(__file__).parents[2] / "deploy" / "prometheus"
RULES = FOLDER / "penstock.rules.yaml"
SELECTOR = re.compile(r"\b(penstock_[a-z0-9_]+)(?:\{([^}]*)\})?")


def rules() -> list[dict[str, Any]]:
    document = yaml.safe_load(RULES.read_text("utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


def metric_of(name: str) -> str:
    """The metric that a series belongs to."""
    stem = re.sub(r"_(bucket|sum|count)$", "", name)
    return stem if stem in METRICS and METRICS[stem].kind == "histogram" else name


def test_every_metric_and_label_of_the_rules_exists() -> None:
    used = [found for rule in rules() for found in SELECTOR.findall(rule["expr"])]
    assert len(used) > 30
    for name, selector in used:
        assert metric_of(name) in METRICS, name
        named = set(re.findall(r"(\w+)\s*[=!]~?\s*\"", selector))
        assert named <= set(METRICS[metric_of(name)].labels), (name, named)


def test_a_counter_is_asked_for_its_rate_and_a_gauge_is_not() -> None:
    for rule in rules():
        for function, name in re.findall(r"(rate|increase)\((penstock_[a-z0-9_]+)", rule["expr"]):
            assert METRICS[metric_of(name)].kind != "gauge", (function, name)
        for name in re.findall(r"(?<!rate\()(?<!increase\()\b(penstock_[a-z0-9_]+)", rule["expr"]):
            assert METRICS[metric_of(name)].kind == "gauge", name


def test_what_a_rule_records_is_what_others_ask_for() -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = {name for rule in rules() for name in re.findall(r"penstock:[a-z0-9_:]+", rule["expr"])}
    assert asked <= recorded
    assert all({"severity"} == set(rule["labels"]) for rule in rules() if "alert" in rule)


@pytest.mark.servers
@pytest.mark.parametrize("words", [("check", "rules", RULES.name), ("test", "rules", "penstock.rules.test.yaml")])
def test_prometheus_takes_the_rules_and_they_alert(words: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    assert promtool, "promtool must be there: Debian's package prometheus has it"
    done = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
