"""From an agent's version to its release: the closure of everything it pins, code included, by content."""

from dataclasses import dataclass, field
from typing import Any

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.release import (
    RELEASE_SCHEMA,
    AgentComponent,
    CodeFile,
    ModelComponent,
    PolicyComponent,
    PromptComponent,
    Release,
    ToolComponent,
)
from penstock.errors import Fault, Invalid
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.reference_checks import DISABLED, pins_with_places
from penstock.registry.source import EXECUTABLE
from penstock.registry.spare_tools import spare_tools, spares_with_places

MIN_ENGINE = "0.1.0"
"""The lowest engine that knows every field of v1 as it stands; a field added later raises it where it is used."""


@dataclass(frozen=True, slots=True)
class Resolved:
    """A release and the blobs that it names, by digest."""

    release: Release
    blobs: dict[str, bytes] = field(repr=False)


def resolve(registry: Registry, name: str, version: str, *, allow_retired: bool = False) -> Resolved:
    """The release of one agent version; the same digest from every source that holds the same content.

    Raises `NotFound`, or `Invalid` with the faults of the closure. `allow_retired`: also with components that are
    disabled, for releases that exist already.
    """
    agent = registry.agent(name, version)
    faults = closure_faults(registry, agent, allow_retired=allow_retired)
    if faults:
        raise Invalid(
            f"{name}@{version} does not resolve", where=registry.source.label, now="mend the faults", faults=faults
        )
    blobs: dict[str, bytes] = {}
    spec = agent.spec
    prompt = registry.get(spec.prompt_ref)
    release = Release.model_validate(
        {
            "schema": RELEASE_SCHEMA,
            "agent": AgentComponent(**_head(agent)),
            "prompt": PromptComponent(**_head(prompt), body=_keep(blobs, prompt.body)),
            "tools": [
                ToolComponent(
                    **_head(registry.get(pin.ref)),
                    params=_written_params(agent.document, position),
                    files=_code(registry, registry.get(pin.ref), blobs),
                )
                for position, pin in enumerate(spec.tools)
            ],
            **_spares(registry, agent, blobs),
            "policies": [PolicyComponent(**_head(registry.get(ref))) for ref in spec.policy_refs],
            "models": [ModelComponent(**_head(registry.get(ref))) for ref in spec.models],
            "minEngine": MIN_ENGINE,
        }
    )
    return Resolved(release, blobs)


def closure(registry: Registry, agent: Loaded) -> list[Loaded]:
    """The agent and every document that it pins, as far as they exist; what its tools name to stand in for them too."""
    found = [registry.find(reference) for reference, _ in pins_with_places(agent)]
    parts = {loaded.reference: loaded for loaded in found if loaded is not None}
    parts |= {spare.reference: spare for spare in spare_tools(registry, agent)}
    return [agent, *parts.values()]


def closure_faults(registry: Registry, agent: Loaded, *, allow_retired: bool = False) -> list[Fault]:
    """The registry's faults in the files of an agent's closure, and pins that resolve to nothing."""
    parts = closure(registry, agent)
    paths = {part.path for part in parts}
    folders = tuple(f"{part.path.removesuffix('.yaml')}/" for part in parts if part.reference.folder == "tools")
    faults = [fault for fault in registry.faults if fault.path in paths or fault.path.startswith(folders)]
    pins = [reference for reference, _ in pins_with_places(agent)]
    if agent.path not in {fault.path for fault in faults}:
        missing = [pin for pin in pins if registry.find(pin) is None]
        faults += [Fault(agent.path, 0, 0, "", f"pins {pin}, which is not there or has faults") for pin in missing]
    return faults if allow_retired else faults + disabled_faults(registry, agent)


def disabled_faults(registry: Registry, agent: Loaded) -> list[Fault]:
    """Pins that retired.yaml disables: they resolve in no new release."""
    disabled = set(registry.retired.disabled)
    if not disabled:
        return []
    faults = FaultList(registry.source.read)
    for reference, place in {**dict(spares_with_places(registry, agent)), **dict(pins_with_places(agent))}.items():
        if str(reference) in disabled:
            faults.blame(agent.path, place, f"{reference} {DISABLED}", "pin another version")
    return faults.faults


def _spares(registry: Registry, agent: Loaded, blobs: dict[str, bytes]) -> dict[str, Any]:
    """The release's spare tools; no field at all where there are none, as in the releases of earlier programs."""
    tools = [ToolComponent(**_head(tool), files=_code(registry, tool, blobs)) for tool in spare_tools(registry, agent)]
    return {"spareTools": tools} if tools else {}


def _head(loaded: Loaded) -> dict[str, Any]:
    return {"ref": str(loaded.reference), "digest": loaded.digest, "document": loaded.document}


def _written_params(document: dict[str, Any], position: int) -> dict[str, Any]:
    pin = document["spec"]["toolRefs"][position]
    return pin.get("params", {}) if isinstance(pin, dict) else {}


def _code(registry: Registry, tool: Loaded, blobs: dict[str, bytes]) -> list[CodeFile]:
    folder = f"{tool.path.removesuffix('.yaml')}/"
    entries = registry.code.get((tool.reference.name, tool.reference.version), [])
    return [
        CodeFile(
            path=entry.path.removeprefix(folder),
            digest=_keep(blobs, registry.source.read(entry.path)),
            executable=entry.mode == EXECUTABLE,
        )
        for entry in sorted(entries, key=lambda entry: entry.path)
    ]


def _keep(blobs: dict[str, bytes], data: bytes) -> str:
    name = digest_bytes(data)
    blobs[name] = data
    return name
