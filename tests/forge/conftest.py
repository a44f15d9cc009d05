"""A project at a GitLab: the bare repository behind it, its people, and the bot's clone."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penstock.contracts.policy import Stage
from penstock.contracts.routing_table import AgentRoutes
from penstock.forge.bot import Bot
from penstock.forge.connection import TOKEN, Json, open_connection
from penstock.forge.promotion import open_proposer
from penstock.forge.settle import Settled, settle
from penstock.release.approval import decide
from penstock.release.driver import plan_promotion, promote
from penstock.release.person import Person
from penstock.release.proposal import FORGES
from penstock.release.reconcile import Reconciled, reconcile
from penstock.release.workspace import Workspace, open_workspace
from penstock.settings import Settings, load_settings
from penstock.testing.eval_project import AGENT, FILES, PROMPT
from penstock.testing.gitlab import GitlabFake
from penstock.testing.project import Project, project

BOT = "penstock"
if "gitlab" not in FORGES:
    FORGES.register("gitlab")(open_proposer)
PIPELINE = """\
apiVersion: penstock.dev/v1
kind: Pipeline
metadata: {name: default}
spec:
  stages:
    dev: {automatic: true, gates: [{gate: schema}]}
    canary: {approvals: [{from: owners, count: 1}]}
    prod: {approvals: [{from: releaseManagers, count: 1}]}
  canary: {steps: [{percent: 20}]}
"""
TEAMS = """\
teams:
  qa: {members: [author@example.org], approvers: [ben@example.org, author@example.org]}
releaseManagers: [mia@example.org]
accounts: {ben: ben@example.org, mia: mia@example.org}
"""


def agent_files(name: str, version: str) -> dict[str, str]:
    """One version of an agent, valid."""
    return {
        f"registry_repo/agents/{name}/{version}.yaml": AGENT.format(version=version).replace("clerk", name),
        f"registry_repo/prompts/{name}/{version}.md": PROMPT.format(version=version).replace("clerk", name),
    }


@dataclass
class World:
    """One project, its GitLab, and what tests do there."""

    home: Path
    gitlab: GitlabFake
    author: Project
    settings: Settings
    stack: ExitStack = field(default_factory=ExitStack)

    def bot(self) -> Bot:
        """A bot of its own, as another process would be one."""
        connection = self.stack.enter_context(open_connection(self.settings))
        workspace = open_workspace(self.settings)
        self.stack.callback(workspace.close)
        return Bot(self.settings, workspace, connection, check_s=60)

    def push(self, branch: str, files: dict[str, str | None], message: str = "Change", by: str = "ada") -> str:
        """A commit on a branch, pushed by somebody; returns it."""
        self.author.git("fetch", "--quiet", "origin")
        known = self.author.git("branch", "--list", branch)
        self.author.git("checkout", "--quiet", *([branch] if known else ["-b", branch, "origin/main"]))
        if branch == "main":
            self.author.git("merge", "--quiet", "--ff-only", "origin/main")
        mail = "author@example.org" if by == "ada" else f"{by}@example.org"
        commit = self.author.commit(files, message, (by.capitalize(), mail))
        self.author.git("push", "--quiet", self.gitlab.git_url(by), branch)
        return commit

    def request(self, files: dict[str, str | None], branch: str = "topic", by: str = "ada") -> int:
        """A merge request that brings files; returns its number."""
        self.push(branch, files, by=by)
        return self.gitlab.open_merge_request(branch, by=by).iid

    def say(self, iid: int, text: str, by: str = "ada") -> Json:
        """A comment of somebody on a merge request."""
        with self.as_user(by) as connection:
            return dict(connection.merge_request(iid).notes.create({"body": text}).attributes)

    def as_user(self, username: str) -> Any:
        """The project as somebody else sees it."""
        from penstock.forge.client import Client
        from penstock.forge.connection import Connection

        return Connection(Client(self.gitlab.url, self.gitlab.token_of(username)), self.gitlab.project)

    def notes(self, iid: int, starts: str = "") -> list[str]:
        """What stands in the comments of a merge request, oldest first, systems' apart."""
        found = [note for thread in self.gitlab.merge_request(iid).discussions for note in thread.notes]
        return [one.body for one in found if not one.system and one.body.startswith(starts)]

    def emoji(self, note: int, iid: int) -> list[str]:
        """The emoji under a comment."""
        found = [one for thread in self.gitlab.merge_request(iid).discussions for one in thread.notes]
        return [award.name for one in found if one.id == note for award in one.awards]

    def statuses(self, sha: str) -> list[tuple[str, str]]:
        """Every status that was ever posted for a commit: what it is now, and why."""
        return [(one.status, one.description or "") for one in self.gitlab.state.statuses if one.sha == sha]

    def acting(self, who: str) -> Workspace:
        """The release path with somebody acting."""
        workspace = open_workspace(self.settings).acting_as(Person(who.capitalize(), f"{who}@example.org"))
        self.stack.callback(workspace.close)
        return workspace

    def approve(self, agent: str, version: str, stage: Any, who: str) -> None:
        """Somebody approves what counts now, on the command line."""
        workspace = self.acting(who)
        workspace.fetch()
        view = plan_promotion(workspace, (agent, version, stage)).situation.view
        assert view is not None
        decide(workspace, (agent, version, stage), "approve", view.digest, "looks right")

    def propose(self, subject: tuple[str, str, Stage], who: str = "ben") -> int:
        """Somebody asks for a promotion, which is proposed; returns its merge request's number."""
        self.by_requests()
        applied = promote(self.acting(who), subject)
        assert applied.proposal is not None
        return applied.proposal.number

    def by_requests(self, promotion: str = "merge-request") -> None:
        """From now on the project moves by merge requests (or `push`)."""
        self.settings = self.settings.model_copy(update={"promotion": promotion})

    def settle(self, iid: int, bot: Bot | None = None) -> Settled:
        """One look at a promotion, as the poll takes it."""
        return settle(bot or self.bot(), iid)

    def approve_request(self, iid: int, by: str) -> None:
        """Somebody approves a merge request at GitLab."""
        with self.as_user(by) as connection:
            connection.merge_request(iid).approve()

    def routes(self, agent: str = "clerk") -> AgentRoutes:
        """What stands where, by the table in force."""
        table = open_workspace(self.settings).releases.newest_table()
        assert table is not None
        return table.agents[agent]

    def reconcile(self) -> Reconciled:
        """Brings what is on main into force, as the driver does."""
        workspace = open_workspace(self.settings)
        try:
            return reconcile(workspace, actor="bot@penstock.invalid")
        finally:
            workspace.close()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """A project with agent `clerk` at 1.0.0 on main, nothing of it released yet; `files` are added to it."""
    with ExitStack() as stack:
        yield lambda **files: _make(tmp_path, monkeypatch, stack, files)


