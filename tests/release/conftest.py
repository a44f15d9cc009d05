"""A whole project on one screen: a bare remote, three people's clones of it, and one release store."""

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pygit2
import pytest

from penstock.cli.main import main
from penstock.contracts.routing_table import AgentRoutes, RoutingTable
from penstock.gates.context import GateContext
from penstock.gates.gate import GATES, Finding, gate
from penstock.release.clock import now, stamp
from penstock.release.driver import plan_promotion, promote
from penstock.release.reconcile import Reconciled, reconcile
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import load_settings
from penstock.testing.project import Project, project

AUTHOR = ("Ada Author", "author@example.org")
APPROVER = ("Ben Approver", "approver@example.org")
MANAGER = ("Mia Manager", "manager@example.org")

if "quality" not in GATES:

    @gate("quality", revision=1)
    def quality(context: GateContext) -> Finding:
        """Fails what says of itself that it is bad, by a label."""
        document: Any = context.release.agent.document
        bad = document["metadata"].get("labels", {}).get("quality") == "bad"
        return Finding("failed", "its label says bad") if bad else Finding("passed", "its label does not say bad")


def agent_files(name: str, version: str, **options: str) -> dict[str, str]:
    labels = f", labels: {{quality: {options['quality']}}}" if "quality" in options else ""
    tool = f"\n  toolRefs: [tools/{options['tool']}]" if "tool" in options else ""
    sticky = f"\n  routing: {{stickyBy: {options['sticky']}}}" if "sticky" in options else ""
    return {
        f"registry_repo/agents/{name}/{version}.yaml": f"""\
apiVersion: penstock.dev/v1
kind: Agent
metadata: {{name: {name}, version: {version}, owner: qa{labels}}}
spec:
  mode: workflow
  promptRef: prompts/{name}@{version}
  modelRef: models/standard@1.0.0
  policyRefs: [policies/default@1.0.0]{tool}{sticky}
  input: {{schema: {{type: string}}}}
  output: {{schema: {{type: string}}}}
  runtime: {{selector: direct}}
""",
        f"registry_repo/prompts/{name}/{version}.md": f"""\
---
apiVersion: penstock.dev/v1
kind: Prompt
metadata: {{name: {name}, version: {version}, owner: qa}}
spec: {{role: system}}
---
You are {name} {version}.
""",
    }


SHARED = {
    "registry_repo/models/standard/1.0.0.yaml": """\
apiVersion: penstock.dev/v1
kind: Model
metadata: {name: standard, version: 1.0.0, owner: qa}
spec: {model: scripted/qa-rules, contextTokens: 8000, price: {inputUsdPer1M: 0, outputUsdPer1M: 0}}
""",
    "registry_repo/policies/default/1.0.0.yaml": """\
apiVersion: penstock.dev/v1
kind: Policy
metadata: {name: default, version: 1.0.0, owner: qa}
spec: {rules: [{name: all, effect: allow}]}
""",
    "registry_repo/teams.yaml": """\
teams:
  qa: {members: [author@example.org], approvers: [approver@example.org]}
releaseManagers: [manager@example.org]
""",
    "runtimes/direct.yaml": """\
apiVersion: penstock.dev/v1
kind: Runtime
metadata: {name: direct}
spec:
  runtime: penstock
  versions: ">=0.1,<1"
  adapter: direct
  capabilities: {modes: [workflow, conversational], toolCalling: true, streaming: true, maxContextTokens: 100000}
""",
    "pipelines/release.yaml": """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages:
    dev: {automatic: true, gates: [{gate: quality}]}
    canary: {approvals: [{from: owners, count: 1}]}
    prod: {gates: [{gate: canary-runs, params: {minRuns: 2}}], approvals: [{from: releaseManagers, count: 1}]}
  canary: {steps: [{percent: 20}]}
""",
}


TWO_STEPS = """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages:
    dev: {automatic: true, gates: [{gate: quality}]}
    canary: {approvals: [{from: owners, count: 1}]}
    prod: {approvals: [{from: releaseManagers, count: 1}]}
  canary: {steps: [{percent: 5}, {percent: 50}]}
"""


