"""A routing table's entry of one agent: a pure function of one commit of its stages file and of what was released."""

from penstock.contracts.release import Release
from penstock.contracts.routing_table import AgentRoutes
from penstock.contracts.stages import StagesSpec
from penstock.errors import Conflict
from penstock.registry.resolve import Resolved, resolve
from penstock.release.crash_point import step
from penstock.release.workspace import Workspace


def agent_routes(workspace: Workspace, agent: str, commit: str, spec: StagesSpec) -> AgentRoutes:
    """The entry that the stages file at `commit` says; every release that it names is stored by then.

    Raises `Conflict` where a released version has changed, `Invalid` or `NotFound` where one does not resolve.
    """
    releases = {version: released(workspace, agent, version, commit) for version in standing_versions(spec)}
    document = spec.as_document()
    for key in ("prod", "previous"):
        if document[key] is not None:
            document[key]["release"] = releases[document[key]["version"]]
    for key in ("dev", "draining"):
        document[key] = [{**one, "release": releases[one["version"]]} for one in document[key]]
    if document["canary"] is not None:
        release = releases[document["canary"]["version"]]
        document["canary"] |= {"release": release, "salt": release}
    return AgentRoutes.model_validate({**document, "stickyBy": _sticky_by(workspace, spec, releases), "commit": commit})


def standing_versions(spec: StagesSpec) -> list[str]:
    """The versions that a table names with their releases."""
    single = [one for one in (spec.prod, spec.canary, spec.previous) if one is not None]
    return list(dict.fromkeys(one.version for one in [*single, *spec.dev, *spec.draining]))


def released(workspace: Workspace, agent: str, version: str, commit: str) -> str:
    """The digest that the version was released as; one that has none yet is resolved at `commit` and stored."""
    bound = workspace.releases.named_release(agent, version)
    if bound is not None:
        return bound
    resolved = resolve(workspace.registry_of(commit, agent), agent, version, allow_retired=True)
    return store_release(workspace, resolved)


def store_release(workspace: Workspace, resolved: Resolved) -> str:
    """Puts a release of the base branch into the store, blobs first, and binds its version to it for good.

    Raises `Conflict` when the version is bound to another digest: a released version was changed.
    """
    release = resolved.release
    bound = workspace.releases.named_release(release.name, release.version)
    if bound not in {None, release.digest}:
        raise Conflict(
            f"{release.name}@{release.version} was released as {bound}, and main now makes {release.digest} of it",
            where=workspace.releases.url,
            now="a released version never changes: revert the change on main and give it a new version",
        )
    workspace.releases.put_release(release, resolved.blobs)
    step("release stored")
    workspace.releases.name_release(release.name, release.version, release.digest)
    step("release named")
    return release.digest


def release_of(workspace: Workspace, digest: str | None) -> Release | None:
    """The release of that digest; None for None."""
    return workspace.releases.get_release(digest) if digest is not None else None


def _sticky_by(workspace: Workspace, spec: StagesSpec, releases: dict[str, str]) -> str:
    leading = [one for one in (spec.prod, spec.canary, *reversed(spec.dev)) if one is not None]
    if not leading:
        return "session"
    release = workspace.releases.get_release(releases[leading[0].version])
    return release.agent.spec.routing.sticky_by
