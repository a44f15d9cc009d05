"""Doing what a comment asks for, as the person who asked, by the same functions as the command line."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from penstock.contracts.policy import Stage
from penstock.errors import PenstockError
from penstock.forge.account import person_of
from penstock.forge.bot import Bot
from penstock.forge.command import HELP, Command
from penstock.forge.connection import Json
from penstock.forge.review import Reviewed, is_promotion
from penstock.forge.subject import agent_of, proposed, version_of
from penstock.release import stops
from penstock.release.claim import SKEW
from penstock.release.clock import moment_of
from penstock.release.driver import plan_promotion, promote, request_promotion
from penstock.release.lifecycle import place_of
from penstock.release.plan import Plan
from penstock.release.plan_view import plan_markdown
from penstock.release.rollback import roll_back
from penstock.release.urgent import Urgent
from penstock.release.workspace import Workspace
from penstock.reporting.markdown import escape

Recheck = Callable[[], Reviewed]
STAGES: Mapping[str, Stage] = {"dev": "dev", "canary": "canary", "prod": "prod"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A command with where it was given: the merge request and the comment; `recheck` checks that request again."""

    bot: Bot
    request: Any
    note: Json
    command: Command
    recheck: Recheck

    @property
    def tag(self) -> str:
        """What the record of an urgent change is known by, so that it is made once."""
        return f"(!{self.request.iid}, comment {self.note['id']})"


def act(asked: Asked) -> str:
    """Does it and returns the answer as Markdown. Doing it again changes nothing. Raises `PenstockError`."""
    command, bot = asked.command, asked.bot
    if command.verb == "help":
        return HELP
    person = person_of(bot, asked.note["author"])
    bot.workspace.fetch()
    workspace = bot.workspace.acting_as(person)
    try:
        return _VERBS[command.verb](asked, workspace)
    finally:
        workspace.close()


def _plan(asked: Asked, workspace: Workspace) -> str:
    bot, request, command = asked.bot, asked.request, asked.command
    parts = []
    if request.state == "opened" and not is_promotion(bot, request.attributes):
        reviewed = asked.recheck()
        parts.append(f"Checked again: {escape(reviewed.outcome)}: {escape(reviewed.sentence, 1_000)}")
    if not parts or command.stage or command.agent:
        parts.append(plan_markdown(_planned(asked, workspace)))
    return "\n\n".join(parts)


def _planned(asked: Asked, workspace: Workspace) -> Plan:
    agent = agent_of(asked.bot, asked.request, asked.command)
    move = proposed(asked.bot, asked.request)
    following = move.stage if move is not None and move.stage is not None else "canary"
    stage = STAGES[asked.command.stage or following]
    version = version_of(asked.bot, asked.request, agent, stage, asked.command)
    return plan_promotion(workspace, (agent, version, stage))


def _promote(asked: Asked, workspace: Workspace) -> str:
    bot, command = asked.bot, asked.command
    agent, stage = agent_of(bot, asked.request, command), STAGES[command.stage]
    version = version_of(bot, asked.request, agent, stage, command)
    subject = (agent, version, stage)
    name = f"{agent}@{version}"
    with bot.locked(agent, stage, f"promote {name} {asked.tag}"):
        if place_of(plan_promotion(workspace, subject).situation.stages, version) == stage:
            return f"{escape(name)} stands in {stage}."
        if workspace.settings.driver == "dagster":
            answer = request_promotion(workspace, subject, wait_s=0)
            return f"{escape(name)} to {stage}: {answer.outcome}: {escape(answer.reason)}."
        applied = promote(workspace, subject)
    if applied.proposal is not None:
        return f"{escape(name)} to {stage}: proposed as !{applied.proposal.number}, which waits to be merged."
    table = applied.published.table
    generation = table.generation if table is not None else 0
    return f"{escape(name)} to {stage}: committed as {applied.commit}, routing table {generation} is in force."


def _rollback(asked: Asked, workspace: Workspace) -> str:
    agent, command = agent_of(asked.bot, asked.request, asked.command), asked.command
    return _urgent(
        asked,
        workspace,
        lambda reason: roll_back(
            workspace, agent, reason, stage=command.stage or None, to=command.to or None, keep=command.keep
        ),
    )


def _hold(asked: Asked, workspace: Workspace) -> str:
    agent = agent_of(asked.bot, asked.request, asked.command)
    return _urgent(asked, workspace, lambda reason: stops.hold(workspace, agent, reason))


def _unhold(asked: Asked, workspace: Workspace) -> str:
    agent = agent_of(asked.bot, asked.request, asked.command)
    return _urgent(asked, workspace, lambda reason: stops.unhold(workspace, agent, reason))


def _urgent(asked: Asked, workspace: Workspace, change: Callable[[str], Urgent]) -> str:
    """Makes an urgent change once: a crash after it left its comment's number in the routing table's reason."""
    generation = _made_already(workspace, asked)
    if generation is not None:
        return f"{asked.command.verb}: done, routing table {generation}."
    done = change(f"{asked.command.reason} {asked.tag}")
    told = f"{done.kind} of {', '.join(map(escape, done.agents))}: routing table {done.table.generation} is in force."
    return f"{told} Not committed yet: {escape(done.pending)}." if done.pending else told


def _made_already(workspace: Workspace, asked: Asked) -> int | None:
    """The generation that made this very change, looked for back to the moment of the comment."""
    since = moment_of(str(asked.note.get("created_at", "")))
    table = workspace.releases.newest_table()
    while table is not None:
        made = moment_of(table.created_at)
        if since is not None and made is not None and made < since - SKEW - timedelta(minutes=1):
            return None
        if table.source.reason.endswith(asked.tag):
            return table.generation
        earlier = table.source.previous_generation
        table = workspace.releases.table(earlier) if earlier is not None else None
    return None


def refusal_note(error: PenstockError) -> str:
    """An error as Markdown: what, and what now."""
    now = f"\n\n{escape(error.now, 1_000)}" if error.now else ""
    return f"{escape(error.what, 4_000)}{now}"


_VERBS: Mapping[str, Callable[[Asked, Workspace], str]] = {
    "plan": _plan,
    "promote": _promote,
    "rollback": _rollback,
    "hold": _hold,
    "unhold": _unhold,
}
