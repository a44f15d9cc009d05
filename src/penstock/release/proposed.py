"""A proposal before its merge: whether the base branch may take it, by the rules that decide what is published."""

from penstock.errors import NotFound
from penstock.release.clock import now
from penstock.release.judge import Judge
from penstock.release.publish import history_of
from penstock.release.stages_file import stages_path
from penstock.release.workspace import Workspace


def why_outdated(workspace: Workspace, agent: str, commit: str) -> str | None:
    """One sentence why the proposal's commit can never be merged as it is; None if it is one move on what stands."""
    repository, path = workspace.repository, stages_path(agent)
    try:
        parents = repository.commit(commit).parents
    except NotFound:
        return f"commit {commit[:12]} is not here: it was replaced, or is not fetched yet"
    if not repository.changes_alone(commit, path):
        return f"it is not one commit that changes {path} alone"
    head = workspace.base_head()
    if not repository.is_ancestor(parents[0], head):
        return "it brings other commits beside its own"
    if repository.blob_id(head, path) != repository.blob_id(parents[0], path):
        return f"{path} moved on {workspace.settings.base_branch} since it was made"
    return None


def why_not_merge(workspace: Workspace, agent: str, commit: str) -> str | None:
    """One sentence why the proposal's commit may not be merged now; None when it may.

    The base branch is taken as last fetched. Raises `Unavailable` where that cannot be told.
    """
    outdated = why_outdated(workspace, agent, commit)
    if outdated is not None:
        return outdated
    judge = Judge(workspace, workspace.releases.newest_table(), landing=now())
    unresolved = history_of(workspace, judge, agent, commit).unresolved
    return unresolved[0].why if unresolved else None
