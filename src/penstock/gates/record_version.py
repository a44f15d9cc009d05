"""Records a version of the working tree with the project's own engine."""

from collections.abc import Collection

from penstock.engine.assembly import assemble
from penstock.engine.runtimes import own_runtime
from penstock.engine.sink import NoSink
from penstock.errors import NotFound
from penstock.gates.recording import cases_to_record, record_cases, write_recordings
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import TreeSource
from penstock.settings import Settings


async def record_version(settings: Settings, agent: str, version: str, cases: Collection[str] = ()) -> list[str]:
    """Records the suite's cases (or these) of a version in the working tree; returns the paths that changed.

    Either all are written or none is. Raises `NotFound`, `Invalid` for faults, `Refused` for cases that could not be
    recorded, `Unavailable` when a runtime or a tool's requirement is missing.
    """
    registry = load_registry(TreeSource(settings.root), default_runtime=settings.default_runtime)
    resolved = resolve(registry, agent, version)
    wanted = cases_to_record(registry, agent, cases)
    runtime = own_runtime(resolved.release, settings.default_runtime)

    def blob(digest: str) -> bytes:
        if digest not in resolved.blobs:
            raise NotFound(f"no blob {digest} in the release", where=f"{agent}@{version}", now="record again")
        return resolved.blobs[digest]

    parts = assemble(settings, registry.runtimes, blob, sink=NoSink())
    try:
        files = await record_cases(parts.engine, resolved, wanted, runtime)
    finally:
        await parts.close()
    return write_recordings(settings.root, files)
