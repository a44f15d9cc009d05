"""`agentctl reconcile`: brings table and base branch together, and shows what drifts."""

import click

from penstock.cli.notify import tell_changes
from penstock.cli.output import json_option, show
from penstock.cli.subject import workspace_here
from penstock.cli.verdict import Terminal
from penstock.errors import WrongUse
from penstock.release.drift import broken_versions
from penstock.release.fleet import read_fleet
from penstock.release.reconcile import Reconciled
from penstock.release.reconcile import reconcile as bring_together
from penstock.release.restore import restore as restore_file
from penstock.release.status import agent_statuses
from penstock.release.workspace import Workspace


@click.command()
@click.option("--dry", is_flag=True, help="Show only: write nothing, run nothing.")
@click.option("--restore", metavar="AGENT", help="Bring AGENT's last trusted stages file back over an edit first.")
@json_option
def reconcile(dry: bool, restore: str | None, as_json: bool) -> int:
    """Commits urgent changes, publishes the newest stages that resolve, makes the automatic moves, lists the drift.

    Under driver = dagster the automatic moves are left to the driver. Exit status 1: something drifts.
    """
    if dry and restore is not None:
        raise WrongUse("--dry writes nothing, --restore does", now="give one of them")
    workspace = workspace_here()
    if dry:
        return _show_drift(workspace, as_json=as_json)
    restored = restore_file(workspace, restore) if restore is not None else None
    done = bring_together(workspace, moves=workspace.settings.driver == "ci", progress=Terminal("reconcile"))
    if restored is not None:
        done.done.insert(0, f"{restore}: the trusted stages file is back, commit {restored[:12]}")
    show(done.as_document(), _text(done), as_json=as_json)
    tell_changes(workspace)
    return done.exit_status


def _text(done: Reconciled) -> str:
    lines = [
        f"head {done.head[:12]}, routing table {done.generation or 'none yet'}",
        *(f"  {one}" for one in done.done),
    ]
    for move in done.moves:
        what = f"{move.agent}@{move.version} to {move.stage}"
        lines.append(f"  moved {what}" if move.moved else f"  not moved {what}: {move.why}")
    lines += [f"  drift: {one}" for one in done.drift]
    lines += [f"  note: {one}" for one in done.notes]
    return "\n".join(lines)


def _show_drift(workspace: Workspace, *, as_json: bool) -> int:
    head = workspace.fetch()
    table = workspace.releases.newest_table()
    statuses = agent_statuses(workspace, None, steps=False)
    drift = broken_versions(workspace, table, head)
    drift += [f"{one.agent}: {text}" for one in statuses for text in one.drift]
    fleet = read_fleet(workspace)
    drift += fleet.drift
    uncommitted = [f"{one.agent}: {text}" for one in statuses for text in one.uncommitted]
    pending = [f"{one.agent}@{version}" for one in statuses for version in one.pending]
    generation = table.generation if table is not None else 0
    document = {
        "head": head,
        "generation": generation,
        "dry": True,
        "drift": drift,
        "uncommitted": uncommitted,
        "pending": pending,
        "notes": fleet.notes,
        "executors": fleet.as_document(),
    }
    lines = [f"head {head[:12]}, routing table {generation or 'none yet'}"]
    lines += [f"  drift: {one}" for one in drift]
    lines += [f"  not committed yet: {one}" for one in uncommitted]
    lines += [f"  pending: {one} stands nowhere" for one in pending]
    lines += [f"  note: {one}" for one in fleet.notes]
    show(document, "\n".join(lines), as_json=as_json)
    return 1 if drift or uncommitted else 0
