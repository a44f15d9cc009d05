"""What a change touches: new versions and how they differ, agents that lag behind, agents whose evidence is void.

And what new versions of tools would break for agents that pin older ones.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import semver

from penstock.registry.documents import Loaded, Registry
from penstock.registry.eval_checks import eval_paths, judges_with_places
from penstock.registry.layout import PIPELINE, Misplaced, Place, document_path, place_of
from penstock.registry.reference_checks import missing_capabilities, pins_with_places
from penstock.registry.source import Source
from penstock.registry.spare_tools import spare_of
from penstock.registry.suite_checks import live_versions
from penstock.registry.tool_compatibility import ToolChange, tool_changes
from penstock.registry.version_difference import Difference, closure_differences

Edges = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A new version of an agent against the next lower one (None: it is the first)."""

    agent: str
    version: str
    previous: str | None
    differences: tuple[Difference, ...] = ()


@dataclass(frozen=True, slots=True, order=True)
class Lagging:
    """An agent whose newest version in use pins an older version of something that the change adds."""

    agent: str
    version: str
    pins: str
    added: str


@dataclass(frozen=True, slots=True, order=True)
class Void:
    """A version of an agent whose evidence rested on a file that the change replaces."""

    agent: str
    version: str
    because: str


@dataclass(frozen=True, slots=True)
class Impact:
    """All that a change touches, sorted."""

    new: list[NewVersion] = field(default_factory=list)
    lagging: list[Lagging] = field(default_factory=list)
    void: list[Void] = field(default_factory=list)
    tools: list[ToolChange] = field(default_factory=list)

    def as_document(self) -> dict[str, Any]:
        """The impact as a JSON object."""
        new = [
            {
                "agent": one.agent,
                "version": one.version,
                "previous": one.previous,
                "differences": [difference.as_document() for difference in one.differences],
            }
            for one in self.new
        ]
        lagging = [{"agent": x.agent, "version": x.version, "pins": x.pins, "added": x.added} for x in self.lagging]
        void = [{"agent": x.agent, "version": x.version, "because": x.because} for x in self.void]
        return {"new": new, "lagging": lagging, "void": void, "tools": [tool.as_document() for tool in self.tools]}


def impact(registry: Registry, added: Collection[str], changed: Collection[str]) -> Impact:
    """What a change touches in the registry after it; `added` are its new paths, `changed` all of its paths."""
    new = {path for path in added if path.startswith("registry_repo/agents/") and _loaded(registry, path)}
    return Impact(
        [_new_version(registry, registry.get(_reference(path))) for path in sorted(new, key=_order)],
        sorted(_lagging(registry, added)),
        sorted(_void(registry, changed, new)),
        tool_changes(registry, added),
    )


def impact_paths(source: Source, added: Collection[str]) -> set[str]:
    """What must be read besides a change so that its impact is seen whole.

    That is the other versions of an agent or a tool that is added, and the agents' files that name another version of
    anything that is: these are found by their text alone, which is quicker than reading them all as specs.
    """
    places = [place for place in (_place(path) for path in added) if place]
    folders = {f"registry_repo/{place.folder}/{place.name}/" for place in places if place.folder in {"agents", "tools"}}
    entries = source.entries()
    siblings = {path for path in entries if path.count("/") == 3 and f"{path.rpartition('/')[0]}/" in folders}
    names = [re.escape(f"{place.folder}/{place.name}@") for place in places if place.folder != "agents"]
    if not names:
        return siblings
    pattern = re.compile("|".join(names).encode())
    agents = [path for path in entries if path.startswith("registry_repo/agents/")]
    return siblings | {path for path in agents if entries[path].is_plain and pattern.search(source.read(path))}


def dependencies(registry: Registry, changed: Collection[str] = ()) -> dict[str, set[str]]:
    """What rests on what, directly: files on files, and the evidence of each agent version on all that it was made of.

    The evidence's node is the version's reference (`agents/writer@1.0.0`), apart from its file: what a judge's own
    evidence rests on says nothing of the agents that it judges. `changed` may name files that are gone.
    """
    edges: dict[str, set[str]] = {}
    for agent in registry.of("agents"):
        name, version = agent.reference.name, agent.reference.version
        edges[agent.path] = {document_path(pin.folder, pin.name, pin.version) for pin, _ in pins_with_places(agent)}
        evidence = {agent.path, f"contract_suites/{name}/suite.yaml", f"evals/{name}.yaml", PIPELINE}
        evidence |= {entry.path for entry in registry.recordings.get((name, version), [])}
        edges[str(agent.reference)] = evidence | _runtimes(registry, agent)
    for (name, version), entries in registry.code.items():
        edges[document_path("tools", name, version)] = {entry.path for entry in entries}
    for tool in registry.of("tools"):
        spare = spare_of(tool)
        if spare is not None:
            edges.setdefault(tool.path, set()).add(document_path(spare.folder, spare.name, spare.version))
    for name, suite in registry.evals.items():
        judges = [registry.find(judge) for judge, _ in judges_with_places(suite.spec)]
        runtimes = [_runtimes(registry, judge) for judge in judges if judge is not None]
        edges[f"evals/{name}.yaml"] = eval_paths(suite.spec).union(*runtimes)
    for path in changed:
        _add_gone(registry, path, edges)
    return edges


