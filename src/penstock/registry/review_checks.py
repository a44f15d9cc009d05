"""What waits for a person is something that the agent can call."""

import difflib

from penstock.contracts.reference import Reference
from penstock.registry.documents import Registry
from penstock.registry.fault_list import FaultList


def check_reviews(registry: Registry, faults: FaultList) -> None:
    """Every tool of an agent's `fallback.human` is among its tools, and named once; its answers are not kept."""
    for agent in registry.of("agents"):
        human = agent.spec.fallback.human if agent.spec.fallback is not None else None
        known = [Reference.parse(pin.ref).name for pin in agent.spec.tools]
        if human is not None and agent.spec.cache is not None:
            what = "an answer given again would leave out what a person decides"
            faults.blame(agent.path, ("spec", "cache"), what, "remove the cache", key=True)
        seen: set[str] = set()
        for position, name in enumerate(human.tools if human is not None else ()):
            place = ("spec", "fallback", "human", "tools", position)
            if name not in known:
                near = difflib.get_close_matches(name, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"its tools are: {', '.join(known) or 'none'}"
                faults.blame(agent.path, place, f"the agent has no tool {name}", hint)
            elif name in seen:
                faults.blame(agent.path, place, f"{name} stands here twice", "name it once")
            seen.add(name)
