"""Rollback: a move back, with a hold, and a quarantine of the release that is left unless it is kept."""

from penstock.contracts.routing_table import AgentRoutes, RoutingTable
from penstock.contracts.stages import StagesSpec, Standing
from penstock.errors import Conflict, Refused, WrongUse
from penstock.release import lifecycle
from penstock.release.clock import now, stamp
from penstock.release.overlaid import stages_in_force
from penstock.release.urgent import Urgent, clean_reason, finish_urgent, require_routes, require_table
from penstock.release.workspace import Workspace


def roll_back(
    workspace: Workspace,
    agent: str,
    reason: str,
    *,
    stage: str | None = None,
    to: str | None = None,
    keep: bool = False,
) -> Urgent:
    """Takes the canary or prod back at once.

    `stage` None = whichever stands; with both standing it must be named. `to` names a version that stood in prod
    instead of `previous`. `keep`: no quarantine (a provider's fault is not the release's). Raises `WrongUse`,
    `Refused`, and `Conflict` when somebody else moved the stage meanwhile.
    """
    table = require_table(workspace, workspace.releases.newest_table())
    routes = require_routes(table, agent)
    chosen = choose_stage(agent, routes, stage, to)
    left = routes.canary if chosen == "canary" else routes.prod
    if left is None:
        raise Refused(f"nothing of {agent} stands in {chosen}", now=f"`agentctl status {agent}`")
    actor, since, why = workspace.actor, stamp(now()), clean_reason(reason)

    def move(current: RoutingTable, _: str, spec: StagesSpec) -> StagesSpec:
        standing = current.agents[agent].canary if chosen == "canary" else current.agents[agent].prod
        if standing is None or standing.release != left.release:
            found = f"{standing.version} ({standing.release})" if standing is not None else "nothing"
            raise Conflict(
                f"{chosen} of {agent} moved meanwhile: it was {left.version} ({left.release}), and is {found} now",
                now=f"see `agentctl status {agent}`, then decide again",
            )
        if chosen == "canary":
            back = lifecycle.roll_back_canary(spec)
        else:
            back = lifecycle.roll_back_prod(spec, _target(workspace, current, agent, to))
        held = lifecycle.hold(back, actor, since, why)
        return held if keep else lifecycle.quarantine(held, left.release)

    return finish_urgent(workspace, "rollback", {agent: move}, why)


def choose_stage(agent: str, routes: AgentRoutes, stage: str | None, to: str | None) -> str:
    """Which stage is meant; raises `WrongUse`, printing both commands, when both stand and none is named."""
    if to is not None and stage == "canary":
        raise WrongUse("--to names what prod goes back to", now=f"`agentctl rollback {agent} --stage prod --to {to}`")
    if stage is not None:
        return stage
    if routes.canary is not None and routes.prod is not None:
        raise WrongUse(
            f"both a canary ({routes.canary.version}) and prod ({routes.prod.version}) of {agent} stand: name one",
            now=f"`agentctl rollback {agent} --stage canary --reason TEXT` ends the canary and leaves prod; "
            f"`agentctl rollback {agent} --stage prod --reason TEXT` takes prod back and ends the canary too",
        )
    return "canary" if routes.canary is not None else "prod"


def _target(workspace: Workspace, table: RoutingTable, agent: str, to: str | None) -> Standing | None:
    """What prod goes back to: None for `previous`; raises `Refused` for what may not answer."""
    routes = table.agents[agent]
    spec = stages_in_force(table, agent)
    version = to or (routes.previous.version if routes.previous is not None else None)
    if version is None:
        raise Refused(
            f"there is no previous version of {agent} to go back to",
            now=f"--to names a version that stood in prod; `agentctl disable {agent} --reason TEXT` stops all runs",
        )
    release = workspace.releases.named_release(agent, version)
    if version in spec.disabled:
        raise Refused(f"{agent}@{version} is disabled", now="name another version by --to")
    if release in spec.quarantined:
        raise Refused(
            f"{agent}@{version} ({release}) is quarantined",
            now=f"name another by --to, or `agentctl unquarantine {release} --reason TEXT`",
        )
    if to is None:
        return None
    runtime = _runtime_in_prod(workspace, table, agent, to)
    if runtime is None:
        raise Refused(f"{agent}@{to} never stood in prod", now="name a version that did: `agentctl routes history`")
    return lifecycle.standing(to, runtime)


def _runtime_in_prod(workspace: Workspace, table: RoutingTable, agent: str, version: str) -> str | None:
    """The runtime on which the version last stood in prod, by this table and the ones before it; None if never."""
    found: RoutingTable | None = table
    while found is not None:
        routes = found.agents.get(agent)
        for standing in (routes.prod, routes.previous) if routes is not None else ():
            if standing is not None and standing.version == version:
                return standing.runtime
        generation = found.source.previous_generation
        found = workspace.releases.table(generation) if generation is not None else None
    return None
