"""The context of a draft: a version as it stands in a working tree or on a branch. What is found never counts."""

from penstock.contracts.release import Release
from penstock.errors import NotFound
from penstock.gates.context import GateContext, Progress
from penstock.registry.documents import Registry
from penstock.registry.git import Repository
from penstock.registry.resolve import closure, resolve
from penstock.settings import Settings


def draft_context(
    settings: Settings,
    registry: Registry,
    agent: str,
    version: str,
    *,
    repository: Repository | None = None,
    base: str | None = None,
    progress: Progress | None = None,
) -> GateContext:
    """The context of a version in `registry`, which is loaded from the working tree.

    `base` is the base branch's tip, which the branch's changes are judged against; without one only what stands there
    is. The baseline is what the agent's stages file has in prod. Raises `NotFound`, or `Invalid` with the closure's
    faults.
    """
    resolved = resolve(registry, agent, version)
    commit, tip, authors = None, None, frozenset[str]()
    if repository is not None and base is not None:
        commit, tip = repository.head(), repository.resolve(base)
        authors = _authors(repository, base, commit, version_files(registry, agent, version))
    return GateContext(
        settings=settings,
        registry=registry,
        resolved=resolved,
        repository=repository,
        commit=commit,
        base=tip,
        authors=tuple(sorted(authors - {settings.bot_email.lower()})),
        baseline=declared_baseline(registry, agent),
        progress=progress,
    )


def version_files(registry: Registry, agent: str, version: str) -> list[str]:
    """Every file of a version's closure, code included, sorted."""
    files = []
    for part in closure(registry, registry.agent(agent, version)):
        files.append(part.path)
        if part.reference.folder == "tools":
            code = registry.code.get((part.reference.name, part.reference.version), ())
            files += [entry.path for entry in code]
    return sorted(set(files))


def declared_baseline(registry: Registry, agent: str) -> Release | None:
    """What the agent's stages file has in prod; None if nothing, or if that version is not here."""
    stages = registry.stages.get(agent)
    if stages is None or stages.spec.prod is None:
        return None
    try:
        return resolve(registry, agent, stages.spec.prod.version, allow_retired=True).release
    except NotFound:
        return None


def _authors(repository: Repository, base: str, commit: str, files: list[str]) -> frozenset[str]:
    found = (change.author_email for path in files for change in repository.commits(path, base, commit))
    return frozenset(found)
