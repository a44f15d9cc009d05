"""Spare tools: what may be called in place of the tools that an agent pins, and its own rule for a broken output."""

from collections.abc import Iterator

from penstock.contracts.reference import Reference
from penstock.registry.documents import Loaded, Registry
from penstock.registry.reference_checks import pins_with_places
from penstock.registry.strict_yaml import Path


def spare_of(tool: Loaded) -> Reference | None:
    """The tool that stands in for this one, if it names one."""
    fallback = tool.spec.fallback
    return Reference.parse(fallback.tool) if fallback is not None and fallback.tool is not None else None


def spares_with_places(registry: Registry, agent: Loaded) -> Iterator[tuple[Reference, Path]]:
    """Every spare tool of an agent, each once, with the place of the agent's pin that leads to it."""
    seen: set[Reference] = set()
    for pin, place in pins_with_places(agent):
        found: Reference | None = pin if place[1:3] == ("fallback", "rule") else _next(registry, pin)
        while found is not None and found not in seen:
            seen.add(found)
            yield found, place
            found = _next(registry, found)


def spare_tools(registry: Registry, agent: Loaded) -> list[Loaded]:
    """The spare tools that are there, by reference."""
    found = [registry.find(reference) for reference, _ in spares_with_places(registry, agent)]
    return sorted((tool for tool in found if tool is not None), key=lambda tool: str(tool.reference))


def _next(registry: Registry, reference: Reference) -> Reference | None:
    tool = registry.find(reference) if reference.folder == "tools" else None
    return spare_of(tool) if tool is not None else None
