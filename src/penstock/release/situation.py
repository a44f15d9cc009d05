"""Reads what a plan looks at: one version, one stage, at one head of the base branch."""

from dataclasses import replace

from penstock.contracts.pipeline import Pipeline, StageRules
from penstock.contracts.policy import Stage
from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes, RoutingTable
from penstock.errors import Invalid, NotFound
from penstock.gates.arrival import find_arrival
from penstock.gates.context import GateContext, Progress
from penstock.gates.draft import version_files
from penstock.gates.evidence import find_evidence
from penstock.registry.documents import Registry
from penstock.registry.layout import PIPELINE
from penstock.registry.resolve import Resolved, resolve
from penstock.release.approval_rules import accepted_gates
from penstock.release.clock import now
from penstock.release.drift import broken_paths
from penstock.release.entries import release_of
from penstock.release.history import History
from penstock.release.judge import Judge
from penstock.release.pending import uncommitted
from penstock.release.people import people_of
from penstock.release.plan import Situation
from penstock.release.publish import history_of
from penstock.release.read_rollout import read_rollout
from penstock.release.stages_file import read_stages, stages_path
from penstock.release.workspace import Workspace


def read_situation(workspace: Workspace, agent: str, version: str, stage: Stage, head: str) -> Situation:
    """The situation of one promotion at `head`; raises `NotFound` for a version that is not on the base branch."""
    registry = workspace.registry(head)
    pipeline = require_pipeline(registry)
    loaded = registry.agent(agent, version)
    table = workspace.releases.newest_table()
    path = stages_path(agent)
    resolved, obstacles = _resolved(workspace, registry, agent, version)
    obstacles += _broken(workspace, table, registry, (agent, version))
    history = history_of(workspace, Judge(workspace, table), agent, head)
    routes = table.agents.get(agent) if table is not None else None
    view = None
    if resolved is not None:
        view = find_evidence(released_context(workspace, registry, resolved, routes), pipeline, stage)
    obstacles += _drift(history, table)
    found = Situation(
        agent,
        version,
        stage,
        head,
        workspace.repository.blob_id(head, path),
        read_stages(workspace.repository.read(head, path), f"{head[:12]}:{path}"),
        pipeline,
        people_of(registry.teams, loaded.owner),
        now(),
        release=resolved.release if resolved is not None else None,
        runtime=loaded.spec.runtime.selector or workspace.settings.default_runtime,
        standing=_standing_release(workspace, routes, stage),
        authors=workspace.authors(registry, agent, version),
        view=view,
        decisions=tuple(workspace.releases.approvals(view.digest)) if view is not None else (),
        obstacles=tuple(obstacles),
        line_stops=tuple(workspace.releases.line_stops()),
    )
    return _with_rollout(workspace, routes, _with_accepted(found))


def _with_accepted(found: Situation) -> Situation:
    """The situation with those gates open whose inconclusive results people accepted."""
    if found.view is None:
        return found
    rules: StageRules = getattr(found.pipeline.spec.stages, found.stage)
    accepted = accepted_gates(rules.approvals, found.people, found.authors, found.decisions, found.now)
    return replace(found, view=found.view.accepted(accepted))


def _with_rollout(workspace: Workspace, routes: AgentRoutes | None, found: Situation) -> Situation:
    """The situation with how far the canary is, of one that is on its way to prod and shares with it."""
    canary = found.stages.canary
    if found.stage != "prod" or canary is None or canary.version != found.version or routes is None:
        return found
    return replace(found, rollout=read_rollout(workspace, found.agent, routes, found.pipeline, found.now))


def released_context(
    workspace: Workspace,
    registry: Registry,
    resolved: Resolved,
    routes: AgentRoutes | None,
    progress: Progress | None = None,
) -> GateContext:
    """What gates see of a version on the base branch: what they find counts.

    `registry` is the one at a commit of the base branch, `routes` the agent's entry of the table in force. Raises
    `Unavailable` when the database, the release store or the history cannot be read.
    """
    release = resolved.release
    until = registry.source.commit
    assert until is not None, "only what is on the base branch is released"
    arrival = find_arrival(workspace.repository, until, registry.agent(release.name, release.version).path)
    baseline = routes.prod.release if routes is not None and routes.prod is not None else None
    return GateContext(
        workspace.settings,
        registry,
        resolved,
        origin="released",
        repository=workspace.repository,
        commit=arrival.commit,
        base=arrival.base,
        authors=tuple(sorted(workspace.authors(registry, release.name, release.version))),
        baseline=release_of(workspace, baseline),
        routes=routes,
        records=workspace.records,
        runs=workspace.runs,
        progress=progress,
    )


def context_at_head(workspace: Workspace, agent: str, version: str) -> GateContext:
    """What gates see of a version at the base branch's head as last fetched; raises `NotFound`, `Invalid`."""
    registry = workspace.registry(workspace.base_head())
    table = workspace.releases.newest_table()
    routes = table.agents.get(agent) if table is not None else None
    return released_context(workspace, registry, resolve(registry, agent, version), routes)


def require_pipeline(registry: Registry) -> Pipeline:
    """The pipeline; raises `NotFound` without one."""
    if registry.pipeline is None:
        raise NotFound("no pipeline is declared", where=PIPELINE, now="add one to the base branch")
    return registry.pipeline


def _resolved(workspace: Workspace, registry: Registry, agent: str, version: str) -> tuple[Resolved | None, list[str]]:
    """The release, and why it may not move: components that are disabled, faults, another digest than was released."""
    obstacles = []
    try:
        resolved = resolve(registry, agent, version)
    except Invalid as error:
        obstacles += [str(fault) for fault in error.faults] or [error.what]
        try:
            resolved = resolve(registry, agent, version, allow_retired=True)
        except Invalid:
            return None, obstacles
    bound = workspace.releases.named_release(agent, version)
    if bound not in {None, resolved.release.digest}:
        obstacles.append(
            f"{agent}@{version} was released as {bound}, and main now makes {resolved.release.digest} of it: "
            "a released version never changes"
        )
    return resolved, obstacles


def _broken(
    workspace: Workspace, table: RoutingTable | None, registry: Registry, subject: tuple[str, str]
) -> list[str]:
    """Files of the version's closure that were released otherwise and changed since."""
    broken = broken_paths(workspace, table, registry.source.commit or "")
    return [broken[path] for path in version_files(registry, *subject) if path in broken] if broken else []


def _drift(history: History, table: RoutingTable | None) -> list[str]:
    return [*(str(one) for one in history.unresolved[:1]), *uncommitted(table, history)]


def _standing_release(workspace: Workspace, routes: AgentRoutes | None, stage: Stage) -> Release | None:
    if routes is None:
        return None
    single = {"canary": routes.canary, "prod": routes.prod}.get(stage) or routes.prod
    return release_of(workspace, single.release) if single is not None else None
