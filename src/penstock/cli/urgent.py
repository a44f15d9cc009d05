"""How commands that change routing at once answer: what is in force, what Git still lacks, and who is told."""

from typing import Any

from penstock.cli.notify import tell_changes
from penstock.cli.output import show
from penstock.cli.subject import standing_line
from penstock.release.urgent import Urgent
from penstock.release.workspace import Workspace


def show_urgent(workspace: Workspace, done: Urgent, *, as_json: bool) -> int:
    """Shows an urgent change that is in force, then tells the project's endpoint; returns the exit status."""
    show(urgent_document(done), urgent_text(done), as_json=as_json)
    tell_changes(workspace)
    return 0


def urgent_document(done: Urgent) -> dict[str, Any]:
    """An urgent change as a JSON object."""
    return {
        "kind": done.kind,
        "agents": list(done.agents),
        "generation": done.table.generation,
        "committed": not done.pending,
        "pending": done.pending,
        "stages": {agent: standing_line(done.table.agents[agent]) for agent in done.agents},
    }


def urgent_text(done: Urgent) -> str:
    """An urgent change for people."""
    lines = [f"{done.kind}: routing table {done.table.generation} is in force"]
    lines += [f"  {agent}: {standing_line(done.table.agents[agent])}" for agent in done.agents]
    if done.pending:
        lines.append(f"  not committed yet: {done.pending}")
        lines.append("  nothing is lost: the table carries the change, and `agentctl reconcile` commits it")
    return "\n".join(lines)
