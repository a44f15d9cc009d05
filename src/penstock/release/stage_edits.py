"""Edits of stages files on a branch: refused unless their commits resolve as promotions do."""

from penstock.errors import Fault, Unavailable
from penstock.registry.layout import STAGES_FOLDER
from penstock.release.judge import Judge
from penstock.release.publish import history_of, staged_agents
from penstock.release.stages_file import stages_path
from penstock.release.workspace import Workspace

NOW = "`agentctl promote`, `rollback` and the like write these files; take the edit out of the branch"


def stages_edit_faults(workspace: Workspace, base: str, head: str) -> list[Fault]:
    """A fault for each stages file that commits after `base` up to `head` changed without being allowed to.

    Reads the release store only if a stages file was touched; what cannot be judged, because the store is away, is
    refused as well. Uncommitted changes are not looked at.
    """
    repository = workspace.repository
    touched = {commit.id for commit in repository.commits(STAGES_FOLDER.rstrip("/"), base, head)}
    if not touched:
        return []
    agents = sorted({*staged_agents(workspace, base), *staged_agents(workspace, head)})
    try:
        judge = Judge(workspace, workspace.releases.newest_table())
        found = [one for agent in agents for one in history_of(workspace, judge, agent, head).unresolved]
    except Unavailable as error:
        what = f"stages files were changed, and the release store that could allow it is away: {error.what}"
        return [Fault(STAGES_FOLDER, 0, 0, "", what, NOW)]
    return [
        Fault(stages_path(one.agent), 0, 0, "", f"commit {one.commit[:12]} ({one.author}): {one.why}", NOW)
        for one in found
        if one.commit in touched or one.commit == head
    ]