def _make(home: Path, monkeypatch: pytest.MonkeyPatch, stack: ExitStack, files: dict[str, str]) -> World:
    monkeypatch.setenv("PENSTOCK_RELEASES_URL", str(home / "releases"))
    monkeypatch.setenv("PENSTOCK_DATABASE_URL", f"sqlite:///{home / 'store.db'}")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    laid = {**FILES, **agent_files("clerk", "1.0.0"), "registry_repo/teams.yaml": TEAMS}
    laid |= {"pipelines/release.yaml": PIPELINE, **files}
    laid = {path: text for path, text in laid.items() if "/stages/" not in path and not path.startswith("datasets/")}
    author = project(laid, home / "author", remote=True)
    assert author.remote is not None
    gitlab = stack.enter_context(GitlabFake(author.remote))
    for name, level in (("ada", 30), ("ben", 30), ("mia", 40), ("gus", 20)):
        gitlab.add_user(name, email=f"{name}@example.org", access_level=level)
    gitlab.add_user(BOT, email="bot@penstock.invalid", access_level=40, bot=True)
    gitlab.state.user_named("ada").public_email = "author@example.org"
    clone = author.clone(home / "bot", ("Penstock", "bot@penstock.invalid"))
    clone.git("remote", "set-url", "origin", gitlab.git_url(BOT))
    monkeypatch.setenv("PENSTOCK_GITLAB_URL", gitlab.url)
    monkeypatch.setenv("PENSTOCK_GITLAB_PROJECT", gitlab.project)
    monkeypatch.setenv(TOKEN, gitlab.token_of(BOT))
    return World(home, gitlab, author, load_settings(clone.root), stack)
