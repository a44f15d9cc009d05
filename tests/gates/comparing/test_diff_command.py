import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from penstock.cli.main import main

TEXTS = [f"please keep {number}" for number in range(8)]
FIXED = ', "fixtures": {"store": [{"kept": true}]}}'
STAGES = """\
apiVersion: penstock.dev/v1
kind: Stages
metadata: {name: echo}
spec:
  status: active
  dev: []
  canary: null
  prod: {version: 1.0.0, runtime: direct}
  previous: null
  draining: []
  deprecated: []
  disabled: []
  quarantined: []
  hold: null
"""


@pytest.fixture
def agentctl(world: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs a command on the world's project; its exit status and what it printed."""
    path = world.project.root / "datasets/words/cases.jsonl"
    path.write_text("".join(line.removesuffix("}") + FIXED + "\n" for line in path.read_text().splitlines()))

    def run(*words: str) -> tuple[int, str]:
        capsys.readouterr()
        status = main(["--project", str(world.project.root), *words])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_a_diff_shows_what_changed(world: Any, model: Callable[..., Any], agentctl: Callable[..., Any]) -> None:
    world.model = model(better=str.upper, better_cost_usd=0.002)
    status, said = agentctl("diff", "echo@1.1.0", "--against", "1.0.0")
    assert status == 0, said
    assert said.startswith("echo@1.1.0 diff against 1.0.0: passed\n")
    assert "  artifacts: 0 equal, 12 changed (100.0%); prod against itself 0.0% (0.0% to " in said
    assert "    $.said: in 12" in said
    assert "  cost: 0.024 -> 0.048 USD, 2.000 times (2.000 to 2.000, 12 cases)" in said
    shown = re.findall(r'^    \$\.said: "(\w+)" -> "(\w+)"$', said, re.MULTILINE)
    assert len(shown) == 5
    assert all(after == before.upper() for before, after in shown)
    assert "  and 7 more that changed" in said


def test_json_is_the_whole_result(world: Any, agentctl: Callable[..., Any]) -> None:
    status, said = agentctl("diff", "echo@1.1.0", "--against", "1.0.0", "--sample", "3", "--json")
    document = json.loads(said)
    assert (status, document["gate"], document["outcome"], document["origin"]) == (0, "diff", "passed", "draft")
    assert document["artifacts"]["pairs"] == 3


def test_markdown_escapes_what_models_said(world: Any, model: Callable[..., Any], agentctl: Callable[..., Any]) -> None:
    world.model = model(better=lambda text: f"<script>|{text}|</script>")
    status, said = agentctl("diff", "echo@1.1.0", "--against", "1.0.0", "--markdown")
    assert status == 0
    assert said.startswith("### echo&#64;1.1.0 diff against 1.0.0: passed\n")
    assert "<script>" not in said
    assert "&lt;script&gt;" in said


def test_a_missed_limit_of_the_pipeline_is_exit_1(
    world: Any, model: Callable[..., Any], agentctl: Callable[..., Any]
) -> None:
    path = world.project.root / "pipelines/release.yaml"
    gate = "canary: {gates: [{gate: diff, params: {maxChangedShare: 0.1}}]}"
    path.write_text(path.read_text().replace("canary: {gates: []}", gate))
    world.model = model(better=str.upper)
    status, said = agentctl("diff", "echo@1.1.0", "--against", "1.0.0")
    assert (status, "100.0% outputs changed, more than 10.0%" in said) == (1, True), said


def test_what_prod_has_is_the_default(world: Any, agentctl: Callable[..., Any]) -> None:
    status, said = agentctl("diff", "echo@1.1.0")
    assert status == 2
    assert "name one: --against V" in said
    world.project.write({"registry_repo/stages/echo.yaml": STAGES})
    status, said = agentctl("diff", "echo@1.1.0")
    assert (status, said.splitlines()[0]) == (0, "echo@1.1.0 diff against 1.0.0: passed")


def test_shadow_uses_the_recorded_runs_of_the_database(world: Any, agentctl: Callable[..., Any]) -> None:
    world.live(TEXTS)
    status, said = agentctl("shadow", "echo@1.1.0", "--against", "1.0.0", "--sample", "8", "--json")
    document = json.loads(said)
    assert document["artifacts"]["source"]["recorded"] == 8
    assert (status, document["outcome"], document["parameters"]["minRuns"]) == (0, "passed", 8)
    world.project.write({"evals/echo.yaml": None})
    status, said = agentctl("shadow", "echo@1.1.0", "--against", "1.0.0")
    assert (status, "8 of 20 runs to compare" in said) == (1, True), said
    path = world.project.root / "pipelines/release.yaml"
    gate = "canary: {gates: [{gate: shadow, params: {minRuns: 5}}]}"
    path.write_text(path.read_text().replace("canary: {gates: []}", gate))
    status, said = agentctl("shadow", "echo@1.1.0", "--against", "1.0.0", "--since", "1", "--budget", "2")
    assert status == 0, said
    assert "  tools: 0 writing and 0 other calls made, 16 from the journal, 0 refused" in said
    assert "  inputs: 8 recorded runs, 0 cases of datasets" in said
    assert world.written == TEXTS


def test_a_runtime_alone_compares_a_version_with_itself(world: Any, agentctl: Callable[..., Any]) -> None:
    status, said = agentctl("diff", "echo@1.0.0", "--runtime", "langgraph")
    assert status == 0, said
    assert said.startswith("echo@1.0.0 diff against 1.0.0: passed")
    assert "  events: 12 equal, 0 changed (0.0%)" in said


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (("diff", "echo@1.1.0", "--against", "7.0.0"), 1, "no agents/echo@7.0.0"),
        (("diff", "echo@9.0.0", "--against", "1.0.0"), 1, "no agents/echo@9.0.0"),
        (("shadow", "echo@1.1.0", "--runtime", "nothing"), 1, "no runtime 'nothing' is declared"),
        (("shadow", "echo"), 2, "echo"),
        (("shadow", "echo@1.1.0", "--budget", "0"), 2, "budget"),
    ],
)
def test_wrong_use_is_told(agentctl: Callable[..., Any], words: tuple[str, ...], status: int, told: str) -> None:
    found, said = agentctl(*words)
    assert found == status, said
    assert told in said


