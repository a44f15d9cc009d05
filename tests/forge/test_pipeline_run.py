"""The pipeline that `agentctl init` lays down, really run: by gitlab-ci-local, on a project with a bare remote.

What it does not do as GitLab does: it knows no `resource_group`, its exit status leaves the child pipeline's failures
out, and a job with `when: always` does not run where one that it needs never began. So the report of an agent that
fails is looked at in `test_check_command.py` alone.
"""

import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from penstock.scaffold.project import lay_down_project

pytestmark = pytest.mark.servers

IDENTITY = "[user]\n\tname = Ada Author\n\temail = author@example.org\n"
PROGRAM = "PENSTOCK_GITLAB_CI_LOCAL"
RUN_S = 240
AGENT = "testcase-generator@1.0.0"
# Fewer gates and cases than a new project has: what is looked at here are the jobs.
STAGES = """\
    dev:    {automatic: true, gates: [%s]}
    canary: {gates: [%s], approvals: [{from: owners, count: 1}]}
"""


@dataclass(frozen=True)
class Ran:
    """One run of a pipeline: the result of each job that ran, and all that was said."""

    folder: Path
    results: dict[str, str]
    said: str

    def artifacts(self, pattern: str) -> list[Path]:
        return sorted((self.folder / ".gitlab-ci-local/artifacts").glob(pattern))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What jobs know: the agentctl under test instead of an installation, and a release store that they share."""
    program = os.environ.get(PROGRAM)
    assert program, f"{PROGRAM} is not set: .ci/run installs gitlab-ci-local"
    assert shutil.which("rsync"), "gitlab-ci-local needs rsync"
    (tmp_path / "gitconfig").write_text(IDENTITY, "utf-8")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "GIT", "CI"))}
    path = [str(Path(sys.executable).parent), str(Path(program).parent), inherited["PATH"]]
    return {
        **inherited,
        "HOME": str(tmp_path),
        "PATH": os.pathsep.join(path),
        "GIT_CONFIG_GLOBAL": str(tmp_path / "gitconfig"),
        "GIT_CONFIG_SYSTEM": os.devnull,
        "PENSTOCK_INSTALL": "true",
        "PENSTOCK_RELEASES_URL": str(tmp_path / "releases"),
        "PENSTOCK_DATABASE_URL": f"sqlite:///{tmp_path / 'store.db'}",
    }


Shop = Callable[[str, str], Path]


@pytest.fixture
def shop(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Shop:
    """Lays down a project with these gates of dev and canary, and a bare remote.

    It is on a branch that brings its agent, testcase-generator; an agent `other` is on main already.
    """
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, environment[name])

    def lay_down(of_dev: str, of_canary: str) -> Path:
        root = lay_down_project(tmp_path / "shop").root
        stages = STAGES % tuple(
            ", ".join(f"{{gate: {gate}}}" for gate in gates.split()) for gates in (of_dev, of_canary)
        )
        _edit(root / "pipelines/release.yaml", r"(?s)    dev: .*(?=    prod:)", stages)
        _edit(root / "evals/testcase-generator.yaml", "sample: 60", "sample: 4")
        agents = root / "registry_repo/agents"
        (agents / "other").mkdir()
        written = (agents / "testcase-generator/1.0.0.yaml").read_text("utf-8")
        (agents / "other/1.0.0.yaml").write_text(written.replace("name: testcase-generator", "name: other"), "utf-8")
        brought = (agents / "testcase-generator", root / "contract_suites", root / "evals/testcase-generator.yaml")
        _git(root, "rm", "--quiet", "-r", "--cached", *map(str, brought))
        _git(root, "add", "--", "pipelines", str(agents / "other"))
        _git(root, "commit", "--quiet", "--amend", "--message", "Start with another agent")
        _git(tmp_path, "clone", "--quiet", "--bare", "shop", "registry.git")
        _git(root, "remote", "add", "origin", str(tmp_path / "registry.git"))
        _git(root, "fetch", "--quiet", "origin")
        _git(root, "checkout", "--quiet", "-b", "change")
        _git(root, "add", "--all")
        _git(root, "commit", "--quiet", "--message", "Bring the agent")
        return root

    return lay_down


def test_a_merge_request_runs_the_jobs_of_the_changed_agent_alone(shop: Shop, environment: Mapping[str, str]) -> None:
    root = shop("schema contract", "eval")
    ran = _merge_request(root, environment)
    gates = [f"{AGENT} {stage}" for stage in ("validate", "contract", "eval")]
    assert ran.results == dict.fromkeys(["validate", "changed", *gates, f"{AGENT} report", "agents"], "PASS"), ran.said
    assert "other" not in _child(ran)
    [junit] = ran.artifacts("*report/reports/testcase-generator/1.0.0/draft/junit.xml")
    suites = [suite.get("name") for suite in ElementTree.parse(junit).getroot()]
    assert suites == ["schema", "contract", "eval"]
    assert junit.with_name("report.html").is_file()
    # No gate ran twice: what one job found, the later ones have in hand.
    [last] = ran.artifacts("*eval/.penstock/results")
    assert len(list(last.iterdir())) == 3
    assert not Path(environment["PENSTOCK_RELEASES_URL"]).exists()
    assert _remote(root, "branch", "--format=%(refname:short)").split() == ["main"]


def test_an_agent_that_fails_stops_what_follows(shop: Shop, environment: Mapping[str, str]) -> None:
    root = shop("schema contract", "eval")
    _edit(root / "contract_suites/testcase-generator/suite.yaml", r"\^TC-", "^CASE-")
    _git(root, "commit", "--quiet", "--all", "--message", "Ask for other names")
    ran = _merge_request(root, environment)
    assert ran.results[f"{AGENT} contract"] == "FAIL", ran.said
    assert not {f"{AGENT} eval"} & set(ran.results)
    assert f"{AGENT} eval" in _child(ran)
    assert ran.artifacts("*contract/.penstock/results")


def test_on_main_what_is_found_counts_and_prod_waits_for_a_person(shop: Shop, environment: Mapping[str, str]) -> None:
    root = shop("schema", "")
    before = _git(root, "rev-parse", "main")
    _git(root, "checkout", "--quiet", "main")
    _git(root, "merge", "--quiet", "--ff-only", "change")
    _git(root, "push", "--quiet", "origin", "main")
    ran = _run(root, environment, {"CI_COMMIT_REF_PROTECTED": "true", "CI_COMMIT_BEFORE_SHA": before})
    of_agent = [f"{AGENT} {stage}" for stage in ("validate", "report", "dev")]
    assert ran.results == dict.fromkeys(["merged", *of_agent, "merged-agents", "reconcile"], "PASS"), ran.said
    child = yaml.safe_load(_child(ran))
    assert [child[f"{AGENT} {stage}"]["when"] for stage in ("canary", "prod")] == ["manual", "manual"]
    stages = yaml.safe_load(_remote(root, "show", "main:registry_repo/stages/testcase-generator.yaml"))["spec"]
    assert [one["version"] for one in stages["dev"]] == ["1.0.0"]
    assert stages["canary"] is stages["prod"] is None
    store = Path(environment["PENSTOCK_RELEASES_URL"])
    assert len(list((store / "evidence/sha256").iterdir())) >= 1
    [junit] = ran.artifacts("*report/reports/testcase-generator/1.0.0/*/junit.xml")
    assert re.fullmatch("[0-9a-f]{64}", junit.parent.name)


def _merge_request(root: Path, environment: Mapping[str, str]) -> Ran:
    variables = {"CI_PIPELINE_SOURCE": "merge_request_event", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "main"}
    return _run(root, environment, variables)


def _run(root: Path, environment: Mapping[str, str], variables: Mapping[str, str]) -> Ran:
    options = ["--force-shell-executor", "--shell-isolation", "--no-artifacts-to-source", "--no-color"]
    given = [word for name, value in variables.items() for word in ("--variable", f"{name}={value}")]
    done = subprocess.run(
        [_program(environment), *options, *given],
        cwd=root,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=RUN_S,
        check=False,
    )
    said = done.stdout + done.stderr
    lines = re.findall(r"^ (PASS|FAIL) +(?:\[[a-z-]+\] -> )?(\S.*?) *$", done.stdout, re.MULTILINE)
    return Ran(root, {name: result for result, name in lines}, said)


def _program(environment: Mapping[str, str]) -> str:
    found = shutil.which("gitlab-ci-local", path=environment["PATH"])
    assert found is not None
    return found


def _child(ran: Ran) -> str:
    [file] = ran.artifacts("*/agents.gitlab-ci.yml")
    return file.read_text("utf-8")


def _edit(file: Path, pattern: str, text: str) -> None:
    edited, count = re.subn(pattern, text, file.read_text("utf-8"))
    assert count, f"{file.name} holds no {pattern}"
    file.write_text(edited, "utf-8")


def _remote(root: Path, *words: str) -> str:
    return _git(root.parent / "registry.git", *words)


def _git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()
