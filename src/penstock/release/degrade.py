"""Degrade: an agent's runs ask a cheaper model of their own release first, in every executor at once."""

from collections.abc import Callable

from penstock.contracts.agent import AgentSpec
from penstock.contracts.model_choice import ModelsByComplexity
from penstock.contracts.reference import Reference
from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes, RoutingTable
from penstock.contracts.stages import Degraded, StagesSpec
from penstock.engine.degraded import model_in
from penstock.errors import Refused, WrongUse
from penstock.release import lifecycle
from penstock.release.clock import now, stamp
from penstock.release.urgent import Urgent, clean_reason, finish_urgent, require_routes, require_table
from penstock.release.workspace import Workspace


def degrade(workspace: Workspace, agent: str, model: str | None, reason: str) -> Urgent:
    """Has runs of prod, canary, previous and what drains ask `model` first; None = the last spare of what leads.

    What leads is prod, else the canary. Raises `WrongUse` for what is no `models/<n>@<v>`, `Refused` when the leading
    release has no such model beside its first.
    """
    if model is not None and Reference.parse(model).folder != "models":
        raise WrongUse(f"{model!r} is no model", now="name one as models/small@1.0.0")
    by, since, text = workspace.actor, stamp(now()), clean_reason(reason)

    def move(table: RoutingTable, name: str, spec: StagesSpec) -> StagesSpec:
        release = _leading(workspace, table.agents[name], name)
        chosen = chosen_model(release, model)
        said = {"model": chosen, "by": by, "since": since, "reason": text}
        return _named(name, lambda: lifecycle.degrade(spec, Degraded.model_validate(said)))

    require_routes(require_table(workspace, workspace.releases.newest_table()), agent)
    return finish_urgent(workspace, "degrade", {agent: move}, text)


def undegrade(workspace: Workspace, agent: str, reason: str) -> Urgent:
    """Has runs ask their release's models in its own order again; raises `Refused` if they do."""

    def move(table: RoutingTable, name: str, spec: StagesSpec) -> StagesSpec:
        return _named(name, lambda: lifecycle.undegrade(spec))

    require_routes(require_table(workspace, workspace.releases.newest_table()), agent)
    return finish_urgent(workspace, "degrade-off", {agent: move}, clean_reason(reason))


def untouched(workspace: Workspace, routes: AgentRoutes) -> list[str]:
    """The versions, with their places, whose releases lack the model: their runs go on as they are."""
    if routes.degraded is None:
        return []
    singles = [("prod", routes.prod), ("canary", routes.canary), ("previous", routes.previous)]
    found = [(place, entry) for place, entry in singles if entry is not None]
    found += [("draining", entry) for entry in routes.draining]
    model = routes.degraded.model
    return [
        f"{place} {entry.version}"
        for place, entry in found
        if model_in(workspace.releases.get_release(entry.release), model) is None
    ]


def _leading(workspace: Workspace, routes: AgentRoutes, agent: str) -> Release:
    entry = routes.prod or routes.canary
    if entry is None:
        raise Refused(f"nothing of {agent} stands in prod or canary", now=f"`agentctl status {agent}`")
    return workspace.releases.get_release(entry.release)


def chosen_model(release: Release, model: str | None) -> str:
    """The model that the release's runs are degraded to, None = none is named; raises `Refused` for one it lacks."""
    spec, who = release.agent.spec, f"{release.name}@{release.version}"
    choice = _choice(spec)
    if not choice:
        raise Refused(
            f"{who} has no model but {spec.main_model}",
            now="a new version declares cheaper ones, as spec: {fallback: {models: [models/small@1.0.0]}}; "
            f"`agentctl freeze {release.name}` stops new runs",
        )
    listed = ", ".join(choice)
    if model is not None and model == spec.model_ref:
        raise Refused(f"{model} is the model that {who} asks first anyway", now=f"it may be: {listed}")
    if model is not None and model not in choice:
        more = "a new version declares more under spec.fallback.models"
        raise Refused(f"{model} is no model of {who}", now=f"it may be: {listed}; {more}")
    return model or choice[-1]


def _choice(spec: AgentSpec) -> list[str]:
    """What the agent's runs may be degraded to, the last one unless another is named.

    Its spares in their order; without one its models by complexity, that of simple runs last.
    """
    spares = spec.fallback.models if spec.fallback is not None else []
    tiers = spec.model_ref
    by_complexity = [tiers.complex, tiers.medium, tiers.simple] if isinstance(tiers, ModelsByComplexity) else []
    return list(dict.fromkeys(one for one in [*by_complexity, *spares] if one != spec.model_ref))


def _named(agent: str, move: Callable[[], StagesSpec]) -> StagesSpec:
    try:
        return move()
    except Refused as error:
        raise Refused(f"{agent}: {error.what}", now=f"`agentctl status {agent}`") from None
