"""What does not agree: released versions that were changed on the base branch since the table in force was made."""

from penstock.contracts.routing_table import RoutingTable
from penstock.registry.immutability import history_faults
from penstock.release.workspace import Workspace


def broken_paths(workspace: Workspace, table: RoutingTable | None, head: str) -> dict[str, str]:
    """Path -> one sentence, for each file of a released version that a commit changed and none has brought back.

    Looks at every commit from the one that the table in force was made from up to `head`; raises `Unavailable` where
    a shallow clone cannot tell.
    """
    since = table.source.commit if table is not None else None
    if since is None or not workspace.repository.is_ancestor(since, head):
        return {}
    found: dict[str, str] = {}
    seen: set[str] = set()
    # Oldest first: what stood before the first change of a file is what was released.
    for commit, faults in reversed(history_faults(workspace.repository, since, head).items()):
        for fault in (one for one in faults if one.path not in seen):
            seen.add(fault.path)
            if not _is_back(workspace, commit, fault.path, head):
                found[fault.path] = f"{fault.path} {fault.what} on the base branch by commit {commit[:12]}: revert it"
    return found


def broken_versions(workspace: Workspace, table: RoutingTable | None, head: str) -> list[str]:
    """The sentences of `broken_paths`, sorted."""
    return sorted(broken_paths(workspace, table, head).values())


def _is_back(workspace: Workspace, commit: str, path: str, head: str) -> bool:
    """Whether the file is again what it was before that commit."""
    parent = workspace.repository.commit(commit).parents[0]
    return workspace.repository.file_at(parent, path) == workspace.repository.file_at(head, path)
