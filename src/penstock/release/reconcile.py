"""Reconcile: what is in force is brought in line with the base branch, and what is not in line is shown.

It finishes what a crash left half done, commits urgent changes, publishes the newest stages that resolve, makes the
automatic moves, and looks at what executors say is in force in them. A registry that cannot be read is an error, never
an empty one: nothing is ever pruned.
"""

from dataclasses import dataclass, field
from typing import Any

from penstock.errors import NotFound, PenstockError, Unavailable
from penstock.gates.context import Progress
from penstock.release.automatic import AutomaticMove, move_automatically
from penstock.release.catalog import refresh_catalog
from penstock.release.drift import broken_versions
from penstock.release.fleet import Fleet, read_fleet
from penstock.release.history import Unresolved
from penstock.release.pending import commit_pending, pending_agents
from penstock.release.publish import Cause, Published, publish_head, staged_agents
from penstock.release.workspace import Workspace


@dataclass(slots=True)
class Reconciled:
    """What was done, what waits, and what drifts. `generation` 0 = no table yet."""

    head: str
    generation: int = 0
    changed: bool = False
    done: list[str] = field(default_factory=list)
    moves: list[AutomaticMove] = field(default_factory=list)
    unresolved: list[Unresolved] = field(default_factory=list)
    drift: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    executors: Fleet = field(default_factory=lambda: Fleet(unknown="nobody has looked yet"))

    @property
    def exit_status(self) -> int:
        """3 when the environment kept a move, 1 when something drifts, else 0."""
        if any(move.failed for move in self.moves):
            return Unavailable.exit_code
        return 1 if self.drift else 0

    def as_document(self) -> dict[str, Any]:
        """The result as a JSON object."""
        return {
            "head": self.head,
            "generation": self.generation,
            "changed": self.changed,
            "done": self.done,
            "moves": [move.as_document() for move in self.moves],
            "drift": self.drift,
            "notes": self.notes,
            "executors": self.executors.as_document(),
        }


def reconcile(
    workspace: Workspace,
    *,
    actor: str | None = None,
    moves: bool = True,
    agents: list[str] | None = None,
    progress: Progress | None = None,
) -> Reconciled:
    """Brings table and base branch together. `agents` limits the automatic moves to some; `moves` False makes none.

    Raises `Unavailable` when Git or the release store cannot be read, `Conflict` when the branch was rewritten.
    """
    found = Reconciled(workspace.fetch())
    require_own_store(workspace, found.head)
    workspace.releases.lineage(create=True)
    table = workspace.releases.newest_table()
    found.drift += broken_versions(workspace, table, found.head)
    for agent in pending_agents(table):
        assert table is not None
        try:
            committed = commit_pending(workspace, table, agent)
            found.done += committed.done
            found.notes += [committed.waits] if committed.waits else []
        except Unavailable:
            raise
        except PenstockError as error:
            found.drift.append(f"{agent}: an urgent change is not committed: {error.what}")
    who = actor or workspace.settings.bot_email
    _note(found, publish_head(workspace, workspace.base_head(), Cause("reconcile", who)))
    if moves:
        found.moves = move_automatically(workspace, agents, progress)
        if any(move.moved for move in found.moves):
            _note(found, publish_head(workspace, workspace.base_head(), Cause("reconcile", who)))
    found.head = workspace.base_head()
    found.notes += refresh_catalog(workspace, found.head)
    found.executors = read_fleet(workspace)
    found.drift += found.executors.drift
    found.notes += found.executors.notes
    return found


def require_own_store(workspace: Workspace, head: str) -> None:
    """Raises `Unavailable` where the store is empty or away and the branch was promoted on: it is another's."""
    try:
        workspace.releases.lineage()
    except (NotFound, Unavailable):
        staged = staged_agents(workspace, head)
        if staged:
            raise Unavailable(
                f"the base branch has stages files ({', '.join(staged[:5])}), and this release store is empty or away",
                where=workspace.releases.url,
                now="set PENSTOCK_RELEASES_URL to the project's store; if that is lost for good, "
                "`agentctl reconcile --restore AGENT` begins anew",
            ) from None


def _note(found: Reconciled, published: Published) -> None:
    known = {str(one) for one in found.unresolved}
    fresh = [one for one in published.unresolved if str(one) not in known]
    found.unresolved += fresh
    found.drift += [text for text in [*map(str, fresh), *published.problems] if text not in found.drift]
    found.generation = published.table.generation if published.table is not None else 0
    if published.changed:
        found.changed = True
        found.done.append(f"routing table {found.generation} is in force")
