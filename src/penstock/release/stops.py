"""Stops and their ends: freeze and thaw, deprecate and disable, unhold and unquarantine. All are urgent changes."""

from collections.abc import Callable, Mapping

from penstock.contracts.routing_table import RoutingTable
from penstock.contracts.stages import StagesSpec
from penstock.errors import NotFound, Refused, WrongUse
from penstock.release import lifecycle
from penstock.release.approval import SHORTEST_PREFIX
from penstock.release.clock import now, stamp
from penstock.release.overlaid import stages_in_force
from penstock.release.urgent import Urgent, clean_reason, finish_urgent, require_routes, require_table
from penstock.release.workspace import Workspace

PureMove = Callable[[StagesSpec], StagesSpec]

STATUS_MOVES: Mapping[str, PureMove] = {
    "freeze": lifecycle.freeze,
    "thaw": lifecycle.thaw,
    "disable": lifecycle.disable_agent,
}
VERSION_MOVES = {"deprecate": lifecycle.deprecate, "disable": lifecycle.disable}


def change_status(workspace: Workspace, kind: str, agent: str | None, reason: str) -> Urgent:
    """Freezes, thaws or disables an agent; None = every agent for which the move makes sense.

    Raises `Refused` when it makes sense for none.
    """
    move = STATUS_MOVES[kind]
    table = require_table(workspace, workspace.releases.newest_table())
    if agent is not None:
        require_routes(table, agent)
        return _change(workspace, kind, [agent], reason, move)
    chosen = [name for name in table.agents if _makes_sense(move, stages_in_force(table, name))]
    if not chosen:
        raise Refused(f"there is no agent to {kind}", now="`agentctl status` shows them")
    return _change(workspace, kind, chosen, reason, move)


def retire_version(workspace: Workspace, kind: str, agent: str, version: str, reason: str) -> Urgent:
    """Deprecates or disables one version of an agent; raises `NotFound` for one that was never released."""
    table = require_table(workspace, workspace.releases.newest_table())
    require_routes(table, agent)
    known = lifecycle.places(stages_in_force(table, agent))
    if version not in known and workspace.releases.named_release(agent, version) is None:
        raise NotFound(f"no released version {agent}@{version}", now=f"versions: {', '.join(sorted(known)) or 'none'}")
    move = VERSION_MOVES[kind]
    return _change(workspace, kind, [agent], reason, lambda spec: move(spec, version))


def hold(workspace: Workspace, agent: str, reason: str) -> Urgent:
    """Nothing automatic and no promotion happens to the agent until `unhold`; what answers goes on answering."""
    since, actor, text = stamp(now()), workspace.actor, clean_reason(reason)
    return _change(workspace, "hold", [agent], text, lambda spec: lifecycle.hold(spec, actor, since, text))


def unhold(workspace: Workspace, agent: str, reason: str) -> Urgent:
    """Lifts the hold that a person, a rollback or a canary without traffic left."""
    return _change(workspace, "unhold", [agent], reason, lifecycle.unhold)


def unquarantine(workspace: Workspace, digest: str, reason: str) -> Urgent:
    """Lifts the quarantine of a release, wherever it stands; `digest` may be the start of one, if only one fits.

    Raises `NotFound` when no such release is quarantined, `WrongUse` for fewer than 12 hex digits.
    """
    if len(digest.removeprefix("sha256:")) < SHORTEST_PREFIX:
        raise WrongUse(f"{digest!r} is no digest", now=f"give at least {SHORTEST_PREFIX} hex digits of the release's")
    table = require_table(workspace, workspace.releases.newest_table())
    start = digest if digest.startswith("sha256:") else f"sha256:{digest}"
    quarantined = {(agent, one) for agent, routes in table.agents.items() for one in routes.quarantined}
    found = sorted((agent, one) for agent, one in quarantined if one.startswith(start))
    if len({one for _, one in found}) != 1:
        listed = ", ".join(f"{one} ({agent})" for agent, one in sorted(quarantined)) or "none"
        what = "is no quarantined release" if not found else "is the start of several"
        raise NotFound(f"{digest} {what}", now=f"quarantined: {listed}")
    release = found[0][1]
    agents = [agent for agent, _ in found]
    return _change(workspace, "unquarantine", agents, reason, lambda spec: lifecycle.unquarantine(spec, release))


def _change(workspace: Workspace, kind: str, agents: list[str], reason: str, move: PureMove) -> Urgent:
    def moved(table: RoutingTable, agent: str, spec: StagesSpec) -> StagesSpec:
        try:
            return move(spec)
        except Refused as error:
            raise Refused(f"{agent}: {error.what}", now=f"`agentctl status {agent}`") from None

    return finish_urgent(workspace, kind, dict.fromkeys(agents, moved), reason)


def _makes_sense(move: PureMove, spec: StagesSpec) -> bool:
    try:
        move(spec)
    except Refused:
        return False
    return True
