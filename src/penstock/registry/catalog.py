"""The catalog: one row for every version of every kind, with its owner and where it stands."""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from penstock.contracts.stages import StagesSpec
from penstock.registry.documents import Loaded, Registry
from penstock.registry.git import Repository

STATUSES = ("active", "frozen", "deprecated", "disabled")


@dataclass(frozen=True, slots=True)
class CatalogRow:
    """One version. `stage` is where an agent stands, empty for pending ones and for other kinds.

    `created_at` is the time of the commit that brought the file, empty in a working tree.
    """

    kind: str
    name: str
    version: str
    owner: str
    stage: str
    status: str
    created_at: str
    description: str
    labels: dict[str, str]

    def as_document(self) -> dict[str, Any]:
        """The row as a JSON object."""
        document = asdict(self)
        document["createdAt"] = document.pop("created_at")
        return document


def catalog_rows(registry: Registry, created: Mapping[str, str] | None = None) -> list[CatalogRow]:
    """All rows, by kind, name and version; `created` is path -> time (`created_times`)."""
    times = created or {}
    deprecated, disabled = set(registry.retired.deprecated), set(registry.retired.disabled)
    rows = []
    for folder, name in sorted({(folder, name) for folder, name, _ in registry.documents}):
        for version in registry.versions(name, folder):
            loaded = registry.documents[folder, name, version]
            stage, status = "", "active"
            if folder == "agents":
                stage, status = standing(registry, loaded)
            elif str(loaded.reference) in disabled:
                status = "disabled"
            elif str(loaded.reference) in deprecated:
                status = "deprecated"
            rows.append(_row(loaded, stage, status, times.get(loaded.path, "")))
    return rows


def standing(registry: Registry, agent: Loaded) -> tuple[str, str]:
    """(stage, status) of an agent's version by its stages file."""
    stages = registry.stages.get(agent.reference.name)
    if stages is None:
        return "", "active"
    spec, version = stages.spec, agent.reference.version
    if version in spec.disabled or spec.status == "disabled":
        return _stage(spec, version), "disabled"
    if version in spec.deprecated:
        return "", "deprecated"
    return _stage(spec, version), spec.status


def created_times(repository: Repository, until: str) -> dict[str, str]:
    """Path -> time of the commit that added it, from one walk over the history."""
    times: dict[str, str] = {}
    for commit in repository.commits(None, None, until):
        for parent in commit.parents[:1]:
            for path, (before, _) in repository.changes(parent, commit.id).items():
                if before is None:
                    times[path] = commit.time
        if not commit.parents:
            times.update((file.path, commit.time) for file in repository.files(commit.id, ("registry_repo",)))
    return times


def filtered(rows: Collection[CatalogRow], filters: Mapping[str, str], labels: Mapping[str, str]) -> list[CatalogRow]:
    """The rows that have all of these fields and labels."""
    return [
        row
        for row in rows
        if all(getattr(row, name) == value for name, value in filters.items())
        and all(row.labels.get(name) == value for name, value in labels.items())
    ]


def _row(loaded: Loaded, stage: str, status: str, created_at: str) -> CatalogRow:
    head = loaded.model.metadata
    return CatalogRow(
        kind=loaded.model.kind,
        name=head.name,
        version=head.version,
        owner=head.owner,
        stage=stage,
        status=status,
        created_at=created_at,
        description=head.description,
        labels=dict(head.labels),
    )


def _stage(spec: StagesSpec, version: str) -> str:
    for stage in ("prod", "canary", "previous"):
        place = getattr(spec, stage)
        if place is not None and place.version == version:
            return stage
    return "dev" if any(place.version == version for place in spec.dev) else ""
