"""`agentctl validate`: every fault of the project at once."""

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, say, show
from penstock.errors import Fault, Invalid
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.registry.change import Change
    from penstock.registry.documents import Registry
    from penstock.registry.git import Repository
    from penstock.registry.source import TreeSource


@click.command()
@click.option("--base", metavar="REV", help="Judge the change since REV too: immutability, ownership, impact.")
@json_option
def validate(base: str | None, as_json: bool) -> int:
    """Check the working tree: specs, references, suites, secrets. Every fault at once, as file:line:column."""
    from penstock.registry.load import load_registry
    from penstock.registry.source import TreeSource

    settings = project_settings()
    source = TreeSource(settings.root)
    if base is None:
        registry = load_registry(source, default_runtime=settings.default_runtime)
        faults = {*registry.faults, *_gates(registry), *_secrets(source, None)}
        return _end(registry, sorted(faults), {}, as_json=as_json)
    return _validate_change(settings, source, base, as_json=as_json)


def _validate_change(settings: Settings, source: "TreeSource", base: str, *, as_json: bool) -> int:
    """Reads what the change touches, or everything where that is not enough to judge it."""
    from penstock.registry.change import change_against
    from penstock.registry.git import Repository
    from penstock.registry.impact import impact, impact_paths
    from penstock.registry.load import load_registry
    from penstock.registry.tool_compatibility import compatibility_faults

    repository = Repository.open(settings.root, settings.registry_url)
    change = change_against(repository, source, base)
    reading = change.reading()
    if reading is not None:
        reading = {*reading, *impact_paths(source, change.added)}
    registry = load_registry(source, only=reading, default_runtime=settings.default_runtime)
    faults = {*registry.faults, *_gates(registry), *_secrets(source, change.files)}
    touched = impact(registry, change.added, change.files)
    faults |= {*change_faults(settings, repository, registry, change), *compatibility_faults(registry, touched.tools)}
    return _end(registry, sorted(faults), {"impact": touched.as_document()}, as_json=as_json)


def change_faults(settings: Settings, repository: "Repository", registry: "Registry", change: "Change") -> list[Fault]:
    """What is wrong with a change as a change: released versions, owners, stages, pins that are disabled."""
    from penstock.governance.ownership import ownership_faults
    from penstock.registry.immutability import immutability_faults
    from penstock.registry.resolve import disabled_faults

    faults = immutability_faults(repository, change)
    faults += ownership_faults(repository, registry.source, change, settings.bot_email)
    faults += _stages_faults(settings, repository, change)
    added = set(change.added)
    for agent in registry.of("agents"):
        if agent.path in added:
            faults += disabled_faults(registry, agent)
    return faults


def _stages_faults(settings: Settings, repository: "Repository", change: "Change") -> list[Fault]:
    """Edits of stages files: a person's are refused, the bot's are judged by their trailers, for anyone can be `bot`.

    Opens the release store only if a stages file differs.
    """
    from penstock.governance.ownership import stage_edit_faults
    from penstock.registry.layout import STAGES_FOLDER

    by_hand = stage_edit_faults(repository, change, settings.bot_email)
    if by_hand or not any(path.startswith(STAGES_FOLDER) for path in change.files):
        return by_hand
    from penstock.release.stage_edits import stages_edit_faults
    from penstock.release.workspace import open_workspace

    return stages_edit_faults(open_workspace(settings), change.base, change.head)


def _gates(registry: "Registry") -> list[Fault]:
    from penstock.gates.faults import gate_faults

    return gate_faults(registry)


def _secrets(source: "TreeSource", paths: Collection[str] | None) -> list[Fault]:
    from penstock.governance.secrets_scan import secret_faults

    return secret_faults(source, paths)


def _end(registry: "Registry", faults: list[Fault], more: dict[str, Any], *, as_json: bool) -> int:
    """Shows everything; the answer is no when there is a fault."""
    warnings = [] if faults else registry.warnings
    for warning in warnings:
        say(f"warning: {warning}")
    documents = len(registry.documents)
    if faults and not as_json:
        count = len(faults)
        raise Invalid(f"{count} fault{'s' if count > 1 else ''}", now="mend them and validate again", faults=faults)
    document = {
        "valid": not faults,
        "documents": documents,
        "faults": [fault.as_dict() for fault in faults],
        "warnings": [warning.as_dict() for warning in registry.warnings],
        **more,
    }
    text = f"{documents} documents are valid"
    show(document, "\n".join([text, *_impact_lines(more)]), as_json=as_json)
    return 1 if faults else 0


def _impact_lines(more: dict[str, Any]) -> list[str]:
    if "impact" not in more:
        return []
    from penstock.cli.impact import impact_lines

    return impact_lines(more["impact"])
