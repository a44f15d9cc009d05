"""`agentctl impact`: what a change touches."""

from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, show

_LONGEST = 60


@click.command()
@click.option("--base", metavar="REV", required=True, help="The revision that the change is seen from.")
@json_option
def impact(base: str, as_json: bool) -> int:
    """Show new agent versions, agents that lag behind or would break, and agents whose evidence the change voids."""
    from penstock.registry.change import change_against
    from penstock.registry.git import Repository
    from penstock.registry.impact import impact as impact_of
    from penstock.registry.load import load_registry
    from penstock.registry.source import TreeSource

    settings = project_settings()
    source = TreeSource(settings.root)
    change = change_against(Repository.open(settings.root, settings.registry_url), source, base)
    registry = load_registry(source, default_runtime=settings.default_runtime)
    document = impact_of(registry, change.added, change.files).as_document()
    document["base"] = change.base
    show(document, "\n".join(impact_lines(document)) or "no agent is touched", as_json=as_json)
    return 0


def impact_lines(document: dict[str, Any]) -> list[str]:
    """An impact as text."""
    from penstock.registry.tool_compatibility import change_lines

    lines = []
    for new in document["new"]:
        against = f"against {new['previous']}" if new["previous"] else "the first version"
        lines.append(f"new      {new['agent']}@{new['version']}, {against}")
        for difference in new["differences"]:
            before, after = _short(difference["before"]), _short(difference["after"])
            lines.append(f"           {difference['document']} {difference['pointer']}: {before} -> {after}")
    for lagging in document["lagging"]:
        lines.append(f"lagging  {lagging['agent']}@{lagging['version']} pins {lagging['pins']}, now {lagging['added']}")
    for void in document["void"]:
        lines.append(f"void     {void['agent']}@{void['version']}: evidence rests on {void['because']}")
    for tool in document["tools"]:
        lines += change_lines(tool)
    return lines


def _short(value: Any) -> str:
    text = "nothing" if value is None else " ".join(str(value).split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
