"""Whether a commit of a stages file was allowed: its trailers must resolve against the state at its parent.

What a trailer names lies in the release store, which a push to Git cannot write. So a forged commit is never
published: neither its evidence nor its approvals, override or urgent change can be made up in Git.
"""

from datetime import datetime
from functools import partial

from penstock.contracts.routing_table import OverlayEntry, RoutingTable
from penstock.contracts.stages import StagesSpec
from penstock.errors import Invalid, NotFound, Refused, WrongUse
from penstock.registry.commit import Commit
from penstock.release.claim import Claim, why_not
from penstock.release.clock import moment_of
from penstock.release.move import Move
from penstock.release.overlaid import overlaid
from penstock.release.workspace import Workspace


class Judge:
    """Judges commits of stages files by the release store and by the registry at each commit's parent.

    `table` is the one in force: the urgent changes that may still be written down are those of its overlay.
    What the base branch does not hold yet is judged as if it came there at `landing` (None: when it was made).
    """

    def __init__(self, workspace: Workspace, table: RoutingTable | None, landing: datetime | None = None) -> None:
        self.workspace = workspace
        self.releases = workspace.releases
        self.table = table
        self._landing = landing

    def why_not(self, agent: str, commit: Commit, before: StagesSpec, after: StagesSpec) -> str | None:
        """One sentence why this commit does not resolve; None when it does. Raises `Unavailable`."""
        move = Move.of(commit, agent)
        if move is None:
            return "it has no Penstock-Action trailer for this agent"
        try:
            if move.overlay:
                return self._urgent(move, before, after)
            if move.action in {"promote", "advance"} and move.version and move.stage is not None and commit.parents:
                return self._claim(move, commit, before, after)
        except (NotFound, Invalid, Refused, WrongUse) as error:
            return error.what
        return f"its trailers do not say what allows {move.sentence!r}"

    def pending(self, agent: str, entry_id: str) -> OverlayEntry | None:
        """An urgent change that is in force and not written down yet; None if there is none of that id."""
        overlay = self.table.overlay.get(agent, ()) if self.table is not None else ()
        return next((one for one in overlay if one.id == entry_id), None)

    def _urgent(self, move: Move, before: StagesSpec, after: StagesSpec) -> str | None:
        """An urgent change is written down once: a later commit of it would bring back what was undone since."""
        entry = self.pending(move.agent, move.overlay)
        if entry is None:
            return f"overlay {move.overlay} is not in force: it never was, or it is written down already"
        if overlaid(before, entry) != after:
            return f"the file says something else than overlay {move.overlay}"
        return None

    def _claim(self, move: Move, commit: Commit, before: StagesSpec, after: StagesSpec) -> str | None:
        assert move.stage is not None
        registry = self.workspace.registry_of(commit.parents[0], move.agent)
        release = self.releases.named_release(move.agent, move.version)
        made = moment_of(commit.time)
        if registry.pipeline is None or release is None or made is None:
            return f"{move.agent}@{move.version} was not released, or there was no pipeline"
        claim = Claim(
            move,
            move.stage,
            registry,
            registry.pipeline,
            release,
            before,
            after,
            made,
            self._landed(commit, made),
            partial(self.workspace.authors, registry, move.agent, move.version),
        )
        return why_not(claim, self.releases)

    def _landed(self, commit: Commit, made: datetime) -> datetime:
        """When the base branch came to hold the commit: a proposal is made before it is merged."""
        repository, head = self.workspace.repository, self.workspace.base_head()
        if not repository.is_ancestor(commit.id, head):
            return self._landing or made
        return max(made, moment_of(repository.landed_at(commit.id, head)) or made)
