"""Which agent and version a command is about: those that it names, else what the merge request changes."""

import re
from typing import Any

import semver

from penstock.contracts.policy import Stage
from penstock.contracts.stages import StagesSpec
from penstock.errors import PenstockError, WrongUse
from penstock.forge.bot import Bot
from penstock.forge.command import Command
from penstock.registry.document_faults import did_you_mean
from penstock.release.move import Move
from penstock.release.proposal import proposal_branch
from penstock.release.stages_file import read_stages, stages_path

_AGENT_FILE = re.compile(r"registry_repo/agents/([^/]+)/([^/]+)\.yaml")
_PROPOSAL = re.compile(proposal_branch("([^/]+)", "([^/]+)"))


def proposal_of(branch: str) -> tuple[str, str] | None:
    """Agent and stage (or move) of a proposal's branch; None for any other branch."""
    found = _PROPOSAL.fullmatch(branch)
    return (found[1], found[2]) if found is not None else None


def agent_of(bot: Bot, request: Any, command: Command) -> str:
    """The agent that is meant; raises `WrongUse` when none is named and the merge request does not say which."""
    known = sorted(bot.workspace.registry(bot.workspace.base_head()).agents())
    if command.agent:
        if command.agent not in known:
            hint = did_you_mean(command.agent, known)
            raise WrongUse(f"no agent {command.agent!r} on {bot.settings.base_branch}", now=hint)
        return command.agent
    changed = sorted({agent for agent, _ in changed_versions(bot, request)})
    if len(changed) != 1:
        what = f"it changes {', '.join(changed)}" if changed else "it changes no agent"
        raise WrongUse(f"name the agent: {what}")
    return changed[0]


def version_of(bot: Bot, request: Any, agent: str, stage: Stage, command: Command) -> str:
    """The version that is meant: the one named, the newest that the merge request brings, else the one that is next."""
    if command.version:
        return command.version
    brought = [version for one, version in changed_versions(bot, request) if one == agent]
    if brought:
        return max(brought, key=semver.Version.parse)
    path = stages_path(agent)
    spec = read_stages(bot.workspace.repository.read(bot.workspace.base_head(), path), path)
    version = _next(spec, stage)
    if version is None:
        raise WrongUse(f"name the version: none of {agent} is on its way to {stage}")
    return version


def changed_versions(bot: Bot, request: Any) -> list[tuple[str, str]]:
    """Agents and versions whose files the merge request adds or changes; of a promotion, the one that it moves."""
    attributes = request.attributes
    move = proposed(bot, request)
    if move is not None:
        return [(move.agent, move.version)]
    refs = attributes.get("diff_refs") or {}
    base, head = refs.get("base_sha"), refs.get("head_sha") or attributes.get("sha")
    if not base or not head:
        return []
    try:
        paths = bot.workspace.repository.changes(base, head)
    except PenstockError:  # a commit that nobody can fetch any more
        return []
    found = (_AGENT_FILE.fullmatch(path) for path, (_, after) in paths.items() if after is not None)
    return sorted({(match[1], match[2]) for match in found if match and semver.Version.is_valid(match[2])})


def proposed(bot: Bot, request: Any) -> Move | None:
    """The move that a merge request of the bot's proposes, as its head commit says it; None for any other."""
    found = proposal_of(str(request.attributes.get("source_branch")))
    sha = request.attributes.get("sha")
    if found is None or not sha or not bot.is_mine(request.attributes.get("author")):
        return None
    try:
        move = Move.of(bot.workspace.repository.commit(sha), found[0])
    except PenstockError:
        return None
    return move if move is not None and found[1] == (move.stage or move.action) else None


def _next(spec: StagesSpec, stage: Stage) -> str | None:
    if stage == "prod":
        return spec.canary.version if spec.canary is not None else None
    if stage == "canary":
        return max((one.version for one in spec.dev), key=semver.Version.parse, default=None)
    return None
