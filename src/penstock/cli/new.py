"""`agentctl new agent | tool | version`: files that pass `check` as they are laid down."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from penstock.cli.context import project_settings
from penstock.cli.output import json_option, say, show
from penstock.errors import PenstockError, Refused
from penstock.settings import Settings

if TYPE_CHECKING:
    from penstock.registry.documents import Registry
    from penstock.scaffold.template import Laid

FIRST = "1.0.0"


@click.group()
def new() -> None:
    """Lays down a new agent, a new tool, or a new version of something."""


@new.command()
@click.argument("name")
@click.option("--owner", metavar="TEAM", help="The team that owns it; default: the one that you are in.")
@json_option
def agent(name: str, owner: str | None, as_json: bool) -> int:
    """Lays down an agent with prompt, tool, contract suite, dataset and eval suite, and records its suite."""
    from penstock.scaffold.document import agent_files

    settings = project_settings()
    registry = _tree(settings)
    files = agent_files(registry, name, _owner(settings, registry, owner))
    created = _lay_down(settings, files)
    recorded = _record(settings, name, FIRST)
    _tell(created, recorded, f"next: `agentctl check {name}@{FIRST}`, then commit", as_json=as_json)
    return 0


@new.command()
@click.argument("name")
@click.option("--owner", metavar="TEAM", help="The team that owns it; default: the one that you are in.")
@json_option
def tool(name: str, owner: str | None, as_json: bool) -> int:
    """Lays down a python tool with its code and a test; an agent calls it once it pins it in toolRefs."""
    from penstock.scaffold.document import tool_files

    settings = project_settings()
    registry = _tree(settings)
    created = _lay_down(settings, tool_files(name, _owner(settings, registry, owner)))
    _tell(created, [], f"next: pin tools/{name}@{FIRST} in an agent's toolRefs", as_json=as_json)
    return 0


@new.command()
@click.argument("reference", metavar="REF")
@click.argument("number", metavar="VERSION")
@click.option(
    "--bump", "bumps", multiple=True, metavar="REF", help="Move the pin of this document here; again for more."
)
@json_option
def version(reference: str, number: str, bumps: tuple[str, ...], as_json: bool) -> int:
    """Copies a version (AGENT@V, or tools/NAME@V and the like) as VERSION, a tool's code included.

    Comments and layout stay. An agent's contract suite is recorded for the new version.
    """
    from penstock.contracts.reference import Reference
    from penstock.scaffold.version import version_files

    settings = project_settings()
    registry = _tree(settings)
    old = Reference.parse(reference, "agents")
    files = version_files(registry, old, number, [Reference.parse(bump) for bump in bumps])
    _require_not_released(settings, files)
    created = _lay_down(settings, files)
    recorded = []
    if old.folder == "agents" and old.name in registry.suites:
        recorded = _record(settings, old.name, number)
    _tell(created, recorded, f"next: edit {created[0]}", as_json=as_json)
    return 0


def _tree(settings: Settings) -> "Registry":
    """The working tree's registry. Faults elsewhere in it are no reason to refuse: `validate` shows them."""
    from penstock.registry.load import load_registry
    from penstock.registry.source import TreeSource

    return load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)


def _owner(settings: Settings, registry: "Registry", wanted: str | None) -> str:
    from penstock.registry.git import Repository
    from penstock.scaffold.ownership import choose_owner

    try:
        _, mail = Repository.open(settings.root).identity()
    except PenstockError:
        mail = ""  # nobody: then the team must be named, or be the only one
    return choose_owner(registry, wanted, mail)


def _require_not_released(settings: Settings, files: "Mapping[str, Laid]") -> None:
    """Raises `Refused` for a version that is on the base branch, though not here; without Git there is none."""
    from penstock.registry.git import Repository

    try:
        repository = Repository.open(settings.root)
        head = repository.base_head(settings.base_branch)
    except PenstockError:
        return
    released = [path for path in files if repository.blob_id(head, path) is not None]
    if released:
        raise Refused(
            f"{released[0]} is on {settings.base_branch} already, and a released version never changes",
            where=head[:12],
            now="choose a higher version",
        )


def _lay_down(settings: Settings, files: "Mapping[str, Laid]") -> list[str]:
    from penstock.scaffold.layout import lay_down

    return lay_down(settings.root, files)


def _record(settings: Settings, name: str, number: str) -> list[str]:
    """Records the suite; what was laid down stays when that fails, and the error says so."""
    from penstock.gates.record_version import record_version

    say(f"recording the contract suite of {name}@{number} ...")
    try:
        return asyncio.run(record_version(settings, name, number))
    except PenstockError as error:
        error.now = f"the files are laid down; mend this, then `agentctl record {name}@{number}`"
        raise


def _tell(created: list[str], recorded: list[str], following: str, *, as_json: bool) -> None:
    lines = [*(f"created  {path}" for path in created), *(f"recorded {path}" for path in recorded), following]
    show({"created": created, "recorded": recorded}, "\n".join(lines), as_json=as_json)
