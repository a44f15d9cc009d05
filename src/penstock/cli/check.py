"""`agentctl check`: all gates of the next stage, as the merge request does."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show
from penstock.cli.verdict import Asked, Judged, Terminal, exit_status, judge, next_stage, parse_version, unresolved
from penstock.contracts.pipeline import Pipeline
from penstock.contracts.policy import Stage
from penstock.contracts.stages import StagesSpec
from penstock.errors import Fault, Invalid, Unavailable, WrongUse
from penstock.gates.context import STAGES
from penstock.gates.draft import draft_context
from penstock.gates.draft_results import DraftResults
from penstock.gates.schema import files_of
from penstock.registry.change import Change, change_against
from penstock.registry.documents import Registry
from penstock.registry.git import Repository
from penstock.registry.impact import impact
from penstock.registry.layout import PIPELINE, STAGES_FOLDER, TEAMS
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.release.lifecycle import place_of
from penstock.release.overlaid import stages_in_force
from penstock.release.situation import released_context, require_pipeline
from penstock.release.workspace import Workspace, open_workspace


@click.command()
@click.argument("versions", metavar="[AGENT@V]...", nargs=-1)
@click.option("--base", metavar="REV", help="What changed is judged against; default: the remote's base branch.")
@click.option("--to", type=click.Choice(STAGES), help="Run all gates up to this stage; default: the next stage.")
@click.option("--gate", "gates", metavar="GATE", multiple=True, help="Run this gate alone; again for more.")
@click.option("--found", is_flag=True, help="Run no gate: judge by what was found before.")
@click.option("--results", metavar="DIR", help="Keep the results of drafts there, and find them again.")
@click.option("--again", is_flag=True, help="Measure anew what was found before; needs --reason.")
@click.option("--reason", metavar="TEXT", help="Why it is measured again.")
@json_option
def check(
    versions: tuple[str, ...],
    base: str | None,
    to: Stage | None,
    gates: tuple[str, ...],
    found: bool,
    results: str | None,
    again: bool,
    reason: str | None,
    as_json: bool,
) -> int:
    """Runs all gates of the next stage: of AGENT@V, or of each version that the change brings or voids the evidence of.

    A version that is on the base branch as it stands here is judged from there, and its results count (driver = ci).
    Anything else is a draft: shown, never counted. With --gate no report is written; --found writes it.
    """
    if again != bool(reason):
        raise WrongUse("--again needs --reason, and --reason --again", now="say why it is measured again")
    if found and (gates or again):
        raise WrongUse("--found runs no gate", now="leave out --gate and --again, or --found")
    asked = Asked(gates, found, reason, DraftResults(Path(results)) if results else None)
    checking = Checking(open_workspace(project_settings()), base, to)
    if versions:
        named = [parse_version(version) for version in versions]
        judged = [checking.judge(*one, asked) for one in dict.fromkeys(named)]
        faults: list[Fault] = []
    else:
        judged = [checking.judge(agent, number, asked) for agent, number in checking.wanted()]
        faults = checking.other_faults(judged)
    document = {
        "base": checking.base,
        "versions": [one.as_document() for one in judged],
        "faults": [fault.as_dict() for fault in faults],
    }
    parts = [*(one.as_text() for one in judged), *map(str, faults)]
    show(document, "\n\n".join(parts) or f"nothing to check: {checking.nothing}", as_json=as_json)
    return 1 if faults else exit_status(judged)


@dataclass
class Checking:
    """One call of `check`: the working tree, and the base branch where there is one."""

    workspace: Workspace
    given_base: str | None
    to: Stage | None = None

    @cached_property
    def tree(self) -> Registry:
        """The working tree's registry."""
        settings = self.workspace.settings
        return load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)

    @cached_property
    def pipeline(self) -> Pipeline:
        """The working tree's pipeline; raises `NotFound` or, for a file with faults, `Invalid`."""
        faults = [fault for fault in self.tree.faults if fault.path == PIPELINE]
        if faults:
            raise Invalid("the pipeline has faults", where=PIPELINE, now="mend the file", faults=faults)
        return require_pipeline(self.tree)

    @cached_property
    def repository(self) -> Repository | None:
        """The clone; None for a folder that is none."""
        try:
            return self.workspace.repository
        except Unavailable:
            if self.given_base is not None:
                raise
            return None

    @cached_property
    def base(self) -> str | None:
        """The revision that changes are judged against: the one given, or the remote's base branch as last fetched."""
        if self.given_base is not None:
            assert self.repository is not None
            return self.repository.resolve(self.given_base)
        if self.repository is None or not self.repository.has_remote():
            return None
        return self.workspace.base_head()

    @cached_property
    def change(self) -> Change | None:
        """What the working tree changes; None without a base."""
        if self.base is None or self.repository is None:
            return None
        return change_against(self.repository, self.tree.source, self.base)

    @property
    def nothing(self) -> str:
        """Why there may be nothing to check."""
        if self.base is None:
            return "every version stands somewhere already"
        return f"no new version, and no evidence is void, against {self.base[:12]}"

    def wanted(self) -> list[tuple[str, str]]:
        """What the change touches; without a base, every version that stands nowhere yet."""
        if self.change is None:
            return self.pending()
        touched = impact(self.tree, self.change.added, self.change.files.keys())
        new = [(one.agent, one.version) for one in touched.new]
        return list(dict.fromkeys([*new, *((one.agent, one.version) for one in touched.void)]))

    def pending(self) -> list[tuple[str, str]]:
        """Every version of the working tree that stands nowhere yet."""
        return [
            (agent, number)
            for agent in self.tree.agents()
            for number in self.tree.versions(agent)
            if self.place(agent, number) is None
        ]

    def place(self, agent: str, version: str) -> str | None:
        """Where a version stands by the stages file of the working tree; None = nowhere."""
        spec = _stages(self.tree, agent)
        return place_of(spec, version) if spec is not None else None

    def other_faults(self, judged: list[Judged]) -> list[Fault]:
        """Faults of what the change brings (without a base: of everything) that no judged version shows."""
        shown = {fault for one in judged for fault in one.faults}
        brought = self.change.files if self.change is not None else None
        return [
            fault for fault in self.tree.faults if fault not in shown and (brought is None or fault.path in brought)
        ]

    def judge(self, agent: str, version: str, asked: Asked) -> Judged:
        """One version, from the base branch if it is there as it is here, else as a draft."""
        difference = self._difference(agent, version)
        if difference is None:
            return self._judge_released(agent, version, asked)
        return replace(self._judge_draft(agent, version, asked), notes=(difference,))

    def _judge_released(self, agent: str, version: str, asked: Asked) -> Judged:
        workspace = self.workspace
        head = workspace.base_head()
        registry = workspace.registry(head)
        workspace.releases.lineage(create=True)  # what counts needs a store; the first driver makes it
        table = workspace.releases.newest_table()
        routes = table.agents.get(agent) if table is not None else None
        stages = _stages(registry, agent)
        if table is not None and routes is not None:
            stages = stages_in_force(table, agent)
        stage = self._stage(stages, version)
        try:
            resolved = resolve(registry, agent, version)
        except Invalid as error:
            return unresolved(agent, version, stage, error, draft=False)
        progress = Terminal(f"{agent}@{version}")
        context = released_context(workspace, registry, resolved, routes, progress)
        source = f"commit {head[:12]} of {workspace.settings.base_branch}"
        pipeline = require_pipeline(registry)
        return judge(context, pipeline, stage, source=source, releases=workspace.releases, asked=asked)

    def _judge_draft(self, agent: str, version: str, asked: Asked) -> Judged:
        stage = self._stage(_stages(self.tree, agent), version)
        try:
            context = draft_context(
                self.workspace.settings,
                self.tree,
                agent,
                version,
                repository=self.repository,
                base=self.base,
                progress=Terminal(f"{agent}@{version}"),
            )
        except Invalid as error:
            return unresolved(agent, version, stage, error, draft=True)
        return judge(context, self.pipeline, stage, source="the working tree", asked=asked)

    def _stage(self, stages: StagesSpec | None, version: str) -> Stage:
        """The stage whose gates are run, with all before it: the next one, or a later one that was asked for."""
        following = next_stage(stages, version)
        return following if self.to is None else max(following, self.to, key=STAGES.index)

    def _difference(self, agent: str, version: str) -> str | None:
        """Why this is a draft: what differs from the base branch's head; None if nothing that a gate reads does."""
        settings = self.workspace.settings
        if settings.driver != "ci":
            return "driver = dagster: what counts is made by Dagster"
        if self.repository is None:
            return "there is no Git repository"
        try:
            head = self.workspace.base_head()
        except Unavailable as error:
            return error.what
        path = self.tree.agent(agent, version).path
        if self.repository.blob_id(head, path) is None:
            return f"it is not on {settings.base_branch} yet"
        changed = [one for one in self._read(agent, version, head) if self._differs(head, one)]
        return f"{changed[0]} is not as on {settings.base_branch}" if changed else None

    def _read(self, agent: str, version: str, head: str) -> list[str]:
        """Every file that the gates of a version read, here or at `head`; its stages file is promotion's."""
        assert self.repository is not None
        suites = f"contract_suites/{agent}"
        there = {file.path for file in self.repository.files(head, (suites, "runtimes"))}
        here = {path for path in self.tree.source.entries() if path.startswith(f"{suites}/")}
        read = set(files_of(self.tree, agent, version)) - {f"{STAGES_FOLDER}{agent}.yaml"}
        return sorted({TEAMS, PIPELINE} | there | here | read)

    def _differs(self, head: str, path: str) -> bool:
        assert self.repository is not None
        there, here = self.repository.file_at(head, path), self.tree.source.entries().get(path)
        if there is None or here is None:
            return there is not None or here is not None
        return (there.blob, there.mode) != (here.blob, here.mode)


def _stages(registry: Registry, agent: str) -> StagesSpec | None:
    stages = registry.stages.get(agent)
    return stages.spec if stages is not None else None