def test_a_missing_run_is_named(world: Any, model: Callable[..., Any], agentctl: Callable[..., Any]) -> None:
    world.model = model(fails=frozenset({"one"}))
    status, said = agentctl("diff", "echo@1.1.0", "--against", "1.0.0")
    assert status == 3
    assert "  missing: candidate words/one: " in said


@pytest.mark.parametrize("form", [[], ["--markdown"]])
def test_the_first_missing_runs_are_listed_and_the_others_counted(
    world: Any, agentctl: Callable[..., Any], form: list[str]
) -> None:
    path = world.project.root / "datasets/words/cases.jsonl"
    path.write_text(path.read_text().replace(FIXED.strip("\n"), "}"))
    status, said = agentctl("diff", "echo@1.1.0", "--against", "1.0.0", *form)
    assert status == 3, said
    missing = len(re.findall(r"^(?:  |- )missing: ", said, re.MULTILINE))
    [others] = re.findall(r"and (\d+) more missing", said)
    assert (missing, int(others)) == (20, 16)


def test_a_sample_of_a_broken_suite_says_what_is_broken(world: Any, agentctl: Callable[..., Any]) -> None:
    path = world.project.root / "evals/echo.yaml"
    path.write_text(path.read_text() + "  : [\n")
    status, said = agentctl("eval", "echo@1.1.0", "--against", "1.0.0", "--sample", "3")
    assert status == 1
    assert "the eval suite is broken: evals/echo.yaml:" in said
