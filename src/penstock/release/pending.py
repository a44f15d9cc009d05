"""Urgent changes that are in force and not yet in Git: their commits, written once Git is there again."""

from dataclasses import dataclass

from penstock.contracts.routing_table import OverlayEntry, RoutingTable
from penstock.errors import Conflict, Refused
from penstock.release.committing import Written, commit_stages
from penstock.release.history import History
from penstock.release.judge import Judge
from penstock.release.move import Move
from penstock.release.overlaid import overlaid
from penstock.release.publish import history_of
from penstock.release.stages_file import write_stages
from penstock.release.workspace import Workspace


def pending_agents(table: RoutingTable | None) -> list[str]:
    """The agents with urgent changes that the table carries."""
    return sorted(agent for agent, entries in table.overlay.items() if entries) if table is not None else []


def uncommitted(table: RoutingTable | None, history: History) -> list[str]:
    """The urgent changes of the table that the agent's stages file does not say yet, a sentence each."""
    entries = table.overlay.get(history.agent, ()) if table is not None else ()
    return [
        f"an urgent change by {entry.actor} ({entry.reason}) is not committed yet: `agentctl reconcile`"
        for entry in entries
        if entry.id not in history.overlays
    ]


@dataclass(frozen=True, slots=True)
class Committed:
    """What became of an agent's urgent changes, a sentence each; `waits` is the one that waits for a merge, if any."""

    done: tuple[str, ...]
    waits: str = ""


def commit_pending(workspace: Workspace, table: RoutingTable, agent: str) -> Committed:
    """Commits the agent's urgent changes in their order, each once.

    One that is proposed instead keeps those after it waiting. Raises `Refused` when the stages file holds what does not
    resolve, or the remote refuses the push.
    """
    done: list[str] = []
    for entry in table.overlay.get(agent, ()):
        for _ in range(2):
            try:
                told, is_proposed = _commit_entry(workspace, table, agent, entry)
                break
            except Conflict as error:  # somebody else wrote it first: the second look finds that
                moved = error
        else:
            raise moved
        if is_proposed:
            return Committed(tuple(done), told)
        done += [told] if told else []
    return Committed(tuple(done))


def _commit_entry(workspace: Workspace, table: RoutingTable, agent: str, entry: OverlayEntry) -> tuple[str, bool]:
    """What was done (empty: nothing had to be), and whether it waits for a merge."""
    head = workspace.base_head()
    history = history_of(workspace, Judge(workspace, table), agent, head)
    if history.unresolved:
        raise Refused(
            str(history.unresolved[0]), now=f"`agentctl reconcile --restore {agent}` brings the trusted file back"
        )
    after = overlaid(history.spec, entry)
    if entry.id in history.overlays or after == history.spec:
        return "", False
    kind = str((entry.model_extra or {}).get("kind", "change"))
    move = Move(kind, agent, overlay=entry.id, reason=entry.reason, by=entry.actor)
    content = write_stages(agent, after)
    delivered = commit_stages(workspace, agent, history.blob, lambda _: Written(content, move, entry.reason))
    if delivered.proposal is not None:
        return f"{agent}: {kind} by {entry.actor} waits to be merged: {delivered.proposal.url}", True
    return f"{agent}: {kind} by {entry.actor} is committed as {delivered.commit[:12]}", False
