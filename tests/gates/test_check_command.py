import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from penstock.cli.main import main
from penstock.cli.verdict import Judged, exit_status
from penstock.engine.engine import Engine
from penstock.engine.router import RuntimeRouter
from penstock.engine.sink import NoSink
from penstock.gates.recording import cases_to_record, record_cases, write_recordings
from penstock.gates.replay import Unasked
from penstock.pal import ModelAnswer, ModelCall, Usage
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.testing.project import Project, project

HEAD = "apiVersion: penstock.dev/v1\nkind: {kind}\nmetadata: {{name: {name}, version: {version}, owner: qa}}\n"
PIPELINE = """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages:
    dev: {automatic: true, gates: [{gate: schema}, {gate: unit}, {gate: contract}]}
    canary: {gates: []}
    prod: {gates: [{gate: canary-runs, params: {minRuns: 30}}]}
  canary: {steps: [{percent: 20}]}
"""
RUNTIME = """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0"
  adapter: direct
  capabilities: {modes: [workflow], toolCalling: true, maxContextTokens: 100000}
"""
SUITE = """\
apiVersion: penstock.dev/v1
kind: ContractSuite
metadata: {name: echo}
spec:
  cases:
    - name: hello
      input: hello
      expect: {events: [run.started, "*", run.finished], output: [{path: $, matches: "^hello"}]}
"""


def agent(version: str, prompt: str = "1.0.0") -> str:
    return HEAD.format(kind="Agent", name="echo", version=version) + (
        "spec:\n  mode: workflow\n"
        f"  promptRef: prompts/echo@{prompt}\n"
        "  modelRef: models/standard@1.0.0\n  policyRefs: [policies/default@1.0.0]\n"
        "  input: {schema: {type: string}}\n  output: {schema: {type: string}}\n  runtime: {selector: direct}\n"
    )


FILES = {
    "registry_repo/teams.yaml": "teams: {qa: {members: [author@example.org], approvers: [approver@example.org]}}\n",
    "registry_repo/agents/echo/1.0.0.yaml": agent("1.0.0"),
    "registry_repo/prompts/echo/1.0.0.md": (
        f"---\n{HEAD.format(kind='Prompt', name='echo', version='1.0.0')}spec: {{role: system}}\n---\nSay it again.\n"
    ),
    "registry_repo/models/standard/1.0.0.yaml": HEAD.format(kind="Model", name="standard", version="1.0.0")
    + "spec: {model: scripted/echo, contextTokens: 8000, price: {inputUsdPer1M: 1.0, outputUsdPer1M: 2.0}}\n",
    "registry_repo/policies/default/1.0.0.yaml": HEAD.format(kind="Policy", name="default", version="1.0.0")
    + "spec: {rules: [{name: all, effect: allow}]}\n",
    "contract_suites/echo/suite.yaml": SUITE,
    "runtimes/direct.yaml": RUNTIME,
    "pipelines/release.yaml": PIPELINE,
}


class Parrot:
    async def complete(self, call: ModelCall) -> ModelAnswer:
        return ModelAnswer(str(call.messages[-1]["content"]), (), Usage(3, 3, 0.00001))


def record(made: Project, version: str) -> None:
    registry = load_registry(TreeSource(made.root))

    async def work() -> dict[str, bytes]:
        engine = Engine(RuntimeRouter(registry.runtimes), Parrot(), Unasked(), NoSink())
        cases = cases_to_record(registry, "echo")
        return await record_cases(engine, resolve(registry, "echo", version), cases, "direct")

    write_recordings(made.root, asyncio.run(work()))


