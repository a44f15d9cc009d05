"""A new version of a document: a copy with its own version, each comment and blank of the old one kept."""

import re
from collections.abc import Iterable, Iterator, Sequence

import yaml

from penstock.contracts.document import VERSION_PATTERN
from penstock.contracts.reference import Reference
from penstock.errors import Invalid, WrongUse
from penstock.registry.documents import Loaded, Registry
from penstock.registry.layout import document_path
from penstock.registry.source import EXECUTABLE
from penstock.scaffold.template import Laid

_DEEP_PINS = (("fallback", "models"), ("fallback", "tool"), ("complexity", "classifier"))
Edit = tuple[int, int, str]
"""From, to (characters of the text), and what stands there instead."""


def version_files(registry: Registry, old: Reference, version: str, bumps: Sequence[Reference]) -> dict[str, Laid]:
    """Path -> file of the new version: the document, and a tool's code.

    `bumps` moves the pins of an agent, or of a tool's fallback, to these references. Raises `NotFound` when the old
    version or a bump does not exist, `WrongUse` when the version is none or the document pins nothing of that name.
    """
    require_version(version)
    loaded = registry.get(old)
    for bump in bumps:
        registry.get(bump)
    text = loaded.data.decode("utf-8")
    changed = _edited(text, [_version_edit(loaded, text, version), *_pin_edits(loaded, text, bumps)])
    files = {document_path(old.folder, old.name, version): Laid(changed.encode())}
    for entry in registry.code.get((old.name, old.version), ()) if old.folder == "tools" else ():
        inside = entry.path.removeprefix(f"registry_repo/tools/{old.name}/{old.version}/")
        path = f"registry_repo/tools/{old.name}/{version}/{inside}"
        files[path] = Laid(registry.source.read(entry.path), entry.mode == EXECUTABLE)
    return files


def require_version(version: str) -> None:
    """Raises `WrongUse` unless it is a SemVer version."""
    if not re.match(VERSION_PATTERN, version):
        raise WrongUse(f"{version!r} is no version", now="write SemVer, such as 1.1.0")


def _version_edit(loaded: Loaded, text: str, version: str) -> Edit:
    for path, node in _scalars(loaded, text):
        if path == ("metadata", "version"):
            return node.start_mark.index, node.end_mark.index, _quoted(text, node, version)
    raise Invalid("has no metadata.version", where=loaded.path, now="`agentctl validate` shows what is wrong")


def _pin_edits(loaded: Loaded, text: str, bumps: Sequence[Reference]) -> Iterator[Edit]:
    """One edit for each pin of a bumped name; every bump must find one."""
    for bump in bumps:
        before = f"{bump.folder}/{bump.name}@"
        found = [node for path, node in _scalars(loaded, text) if _is_pin(path) and node.value.startswith(before)]
        if not found:
            raise WrongUse(
                f"pins no version of {bump.folder}/{bump.name}", where=str(loaded.reference), now=_pins_of(loaded, text)
            )
        for node in found:
            yield node.start_mark.index, node.end_mark.index, _quoted(text, node, str(bump))


def _pins_of(loaded: Loaded, text: str) -> str:
    pins = [node.value for path, node in _scalars(loaded, text) if _is_pin(path)]
    return f"it pins: {', '.join(pins)}" if pins else "it pins nothing"


def _is_pin(path: tuple[str | int, ...]) -> bool:
    if path[:1] != ("spec",) or len(path) == 1:
        return False
    pins = {"promptRef", "modelRef", "toolRefs", "policyRefs"}
    return path[1] in pins or path[1:3] in _DEEP_PINS or path[1:4] == ("fallback", "rule", "tool")


def _scalars(loaded: Loaded, text: str) -> Iterator[tuple[tuple[str | int, ...], yaml.ScalarNode]]:
    """Every scalar with its path and its place in `text`; of a prompt those of the front matter."""
    if loaded.reference.folder == "prompts":
        text = "   \n" + text[4 : text.index("\n---\n", 3) + 1]  # the first --- line blank: places stay what they are
    yield from _below(yaml.compose(text, Loader=yaml.SafeLoader), ())


def _below(
    node: yaml.Node | None, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], yaml.ScalarNode]]:
    if isinstance(node, yaml.ScalarNode):
        yield path, node
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield from _below(value, (*path, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for position, value in enumerate(node.value):
            yield from _below(value, (*path, position))


def _quoted(text: str, node: yaml.ScalarNode, value: str) -> str:
    """The value in the quotes that the old one has."""
    quote = text[node.start_mark.index]
    return f"{quote}{value}{quote}" if quote in "'\"" else value


def _edited(text: str, edits: Iterable[Edit]) -> str:
    for start, end, value in sorted(edits, reverse=True):
        text = text[:start] + value + text[end:]
    return text
