"""Caches: what writes is never answered from one."""

from penstock.registry.documents import Registry
from penstock.registry.fault_list import FaultList


def check_caches(registry: Registry, faults: FaultList) -> None:
    """A tool that writes has no cache, and neither has an agent that may call one."""
    for tool in registry.of("tools"):
        if tool.spec.cache is not None and tool.spec.side_effects == "write":
            what = "a tool that writes has to be called each time"
            faults.blame(tool.path, ("spec", "cache"), what, "remove it, or set sideEffects to what is true", key=True)
    for agent in registry.of("agents"):
        pins = [pin.ref for pin in agent.spec.tools] if agent.spec.cache is not None else []
        for ref in pins:
            found = registry.find(ref)
            if found is not None and found.spec.side_effects == "write":
                what = f"an answer given again would leave out what {ref} writes"
                faults.blame(agent.path, ("spec", "cache"), what, "remove the cache", key=True)