@pytest.fixture
def echo(tmp_path: Path) -> Project:
    """echo@1.0.0, recorded, on main of a clone with a bare remote."""
    scratch = project(FILES, tmp_path / "scratch")
    record(scratch, "1.0.0")
    recorded = (scratch.root / "contract_suites/echo/1.0.0/hello.jsonl").read_bytes()
    files: dict[str, str | bytes] = {**FILES, "contract_suites/echo/1.0.0/hello.jsonl": recorded}
    return project(files, tmp_path / "project", remote=True)


Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(echo: Project, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit status and JSON document of a command in the project."""

    def command(*words: str, root: Path | None = None) -> tuple[int, Any]:
        status = main(["--project", str(root or echo.root), *words, "--json"])
        out = capsys.readouterr().out
        return status, json.loads(out) if out else None

    return command


def new_version(made: Project, version: str = "1.1.0", *, recorded: bool = True) -> None:
    made.branch("change")
    made.write({f"registry_repo/agents/echo/{version}.yaml": agent(version)})
    if recorded:
        record(made, version)
    made.commit()


def results(made: Project) -> list[dict[str, Any]]:
    return [json.loads(file.read_bytes()) for file in (made.root / ".penstock/releases/results").rglob("*.json")]


def test_a_new_version_on_a_branch_is_a_draft(echo: Project, run: Run) -> None:
    new_version(echo)
    status, document = run("check")
    assert status == 0
    [found] = document["versions"]
    assert (found["agent"], found["version"], found["stage"], found["draft"]) == ("echo", "1.1.0", "dev", True)
    assert [(gate["gate"], gate["outcome"]) for gate in found["gates"]] == [
        ("schema", "passed"),
        ("unit", "passed"),
        ("contract", "passed"),
    ]
    assert found["evidence"] is None
    assert found["notes"] == ["it is not on main yet"]
    assert found["report"] == str(echo.root / "reports/echo/1.1.0/draft/report.html")
    assert "draft: does not count" in Path(found["report"]).read_text("utf-8")
    assert not (echo.root / ".penstock").exists()


@pytest.mark.parametrize(("to", "stage"), [("dev", "dev"), ("canary", "canary"), ("prod", "prod")])
def test_all_gates_up_to_a_later_stage_can_be_asked_for(echo: Project, run: Run, to: str, stage: str) -> None:
    _, document = run("check", "echo@1.0.0", "--to", to)
    [found] = document["versions"]
    gates = [gate["gate"] for gate in found["gates"]]
    assert found["stage"] == stage
    assert gates == ["schema", "unit", "contract", *(["canary-runs"] if to == "prod" else [])]


def test_several_versions_are_checked_at_once_and_each_only_once(echo: Project, run: Run) -> None:
    new_version(echo)
    _, document = run("check", "echo@1.0.0", "echo@1.1.0", "echo@1.0.0")
    assert [found["version"] for found in document["versions"]] == ["1.0.0", "1.1.0"]


def test_a_version_that_was_not_recorded_fails(echo: Project, run: Run) -> None:
    new_version(echo, recorded=False)
    status, document = run("check")
    assert status == 1
    [found] = document["versions"]
    assert found["verdict"] == "failed"
    assert found["sentence"].endswith("run `agentctl record echo@1.1.0`")


def test_only_what_the_change_touches_is_checked(echo: Project, run: Run) -> None:
    assert run("check") == (0, {"base": echo.repository.head(), "versions": [], "faults": []})
    echo.branch("change")
    echo.commit({"README.md": "words\n"})
    assert run("check")[1]["versions"] == []


def test_a_changed_suite_voids_evidence_and_is_checked_on_what_stands(echo: Project, run: Run) -> None:
    echo.branch("change")
    echo.commit({"contract_suites/echo/suite.yaml": SUITE.replace("^hello", "^good day")})
    status, document = run("check")
    assert status == 1
    [found] = document["versions"]
    assert (found["version"], found["draft"]) == ("1.0.0", True)
    assert "does not contain '^good day'" in found["sentence"]
    assert found["notes"] == ["contract_suites/echo/suite.yaml is not as on main"]


def test_what_is_on_main_is_released_stored_and_found_again(echo: Project, run: Run) -> None:
    status, document = run("check", "echo@1.0.0")
    assert status == 0
    [found] = document["versions"]
    assert (found["draft"], found["verdict"]) == (False, "passed")
    stored = results(echo)
    assert sorted(result["gate"] for result in stored) == ["contract", "schema", "unit"]
    assert {result["origin"] for result in stored} == {"released"}
    hexadecimal = found["evidence"].removeprefix("sha256:")
    store = echo.root / ".penstock/releases"
    assert json.loads((store / f"evidence/sha256/{hexadecimal}.json").read_bytes())["stage"] == "dev"
    kept = sorted(file.name for file in (store / f"reports/{hexadecimal}").iterdir())
    assert kept == ["junit.xml", "note.md", "report.html", "report.json"]
    assert found["report"] == str(echo.root / f"reports/echo/1.0.0/{hexadecimal}/report.html")
    assert run("check", "echo@1.0.0") == (0, document)
    assert len(results(echo)) == 3


def test_again_needs_a_reason_and_keeps_all_results(echo: Project, run: Run) -> None:
    assert run("check", "echo@1.0.0")[0] == 0
    assert run("check", "echo@1.0.0", "--again")[0] == 2
    assert run("check", "echo@1.0.0", "--reason", "x")[0] == 2
    assert len(results(echo)) == 3
    status, document = run("check", "echo@1.0.0", "--again", "--reason", "a new machine")
    assert status == 0
    assert len(results(echo)) == 6
    assert sum(result["artifacts"].get("again") == "a new machine" for result in results(echo)) == 3
    assert document["versions"][0]["evidence"] is not None


def test_a_local_edit_makes_a_released_version_a_draft(echo: Project, run: Run) -> None:
    echo.write({"runtimes/direct.yaml": RUNTIME + "  limits: {concurrentRuns: 5}\n"})
    status, document = run("check", "echo@1.0.0")
    assert status == 0
    assert document["versions"][0]["notes"] == ["runtimes/direct.yaml is not as on main"]
    assert document["versions"][0]["draft"]


def test_a_recording_that_is_gone_here_makes_a_draft(echo: Project, run: Run) -> None:
    echo.write({"contract_suites/echo/1.0.0/hello.jsonl": None})
    status, document = run("check", "echo@1.0.0")
    assert status == 1
    assert document["versions"][0]["notes"] == ["contract_suites/echo/1.0.0/hello.jsonl is not as on main"]


def test_a_clone_that_lags_behind_promotions_still_checks_what_is_released(echo: Project, run: Run) -> None:
    bot = ("Penstock", "bot@penstock.invalid")
    stages = "apiVersion: penstock.dev/v1\nkind: Stages\nmetadata: {name: echo}\n"
    spec = "spec: {dev: [{version: 1.0.0, runtime: direct}]}\n"
    echo.commit({"registry_repo/stages/echo.yaml": stages + spec}, "Promote", bot)
    echo.push()
    echo.git("reset", "--quiet", "--hard", "HEAD~1")
    status, document = run("check", "echo@1.0.0")
    assert status == 0
    assert (document["versions"][0]["stage"], document["versions"][0]["draft"]) == ("canary", False)


def test_under_dagster_nothing_that_check_finds_counts(
    echo: Project, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENSTOCK_DRIVER", "dagster")
    _, document = run("check", "echo@1.0.0")
    assert document["versions"][0]["draft"]
    assert not (echo.root / ".penstock").exists()


def test_no_evidence_is_exit_3(echo: Project, run: Run) -> None:
    echo.write({"runtimes/direct.yaml": RUNTIME.replace("runtime: penstock", "runtime: not-installed-anywhere")})
    status, document = run("check", "echo@1.0.0")
    assert status == 3
    assert document["versions"][0]["verdict"] == "errored"
    assert document["versions"][0]["sentence"] == "contract: not-installed-anywhere is not installed"


def test_a_version_that_does_not_resolve_shows_every_fault(echo: Project, run: Run) -> None:
    echo.branch("change")
    broken = agent("1.1.0", "9.0.0").replace("models/standard@1.0.0", "models/standrad@1.0.0")
    echo.commit({"registry_repo/agents/echo/1.1.0.yaml": broken})
    status, document = run("check")
    assert status == 1
    [found] = document["versions"]
    assert found["sentence"] == "schema: 2 faults in what it pins"
    assert {fault["path"] for fault in found["faults"]} == {"registry_repo/agents/echo/1.1.0.yaml"}
    assert all(fault["line"] for fault in found["faults"])


def test_faults_of_files_that_no_version_pins_are_shown_too(echo: Project, run: Run) -> None:
    echo.branch("change")
    echo.commit({"registry_repo/policies/other/1.0.0.yaml": "kind: Policy\n"})
    status, document = run("check")
    assert (status, document["versions"]) == (1, [])
    assert {fault["path"] for fault in document["faults"]} == {"registry_repo/policies/other/1.0.0.yaml"}


def test_a_pipeline_with_unknown_gates_is_refused_before_any_runs(echo: Project, run: Run) -> None:
    new_version(echo)
    echo.write({"pipelines/release.yaml": PIPELINE.replace("gate: unit", "gate: weather")})
    status, document = run("check")
    assert status == 1
    assert document["error"]["faults"][0]["what"] == "no gate 'weather'"
    assert not (echo.root / "reports").exists()


def test_an_interrupt_leaves_nothing_behind(
    echo: Project, run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def interrupt(*anything: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("penstock.gates.contract.suite_faults", interrupt)
    status, document = run("check", "echo@1.0.0")
    assert (status, document) == (130, None)
    assert not (echo.root / "reports").exists()
    assert sorted(result["gate"] for result in results(echo)) == ["schema", "unit"]
    assert not (echo.root / ".penstock/releases/evidence").exists()


def test_a_shallow_clone_is_exit_3_with_the_fetch_command(
    echo: Project, run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new_version(echo)
    echo.push("change")
    clone = tmp_path / "shallow"
    words = ("clone", "--quiet", "--depth", "1", "--branch", "change", "--no-single-branch")
    echo.git(*words, f"file://{echo.remote}", str(clone))
    status, document = run("check", root=clone)
    assert status == 3
    assert "git fetch --unshallow" in document["error"]["now"]


def test_without_a_repository_everything_is_a_draft(run: Run, echo: Project, tmp_path: Path) -> None:
    bare = tmp_path / "plain"
    for path, text in {**FILES, "pyproject.toml": "[tool.penstock]\n"}.items():
        (bare / path).parent.mkdir(parents=True, exist_ok=True)
        (bare / path).write_text(text, "utf-8")
    status, document = run("check", root=bare)
    assert status == 1
    [found] = document["versions"]
    assert found["notes"] == ["there is no Git repository"]
    assert "run `agentctl record echo@1.0.0`" in found["sentence"]


def test_the_report_of_a_released_version_and_of_a_draft(echo: Project, run: Run) -> None:
    status, document = run("report", "echo@1.0.0")
    assert status == 3  # nothing was released yet: there is no store to read
    assert "no release store" in document["error"]["what"]
    checked = run("check", "echo@1.0.0")[1]["versions"][0]
    assert run("report", "echo@1.0.0") == (0, checked)
    new_version(echo)
    status, document = run("report", "echo@1.1.0")
    assert (status, document["error"]["now"]) == (1, "`agentctl check echo@1.1.0`")
    draft = run("check")[1]["versions"][0]["report"]
    assert run("report", "echo@1.1.0")[1] == {"agent": "echo", "version": "1.1.0", "draft": True, "report": draft}


def test_contract_alone_compares_with_another_version(echo: Project, run: Run) -> None:
    new_version(echo)
    status, document = run("contract", "echo@1.1.0", "--against", "1.0.0")
    assert (status, document["outcome"], document["origin"]) == (0, "passed", "draft")
    assert document["inputs"]["baseline"] is not None
    assert run("contract", "echo@1.1.0", "--against", "3.0.0")[0] == 1
    assert run("contract", "echo@2.0.0")[0] == 1


@pytest.mark.parametrize("words", [("check", "echo"), ("report", "tools/echo@1.0.0"), ("record", "echo@1")])
def test_what_is_no_version_is_wrong_use(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words)[0] == 2


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [
        ([], 0),
        (["passed", "passed"], 0),
        (["passed", "failed"], 1),
        (["inconclusive"], 1),
        (["missing"], 1),
        (["errored", "passed"], 3),
        (["errored", "failed"], 1),
    ],
)
def test_the_exit_status_is_the_worst_answer(verdicts: list[str], status: int) -> None:
    judged = [Judged("echo", "1.0.0", "dev", True, verdict, "") for verdict in verdicts]
    assert exit_status(judged) == status


def test_gates_that_are_run_one_by_one_are_found_by_the_report(echo: Project, run: Run) -> None:
    new_version(echo)
    kept = ("--results", str(echo.root / ".penstock/results"))
    for gate in ("schema", "contract"):
        status, document = run("check", "echo@1.1.0", "--gate", gate, *kept)
        [found] = document["versions"]
        assert (status, found["verdict"], found["sentence"]) == (0, "passed", f"{gate} passed")
        assert [one["gate"] for one in found["gates"]] == [gate]
        assert (found["report"], found["evidence"]) == (None, None)
    assert not (echo.root / "reports").exists()
    status, document = run("check", "echo@1.1.0", "--found", *kept)
    [found] = document["versions"]
    assert (status, found["verdict"]) == (1, "missing")
    assert [one["outcome"] for one in found["gates"]] == ["passed", "missing", "passed"]
    assert Path(found["report"]).is_file()
    assert run("check", "echo@1.1.0", "--gate", "unit", *kept)[0] == 0
    again = run("check", "echo@1.1.0", *kept)[1]["versions"][0]
    assert [one["result"] for one in again["gates"]][::2] == [one["result"] for one in found["gates"]][::2]
    assert again["verdict"] == "passed"


def test_a_result_of_other_inputs_is_not_found(echo: Project, run: Run) -> None:
    new_version(echo)
    kept = ("--results", str(echo.root / ".penstock/results"))
    assert run("check", "echo@1.1.0", "--gate", "contract", *kept)[0] == 0
    echo.write({"contract_suites/echo/suite.yaml": SUITE.replace("^hello", "^good day")})
    gates = run("check", "echo@1.1.0", "--found", *kept)[1]["versions"][0]["gates"]
    assert (gates[2]["gate"], gates[2]["outcome"]) == ("contract", "missing")
    status, document = run("check", "echo@1.1.0", "--gate", "contract", *kept)
    assert (status, document["versions"][0]["verdict"]) == (1, "failed")


def test_what_counts_is_found_in_the_store_and_never_in_a_folder(echo: Project, run: Run) -> None:
    kept = ("--results", str(echo.root / "kept"))
    assert run("check", "echo@1.0.0", "--gate", "contract", *kept)[0] == 0
    assert [result["gate"] for result in results(echo)] == ["contract"]
    assert not (echo.root / ".penstock/releases/evidence").exists()
    assert not (echo.root / "kept").exists()
    assert run("check", "echo@1.0.0", "--gate", "schema", "--gate", "unit")[0] == 0
    found = run("check", "echo@1.0.0", "--found")[1]["versions"][0]
    assert (found["verdict"], found["draft"]) == ("passed", False)
    assert found["evidence"] == run("check", "echo@1.0.0")[1]["versions"][0]["evidence"]
    assert len(results(echo)) == 3


@pytest.mark.parametrize("text", ["{", "{}", "edited"])
def test_a_kept_result_that_is_not_what_was_written_is_no_evidence(echo: Project, run: Run, text: str) -> None:
    new_version(echo)
    kept = echo.root / ".penstock/results"
    words = ("check", "echo@1.1.0", "--gate", "schema", "--results", str(kept))
    assert run(*words)[0] == 0
    [file] = kept.iterdir()
    written = file.read_text("utf-8")
    file.write_text(written.replace('"passed"', '"failed"') if text == "edited" else text, "utf-8")
    status, document = run(*words)
    assert status == 3
    assert document["error"]["where"] == str(file)


def test_asking_for_gates_in_a_wrong_way_is_said(echo: Project, run: Run) -> None:
    status, document = run("check", "echo@1.0.0", "--gate", "eval")
    assert (status, document["error"]["now"]) == (1, "the gates before dev are: schema, unit, contract")
    assert run("check", "echo@1.0.0", "--gate", "unit", "--found")[0] == 2
    assert run("check", "echo@1.0.0", "--found", "--again", "--reason", "x")[0] == 2