@dataclass
class World:
    """One project; each person has a clone, all share the release store and the database."""

    home: Path
    author: Project
    people: dict[str, Project] = field(default_factory=dict)
    runs: int = 0

    def clone(self, who: tuple[str, str]) -> Project:
        if who[1] not in self.people:
            self.people[who[1]] = self.author.clone(self.home / who[1].partition("@")[0], who)
        return self.people[who[1]]

    def workspace(self, who: tuple[str, str] = AUTHOR) -> Workspace:
        return open_workspace(load_settings(self.clone(who).root))

    def merge(self, files: dict[str, str | None], message: str = "Change") -> str:
        """What a merge to main brings, from the author's own clone."""
        self.author.git("pull", "--quiet", "--ff-only")
        commit = self.author.commit(files, message)
        self.author.push()
        return commit

    def add(self, name: str, version: str, **options: str) -> str:
        return self.merge({**agent_files(name, version, **options)}, f"Add {name}@{version}")

    def reconcile(self, who: tuple[str, str] = MANAGER) -> Reconciled:
        return reconcile(self.workspace(who))

    def table(self) -> RoutingTable:
        table = self.workspace(MANAGER).releases.newest_table()
        assert table is not None
        return table

    def routes(self, agent: str = "helper") -> AgentRoutes:
        return self.table().agents[agent]

    def stages_text(self, agent: str = "helper") -> str:
        return self.author.git("--git-dir", str(self.author.remote), "show", f"main:registry_repo/stages/{agent}.yaml")

    def log(self) -> list[str]:
        return self.author.git("--git-dir", str(self.author.remote), "log", "--format=%s", "main").splitlines()

    def cli(self, who: tuple[str, str], *words: str) -> int:
        return main(["--project", str(self.clone(who).root), *words])

    def evidence(self, agent: str, version: str, stage: Any) -> str:
        workspace = self.workspace(MANAGER)
        workspace.fetch()
        view = plan_promotion(workspace, (agent, version, stage)).situation.view
        assert view is not None
        return view.digest

    def measure(self, agent: str, version: str, stage: Any) -> None:
        """What `agentctl check` does: the gates before a stage, stored."""
        from penstock.release.automatic import measured_plan

        workspace = self.workspace(MANAGER)
        workspace.fetch()
        measured_plan(workspace, agent, version, stage)

    def live_runs(self, agent: str, count: int, *, stage: str = "canary", status: str = "finished") -> None:
        """Stored live runs of what stands at a stage, as the spool's drain writes them."""
        self.store([self.run(agent, stage, at=now(), status=status) for _ in range(count)])

    def sessions(self, agent: str, stage: str, count: int, *, failed: int = 0, at: datetime) -> None:
        """Stored live sessions of one run each, a second apart from `at` on; the first `failed` of them failed."""
        reason = "canary weight" if stage == "canary" else "prod"
        runs = []
        for number in range(count):
            status = "failed" if number < failed else "finished"
            moment = at + timedelta(seconds=number)
            session = f"session-{self.runs}"
            runs.append(self.run(agent, stage, at=moment, status=status, sessionId=session, routedBy=reason))
        self.store(runs)

    def store(self, runs: list[dict[str, Any]]) -> None:
        self.workspace(MANAGER).runs.ingest([{"kind": "run", "run": run} for run in runs])

    def run(self, agent: str, stage: str, *, at: datetime, **fields: Any) -> dict[str, Any]:
        routes = self.routes(agent)
        entry = routes.canary if stage == "canary" else routes.prod
        assert entry is not None
        self.runs += 1
        return {
            "runId": f"run-{self.runs}",
            "agent": agent,
            "version": entry.version,
            "release": entry.release,
            "stage": stage,
            "mode": "live",
            "tenant": "t",
            "sessionId": None,
            "startedAt": stamp(at),
            "durationMs": 5.0,
            "usage": {"costUsd": 0.0, "toolCalls": 0, "toolFailures": 0},
            **fields,
        }

    def approve(self, agent: str, version: str, stage: Any, who: tuple[str, str]) -> None:
        from penstock.release.approval import decide

        digest = self.evidence(agent, version, stage)
        decide(self.workspace(who), (agent, version, stage), "approve", digest, "looks right")

    def to_canary(self, agent: str, version: str) -> None:
        self.reconcile()
        self.approve(agent, version, "canary", APPROVER)
        promote(self.workspace(APPROVER), (agent, version, "canary"))

    def to_prod(self, agent: str, version: str) -> None:
        """From the merge to prod, the whole path."""
        self.to_canary(agent, version)
        self.live_runs(agent, 2)
        self.measure(agent, version, "prod")
        self.approve(agent, version, "prod", MANAGER)
        promote(self.workspace(MANAGER), (agent, version, "prod"))


@pytest.fixture(scope="session")
def two_steps() -> str:
    """A pipeline whose canary grows from 5 to 50 % and asks for nothing but approvals."""
    return TWO_STEPS


@dataclass
class Clock:
    """What every module of the release path, and Git, take for the present: real time and what was jumped."""

    real: Callable[[], datetime]
    jumped: timedelta = timedelta()

    def __call__(self) -> datetime:
        return self.real() + self.jumped

    def jump(self, **lengths: float) -> None:
        self.jumped += timedelta(**lengths)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock that jumps; commits are made by it as well."""
    from penstock.release import canary, clock

    assert canary
    made, signature = Clock(clock.now), pygit2.Signature
    for name, module in list(sys.modules.items()):
        if name.startswith("penstock.") and getattr(module, "now", None) is made.real:
            monkeypatch.setattr(module, "now", made)

    def signed(name: str, mail: str, at: int | None = None, offset: int = 0) -> pygit2.Signature:
        return signature(name, mail, int(made().timestamp()) if at is None else at, offset)

    monkeypatch.setattr(pygit2, "Signature", signed)
    return made


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., World]:
    """A world with the agent `helper` (and those named) at 1.0.0, merged and not yet reconciled."""
    return world_maker(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def lasting_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., World]]:
    """The same for all tests of a file."""
    with pytest.MonkeyPatch.context() as patched:
        yield world_maker(tmp_path_factory.mktemp("world"), patched)


def world_maker(home: Path, patched: pytest.MonkeyPatch) -> Callable[..., World]:
    patched.setenv("PENSTOCK_RELEASES_URL", str(home / "releases"))
    patched.setenv("PENSTOCK_DATABASE_URL", f"sqlite:///{home / 'store.db'}")
    patched.setenv("GIT_CONFIG_GLOBAL", os.devnull)

    def make(*agents: str, files: dict[str, str] | None = None, remote: bool = True) -> World:
        content = dict(SHARED)
        for agent in agents or ("helper",):
            content |= agent_files(agent, "1.0.0")
        made = project({**content, **(files or {})}, home / "author", remote=remote)
        return World(home, made, {AUTHOR[1]: made})

    return make