def _runtimes(registry: Registry, agent: Loaded) -> set[str]:
    """The declarations of the runtimes that an agent may run on."""
    return {
        f"runtimes/{runtime}.yaml"
        for runtime, declared in registry.runtimes.items()
        if runtime == agent.spec.runtime.selector or not missing_capabilities(agent.spec, declared)
    }


def rests_on(edges: Edges, start: str) -> set[str]:
    """Everything that `start` rests on, directly or not, itself included."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += edges.get(path, ())
    return found


def touched(edges: Edges, changed: Iterable[str]) -> dict[str, set[str]]:
    """Every file that rests on a changed one, directly or not (itself included) -> the changed ones it rests on."""
    users: dict[str, list[str]] = {}
    for user, used in edges.items():
        for path in used:
            users.setdefault(path, []).append(user)
    found: dict[str, set[str]] = {}
    for start in changed:
        waiting = [start]
        while waiting:
            path = waiting.pop()
            reasons = found.setdefault(path, set())
            if start not in reasons:
                reasons.add(start)
                waiting += users.get(path, [])
    return found


def _add_gone(registry: Registry, path: str, edges: dict[str, set[str]]) -> None:
    """A removed recording, file of code or runtime declaration is named by nothing that is still there."""
    try:
        place = place_of(path)
    except Misplaced:
        return
    if place.role == "recording":
        edges.setdefault(f"agents/{place.name}@{place.version}", set()).add(path)
    elif place.role == "code":
        edges.setdefault(document_path("tools", place.name, place.version), set()).add(path)
    elif place.role == "runtime" and place.name not in registry.runtimes:
        for agent in registry.of("agents"):
            edges[str(agent.reference)].add(path)
        for name, suite in registry.evals.items():
            if any(True for _ in judges_with_places(suite.spec)):
                edges[f"evals/{name}.yaml"].add(path)


def _new_version(registry: Registry, agent: Loaded) -> NewVersion:
    name, version = agent.reference.name, agent.reference.version
    versions = registry.versions(name)
    position = versions.index(version)
    if position == 0:
        return NewVersion(name, version, None)
    previous = registry.agent(name, versions[position - 1])
    differences = closure_differences(registry, previous, agent)
    return NewVersion(name, version, previous.reference.version, tuple(differences))


def _lagging(registry: Registry, added: Collection[str]) -> list[Lagging]:
    newest: dict[tuple[str, str], str] = {}
    for path in added:
        loaded = _loaded(registry, path)
        if loaded is None or loaded.reference.folder == "agents":
            continue
        key = (loaded.reference.folder, loaded.reference.name)
        known = newest.get(key)
        if known is None or semver.Version.parse(known) < semver.Version.parse(loaded.reference.version):
            newest[key] = loaded.reference.version
    found = []
    newest_agents = {agent.reference.name: agent for agent in _live(registry)}
    for agent in newest_agents.values():
        for pin, _ in pins_with_places(agent):
            version = newest.get((pin.folder, pin.name))
            if version is not None and semver.Version.parse(pin.version) < semver.Version.parse(version):
                name, own = agent.reference.name, agent.reference.version
                found.append(Lagging(name, own, str(pin), f"{pin.folder}/{pin.name}@{version}"))
    return found


def _void(registry: Registry, changed: Collection[str], new: Collection[str]) -> list[Void]:
    found = touched(dependencies(registry, changed), changed)
    live = [agent for agent in _live(registry) if agent.path not in new]
    return [
        Void(agent.reference.name, agent.reference.version, reason)
        for agent in live
        for reason in found.get(str(agent.reference), set()) - {agent.path}
    ]


def _live(registry: Registry) -> list[Loaded]:
    return [version for agent in registry.agents() for version in live_versions(registry, agent)]


def _loaded(registry: Registry, path: str) -> Loaded | None:
    place = _place(path)
    return registry.documents.get((place.folder, place.name, place.version)) if place else None


def _place(path: str) -> Place | None:
    """What a document's path says, None for all other files."""
    try:
        place = place_of(path)
    except Misplaced:
        return None
    return place if place.role == "document" else None


def _reference(path: str) -> str:
    place = place_of(path)
    return f"{place.folder}/{place.name}@{place.version}"


def _order(path: str) -> tuple[str, semver.Version]:
    place = place_of(path)
    return place.name, semver.Version.parse(place.version)
