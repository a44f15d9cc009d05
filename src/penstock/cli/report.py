"""`agentctl report`: what is known of a version before its next stage."""

from pathlib import Path

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, say, show
from penstock.cli.verdict import Judged, next_stage, parse_version, written
from penstock.errors import NotFound, Unavailable
from penstock.gates.evidence import find_evidence
from penstock.registry.resolve import resolve
from penstock.release.overlaid import stages_in_force
from penstock.release.situation import released_context, require_pipeline
from penstock.release.workspace import Workspace, open_workspace
from penstock.reporting.files import FOLDER, NOTE, PAGE, reading_file
from penstock.reporting.report import DRAFT


@click.command()
@click.argument("version", metavar="AGENT@V")
@click.option("--open", "opened", is_flag=True, help="Open it in a browser.")
@json_option
def report(version: str, opened: bool, as_json: bool) -> int:
    """Writes the report of a version on the base branch: verdict first, and the evidence that an approval binds to.

    No gate runs: `agentctl check AGENT@V` runs them. Of a version that is not on the base branch, the report of its
    last check is shown: a draft.
    """
    workspace = open_workspace(project_settings())
    agent, number = parse_version(version)
    found = _released(workspace, agent, number)
    if found is None:
        place = _draft(workspace.settings.root, agent, number)
        document, text = {"agent": agent, "version": number, "draft": True, "report": str(place)}, f"report {place}"
    else:
        assert found.report is not None
        document, text, place = found.as_document(), found.as_text(), found.report
    show(document, text, as_json=as_json)
    if opened and click.launch(str(place)) != 0:
        say(f"nothing here opens it; read {place}")
    return 0


def _released(workspace: Workspace, agent: str, version: str) -> Judged | None:
    """The report of what is stored; None when the version is not on the base branch."""
    try:
        head = workspace.base_head()
    except Unavailable:
        return None
    registry = workspace.registry(head)
    if version not in registry.versions(agent):
        return None
    table = workspace.releases.newest_table()
    routes = table.agents.get(agent) if table is not None else None
    stages = registry.stages.get(agent)
    spec = stages.spec if stages is not None else None
    if table is not None and routes is not None:
        spec = stages_in_force(table, agent)
    context = released_context(workspace, registry, resolve(registry, agent, version), routes)
    view = find_evidence(context, require_pipeline(registry), next_stage(spec, version))
    source = f"commit {head[:12]} of {workspace.settings.base_branch}"
    return written(context, view, source=source, releases=workspace.releases)


def _draft(root: Path, agent: str, version: str) -> Path:
    folder = root / FOLDER / agent / version / DRAFT
    files = {place.name for place in folder.glob("*.*") if place.is_file()}
    if not files & {PAGE, NOTE}:
        raise NotFound(
            f"no report on {agent}@{version}: it is not on the base branch, and was not checked here",
            where=str(folder),
            now=f"`agentctl check {agent}@{version}`",
        )
    return folder / reading_file(files)
