"""End of life of prompts, tools, policies and models: a commit of retired.yaml, the live agents shown first."""

from dataclasses import dataclass
from typing import Literal

from penstock.contracts.reference import Reference
from penstock.contracts.routing_table import AgentRoutes
from penstock.contracts.team import Retired
from penstock.errors import Refused
from penstock.registry.layout import RETIRED, TEAMS
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource
from penstock.release.committing import commit_file
from penstock.release.move import Move
from penstock.release.people import people_of
from penstock.release.urgent import clean_reason
from penstock.release.workspace import Workspace

Kind = Literal["deprecate", "disable"]


@dataclass(frozen=True, slots=True)
class Pin:
    """An agent's version that stands somewhere and pins what is to be retired."""

    agent: str
    version: str
    stage: str

    def __str__(self) -> str:
        return f"{self.agent}@{self.version} ({self.stage})"


def live_pins(workspace: Workspace, reference: Reference) -> list[Pin]:
    """The versions in the table in force whose releases hold the reference; they go on, but no new one resolves."""
    table = workspace.releases.newest_table()
    agents = table.agents if table is not None else {}
    return [
        Pin(agent, version, stage)
        for agent, routes in agents.items()
        for stage, version, release in _entries(routes)
        if str(reference) in _parts(workspace, release)
    ]


def retire(workspace: Workspace, kind: Kind, reference: Reference, reason: str, *, confirmed: bool) -> str:
    """Writes the reference into retired.yaml on the base branch; returns the commit's id.

    Raises `Refused` when live agents pin it and nobody `confirmed`, or without the right; `NotFound`, `Conflict`.
    """
    text = clean_reason(reason)
    head = workspace.fetch()
    path = f"registry_repo/{reference.folder}/{reference.name}/{reference.version}"
    file = f"{path}.md" if reference.folder == "prompts" else f"{path}.yaml"
    registry = load_registry(GitSource(workspace.repository, head), only={file, TEAMS, RETIRED})
    people_of(registry.teams, registry.get(reference).owner).require_mover(workspace.actor, kind)
    retired = retired_with(registry.retired, kind, str(reference))
    pins = live_pins(workspace, reference)
    if pins and not confirmed:
        raise Refused(
            f"{reference} is pinned by live agents: {', '.join(map(str, pins))}",
            now="they go on, but resolve in no new release; --yes does it" if kind == "disable" else "--yes does it",
        )
    move = Move(kind, str(reference), reason=text, by=workspace.actor)
    content = write_retired(retired)
    blob = workspace.repository.blob_id(head, RETIRED)
    return commit_file(
        workspace, RETIRED, blob, lambda _: (content, move.message(), None), (workspace.person.name, workspace.actor)
    )


def retired_with(retired: Retired, kind: Kind, reference: str) -> Retired:
    """The lists with one more reference; what is disabled is no longer merely deprecated. Raises `Refused`."""
    if reference in retired.disabled or (kind == "deprecate" and reference in retired.deprecated):
        state = "disabled" if reference in retired.disabled else "deprecated"
        raise Refused(f"{reference} is {state} already")
    deprecated = [one for one in retired.deprecated if one != reference]
    disabled = list(retired.disabled)
    (disabled if kind == "disable" else deprecated).append(reference)
    return Retired.model_validate({"deprecated": sorted(deprecated), "disabled": sorted(disabled)})


def write_retired(retired: Retired) -> bytes:
    """The file's bytes, the same for the same lists."""
    lines = []
    for field, references in retired.as_document().items():
        lines.append(f"{field}:" if references else f"{field}: []")
        lines += [f"  - {reference}" for reference in references]
    return ("\n".join(lines) + "\n").encode()


def _entries(routes: AgentRoutes) -> list[tuple[str, str, str]]:
    single = (("prod", routes.prod), ("canary", routes.canary), ("previous", routes.previous))
    found = [(stage, entry.version, entry.release) for stage, entry in single if entry is not None]
    found += [("dev", entry.version, entry.release) for entry in routes.dev]
    return found + [("draining", entry.version, entry.release) for entry in routes.draining]


def _parts(workspace: Workspace, release: str) -> set[str]:
    found = workspace.releases.get_release(release)
    return {found.prompt.ref, *(part.ref for part in [*found.all_tools, *found.policies, *found.models])}
