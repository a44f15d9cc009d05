"""The runtimes that a release may use, and their versions: what a replay depends on besides the recordings."""

from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any

from penstock.contracts.release import Release
from penstock.engine.router import RUNTIMES, installed_version, missing_capabilities
from penstock.registry.documents import Registry


def usable_runtimes(registry: Registry, release: Release) -> dict[str, dict[str, Any]]:
    """Runtime -> its declaration's digest, its version and its adapter's, for each declared one that is capable.

    A version of None = not installed here. Imports no runtime.
    """
    return {
        name: {
            "declaration": registry.file_digest(f"runtimes/{name}.yaml"),
            "runtime": installed_version(declaration.spec.runtime),
            "adapter": _adapter_version(declaration.spec.adapter),
        }
        for name, declaration in sorted(registry.runtimes.items())
        if not missing_capabilities(release.agent.spec, declaration)
    }


def own_runtime(release: Release, default_runtime: str) -> str:
    """The runtime that the agent names, else the project's default."""
    return release.agent.spec.runtime.selector or default_runtime


@lru_cache(maxsize=64)
def _adapter_version(adapter: str) -> str | None:
    """The version of the package that brings the adapter."""
    found = [entry.dist for entry in entry_points(group=RUNTIMES.group, name=adapter)]
    return found[0].version if found and found[0] is not None else None
