"""`agentctl list` and `agentctl show`: the catalog, and one resolved release."""

from typing import Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, say
from penstock.cli.output import show as show_result
from penstock.errors import NotFound, WrongUse

_COLUMNS = ("kind", "name", "version", "owner", "stage", "status", "createdAt")
_FILTERS = {
    "kind": ("Agent", "Prompt", "Tool", "Policy", "Model"),
    "stage": ("dev", "canary", "prod", "previous"),
    "status": ("active", "frozen", "deprecated", "disabled"),
}


@click.command("list")
@click.option("--kind", help="Agent, Prompt, Tool, Policy or Model.")
@click.option("--owner", help="The owning team.")
@click.option("--stage", help="dev, canary, prod or previous; an agent's alone.")
@click.option("--status", help="active, frozen, deprecated or disabled.")
@click.option("--label", "labels", metavar="NAME=VALUE", multiple=True, help="A label; may be given again.")
@click.option("--rev", metavar="REV", help="A revision instead of the working tree.")
@json_option
def list_command(labels: tuple[str, ...], rev: str | None, as_json: bool, **filters: str | None) -> int:
    """List every version of every kind, with its owner and where it stands."""
    from penstock.registry.catalog import catalog_rows, created_times, filtered
    from penstock.registry.load import load_registry

    source, repository = _source(rev)
    registry = load_registry(source)
    created = created_times(repository, source.commit) if repository is not None and source.commit else None
    wanted = {name: value for name, value in filters.items() if value is not None}
    if "kind" in wanted:
        wanted["kind"] = wanted["kind"].capitalize()
    for name, known in _FILTERS.items():
        if wanted.get(name, known[0]) not in known:
            raise WrongUse(f"no such {name}: {filters[name]!r}", where=f"--{name}", now=f"one of {', '.join(known)}")
    rows = filtered(catalog_rows(registry, created), wanted, _labels(labels))
    documents = [row.as_document() for row in rows]
    if registry.faults:
        say(f"warning: {len(registry.faults)} faults in {source.label}; files with faults may be missing here")
    show_result({"rows": documents}, _table(documents), as_json=as_json)
    return 0


list = list_command  # noqa: A001  a command's function bears the command's name


@click.command("show")
@click.argument("agent", metavar="AGENT[@V]")
@click.option("--rev", metavar="REV", help="A revision instead of the working tree.")
@json_option
def show_command(agent: str, rev: str | None, as_json: bool) -> int:
    """Show the resolved release of an agent's version (default: the highest): digest, closure, code."""
    from penstock.registry.load import load_registry
    from penstock.registry.resolve import resolve

    name, _, version = agent.removeprefix("agents/").partition("@")
    source, _ = _source(rev)
    registry = load_registry(source)
    versions = registry.versions(name)
    if not versions and not version:
        raise NotFound(
            f"no agent {name!r}", where=source.label, now=f"agents: {', '.join(registry.agents()) or 'none'}"
        )
    release = resolve(registry, name, version or versions[-1], allow_retired=True).release
    document = {"digest": release.digest, "release": release.as_document()}
    show_result(document, "\n".join(_release_lines(document)), as_json=as_json)
    return 0


show = show_command


def _source(rev: str | None) -> tuple[Any, Any]:
    """The source, and the repository of a revision."""
    from penstock.registry.git import Repository
    from penstock.registry.source import GitSource, TreeSource

    settings = project_settings()
    if rev is None:
        return TreeSource(settings.root), None
    repository = Repository.open(settings.root, settings.registry_url)
    return GitSource(repository, rev), repository


def _labels(texts: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    if not all(middle for _, middle, _ in pairs):
        raise WrongUse("a label is NAME=VALUE", now="such as --label domain=qa")
    return {name: value for name, _, value in pairs}


def _table(rows: Any) -> str:
    if not rows:
        return "nothing matches"
    widths = [max(len(column), *(len(row[column]) for row in rows)) for column in _COLUMNS]
    lines = [_COLUMNS, *(tuple(row[column] for column in _COLUMNS) for row in rows)]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def _release_lines(document: dict[str, Any]) -> Any:
    release = document["release"]
    yield f"release  {document['digest']}"
    yield f"engine   {release['minEngine']} or later"
    parts = [release["agent"], release["prompt"], *release["models"], *release["policies"], *release["tools"]]
    for part in parts:
        yield f"  {part['digest'][:19]}  {part['ref']}  ({part['document']['metadata']['owner']})"
        for file in part.get("files", []):
            yield f"    {file['digest'][:19]}  {file['path']}"
