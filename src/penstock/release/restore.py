"""Restore: brings the last trusted stages file back over an edit that does not resolve, without hand-editing."""

from penstock.errors import Refused
from penstock.release.committing import Written, commit_stages
from penstock.release.judge import Judge
from penstock.release.move import Move
from penstock.release.publish import history_of
from penstock.release.stages_file import stages_path
from penstock.release.urgent import agent_people
from penstock.release.workspace import Workspace


def restore(workspace: Workspace, agent: str) -> str:
    """Commits the bytes of the newest commit that resolves (no file, if none does); returns the new commit's id.

    Where the project moves by merge requests the commit waits to be merged.

    Raises `Refused` when nothing is to be restored, or without the right.
    """
    head = workspace.fetch()
    agent_people(workspace, agent).require_mover(workspace.actor, "restore")
    workspace.releases.lineage(create=True)
    history = history_of(workspace, Judge(workspace, workspace.releases.newest_table()), agent, head)
    if not history.unresolved:
        raise Refused(f"the stages file of {agent} resolves: there is nothing to restore")
    edit = history.unresolved[-1].commit
    path = stages_path(agent)
    blob = workspace.repository.blob_id(head, path)
    content = workspace.repository.read(history.commit, path) if history.commit is not None else None
    move = Move("restore", agent, reason=f"commit {edit[:12]} does not resolve", by=workspace.actor)
    return commit_stages(workspace, agent, blob, lambda _: Written(content, move)).commit
