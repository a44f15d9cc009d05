"""Agents: fields that have an effect only beside others."""

from penstock.registry.documents import Registry
from penstock.registry.fault_list import FaultList


def check_agents(registry: Registry, faults: FaultList) -> None:
    """Nothing is declared that could never matter."""
    for agent in registry.of("agents"):
        if agent.spec.complexity is not None and isinstance(agent.spec.model_ref, str):
            what = "there is one model, so complexity chooses nothing"
            faults.blame(
                agent.path, ("spec", "complexity"), what, "give modelRef a model for each complexity", key=True
            )
