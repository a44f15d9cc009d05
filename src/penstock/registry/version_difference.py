"""How two versions of an agent differ, through everything that they pin."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from penstock.registry.document_faults import pointer
from penstock.registry.documents import Loaded, Registry
from penstock.registry.reference_checks import pins_with_places
from penstock.registry.spare_tools import spare_tools


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing that differs: in which document, where, and what stood and stands there (None: nothing)."""

    document: str
    pointer: str
    before: Any
    after: Any

    def as_document(self) -> dict[str, Any]:
        """The difference as a JSON object."""
        return {"document": self.document, "pointer": self.pointer, "before": self.before, "after": self.after}


def closure_differences(registry: Registry, before: Loaded, after: Loaded) -> Iterator[Difference]:
    """Every difference between two agents' closures: their own fields, then pin by pin; metadata apart."""
    name = f"agents/{after.reference.name}"
    yield from _documents(name, before.document["spec"], after.document["spec"])
    old, new = _pins(registry, before), _pins(registry, after)
    for place in sorted(old.keys() | new.keys()):
        one, other = old.get(place), new.get(place)
        if one is not None and other is not None and one.reference != other.reference:
            yield from _documents(place, one.document["spec"], other.document["spec"])
            if one.body != other.body:
                yield Difference(place, "body", one.body.decode("utf-8"), other.body.decode("utf-8"))
            yield from _code(registry, place, one, other)


def _pins(registry: Registry, agent: Loaded) -> dict[str, Loaded]:
    spares = {f"tools/{spare.reference.name}": spare for spare in spare_tools(registry, agent)}
    found = {f"{pin.folder}/{pin.name}": registry.find(pin) for pin, _ in pins_with_places(agent)}
    found = {**spares, **found}
    return {place: loaded for place, loaded in found.items() if loaded is not None}


def _documents(name: str, before: Any, after: Any) -> Iterator[Difference]:
    for path, one, other in _leaves(before, after, ("spec",)):
        yield Difference(name, pointer(path), one, other)


def _leaves(before: Any, after: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any, Any]]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _leaves(before.get(key), after.get(key), (*path, key))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for position, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _leaves(one, other, (*path, position))
    elif before != after:
        yield path, before, after


def _code(registry: Registry, place: str, before: Loaded, after: Loaded) -> Iterator[Difference]:
    files = []
    for loaded in (before, after):
        key = (loaded.reference.name, loaded.reference.version)
        folder = f"{loaded.path.removesuffix('.yaml')}/"
        files.append({entry.path.removeprefix(folder): entry.blob for entry in registry.code.get(key, [])})
    for path in sorted(files[0].keys() | files[1].keys()):
        if files[0].get(path) != files[1].get(path):
            yield Difference(place, path, files[0].get(path), files[1].get(path))
