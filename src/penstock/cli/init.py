"""`agentctl init DIR`: a new project with one working agent."""

from pathlib import Path
from typing import Any

import click

from penstock.cli.output import json_option, show


@click.command()
@click.argument("folder", metavar="DIR")
@json_option
def init(folder: str, as_json: bool) -> int:
    """Lays down a project with one working agent in DIR, and commits it (a new repository starts on main).

    A folder that holds any of the files is refused, and nothing is written.
    """
    from penstock.scaffold.project import lay_down_project

    project = lay_down_project(Path(folder))
    document: dict[str, Any] = {
        "root": str(project.root.resolve()),
        "created": project.files,
        "branch": project.branch or None,
        "commit": project.commit or None,
        "notCommitted": project.reason or None,
    }
    text = f"{len(project.files)} files in {folder}" + (
        f", committed as {project.commit[:12]} on {project.branch}"
        if project.commit
        else f"\nnot committed: {project.reason}"
    )
    next_steps = f"next: cd {folder}, `agentctl doctor`, `agentctl check`, `agentctl new agent NAME`"
    show(document, f"{text}\n{next_steps}", as_json=as_json)
    return 0
