"""Publish: from the head of the base branch to the routing table in force.

Per agent the newest commit of its stages file that resolves becomes its entry; an agent whose file cannot be trusted
keeps the entry that is in force, and the drift is shown. Urgent changes that are not committed yet stay on top.
"""

from dataclasses import dataclass, field

from penstock.contracts.routing_table import AgentRoutes, OverlayEntry, RoutingTable, TableSource
from penstock.errors import Conflict, Invalid, NotFound
from penstock.registry.layout import STAGES_FOLDER
from penstock.release.crash_point import step
from penstock.release.entries import agent_routes
from penstock.release.history import (
    Behind,
    History,
    Unresolved,
    require_fetched,
    unwalked_history,
    walk_history,
)
from penstock.release.judge import Judge
from penstock.release.overlaid import overlaid
from penstock.release.stages_file import stages_path
from penstock.release.workspace import Workspace
from penstock.routing.overlay import apply_overlay
from penstock.routing.publish import next_table, publish


@dataclass(slots=True)
class Published:
    """The table in force after a publish (None: nothing was ever promoted), and what kept agents out of it."""

    table: RoutingTable | None
    changed: bool = False
    unresolved: list[Unresolved] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a table is published."""

    kind: str
    actor: str
    reason: str = ""


def publish_head(workspace: Workspace, head: str, cause: Cause) -> Published:
    """Brings the stages files at `head` into force; a table that says so already stays.

    Where somebody else published a newer head meanwhile, that one is fetched and published. Raises `Conflict` when the
    table in force was made from a commit that the base branch does not descend from.
    """
    while True:
        try:
            return _publish_head(workspace, head, cause)
        except Behind:
            newest = workspace.fetch()
            if newest == head:
                raise
            head = newest


def _publish_head(workspace: Workspace, head: str, cause: Cause) -> Published:
    found = Published(None)
    before: list[int | None] = [None]

    def change(current: RoutingTable | None) -> RoutingTable | None:
        before[0] = current.generation if current is not None else None
        found.unresolved.clear()
        found.problems.clear()
        step("table read")
        return _table_at(workspace, head, current, cause, found)

    try:
        found.table = publish(workspace.releases, change)
    except NotFound:
        if workspace.releases.newest_table() is not None:
            raise
        return found
    found.changed = found.table.generation != before[0]
    step("table published")
    return found


def _table_at(
    workspace: Workspace, head: str, current: RoutingTable | None, cause: Cause, found: Published
) -> RoutingTable | None:
    _require_descent(workspace, current, head)
    judge = Judge(workspace, current)
    agents: dict[str, AgentRoutes] = {}
    overlay: dict[str, list[OverlayEntry]] = {}
    for agent in sorted({*staged_agents(workspace, head), *(current.agents if current is not None else ())}):
        routes, pending = _agent_at(workspace, judge, agent, head, found)
        if routes is not None:
            agents[agent] = routes
            overlay[agent] = pending
    if current is None and not agents:
        return None
    source = TableSource(commit=head, kind=cause.kind, actor=cause.actor, reason=cause.reason)
    return next_table(current, agents, overlay, source)


def staged_agents(workspace: Workspace, commit: str) -> list[str]:
    """The agents that have a stages file at a commit."""
    files = workspace.repository.files(commit, (STAGES_FOLDER.rstrip("/"),))
    return [
        file.path.removeprefix(STAGES_FOLDER).removesuffix(".yaml") for file in files if file.path.endswith(".yaml")
    ]


def history_of(workspace: Workspace, judge: Judge, agent: str, head: str) -> History:
    """What the stages file says at `head`, from the commit that the table in force has it at.

    Raises `Behind` when that commit is not fetched here yet.
    """
    table = judge.table
    known = table.agents.get(agent) if table is not None else None
    start = known.commit if known is not None else None
    require_fetched(workspace.repository, start)
    if table is not None and not table.overlay.get(agent) and is_unchanged(workspace, known, agent, head):
        return unwalked_history(workspace.repository, agent, start)
    return walk_history(workspace.repository, judge, agent, start, head)


def is_unchanged(workspace: Workspace, known: AgentRoutes | None, agent: str, head: str) -> bool:
    """Whether the stages file at `head` is the one that the table's entry was made from."""
    if known is None or known.commit is None:
        return False
    blobs = [workspace.repository.blob_id(commit, stages_path(agent)) for commit in (known.commit, head)]
    return blobs[0] == blobs[1]


def _agent_at(
    workspace: Workspace, judge: Judge, agent: str, head: str, found: Published
) -> tuple[AgentRoutes | None, list[OverlayEntry]]:
    """The agent's entry with what is pending on top of it; the one in force where its file cannot be published."""
    table = judge.table
    known = table.agents.get(agent) if table is not None else None
    entries = list(table.overlay.get(agent, ())) if table is not None else []
    if not entries and is_unchanged(workspace, known, agent, head):
        return known, entries
    try:
        history = history_of(workspace, judge, agent, head)
        found.unresolved += history.unresolved
        if history.commit is None or (known is not None and history.commit == known.commit and not entries):
            return known, entries
        pending = _pending(history, entries)
        base = agent_routes(workspace, agent, history.commit, history.spec)
        return apply_overlay(base, pending), pending
    except (Conflict, Invalid, NotFound) as error:
        found.problems.append(f"{agent}: {error.what}")
        return known, entries


def _pending(history: History, entries: list[OverlayEntry]) -> list[OverlayEntry]:
    """The urgent changes that the file does not say yet, neither by a trailer nor in effect."""
    pending = [entry for entry in entries if entry.id not in history.overlays]
    while pending and overlaid(history.spec, pending[0]) == history.spec:
        pending = pending[1:]
    return pending


def _require_descent(workspace: Workspace, current: RoutingTable | None, head: str) -> None:
    commit = current.source.commit if current is not None else None
    if current is None or commit is None or workspace.repository.is_ancestor(commit, head):
        return
    require_fetched(workspace.repository, commit)
    newer = workspace.repository.is_ancestor(head, commit)
    raise (Behind if newer else Conflict)(
        f"routing table {current.generation} was made from commit {commit[:12]}, "
        f"which {workspace.settings.base_branch} at {head[:12]} does not descend from",
        where=workspace.releases.url,
        now="`git fetch`; if the branch was rewritten, push the lost commits back",
    )
