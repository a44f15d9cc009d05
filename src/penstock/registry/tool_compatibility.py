"""What a new version of a tool would break for the agents that still pin an older one: by schema, and by what they did.

Nothing runs: schemas are compared, and every call that a contract suite recorded is judged by the new version's.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import orjson
import semver

from penstock.contracts.json_schema import SchemaBroken, compile_schema
from penstock.contracts.tool import ToolSpec
from penstock.errors import Fault
from penstock.registry.document_faults import pointer
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.layout import Misplaced, place_of
from penstock.registry.schema_change import SchemaBreak, dropped_fields, given_breaks, taken_breaks
from penstock.registry.source import Source
from penstock.registry.strict_yaml import Path
from penstock.registry.suite_checks import live_versions

_LONGEST = 300


@dataclass(frozen=True, slots=True, order=True)
class ToolBreak:
    """One way in which a tool's schemas break what the older version's promised; `part` is the schema it stands in."""

    part: str
    place: str
    what: str
    certain: bool
    where: Path = ()


@dataclass(frozen=True, slots=True, order=True)
class BrokenCall:
    """A recorded call, or the params of a pin, that the new version refuses, or whose result it could not give.

    `path` and `line` say where it stands; line 0 = the agent's own file.
    """

    path: str
    line: int
    part: str
    place: str
    what: str


@dataclass(frozen=True, slots=True)
class PinningAgent:
    """A version of an agent that pins the older version: its recorded calls of the tool, and those that would break.

    `unread` are recordings that cannot be read, so that nobody knows what they hold.
    """

    agent: str
    version: str
    calls: int
    broken: tuple[BrokenCall, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolChange:
    """A new version of a tool against one older version that stands in the registry.

    `announced` = the version number says that it breaks: another major version (of 0.x: another minor one), or the
    older one is a pre-release, which promises nothing.
    """

    added: str
    against: str
    announced: bool
    breaks: tuple[ToolBreak, ...]
    agents: tuple[PinningAgent, ...]

    @property
    def is_breaking(self) -> bool:
        """Whether somebody would be broken for certain."""
        return any(one.certain for one in self.breaks) or any(agent.broken for agent in self.agents)

    def as_document(self) -> dict[str, Any]:
        """The change as a JSON object."""
        keys = ("part", "place", "what", "certain")
        return {
            "added": self.added,
            "against": self.against,
            "announced": self.announced,
            "breaking": self.is_breaking,
            "breaks": [{key: getattr(one, key) for key in keys} for one in self.breaks],
            "agents": [
                {
                    "agent": agent.agent,
                    "version": agent.version,
                    "calls": agent.calls,
                    "broken": [asdict(one) for one in agent.broken],
                    "unread": list(agent.unread),
                }
                for agent in self.agents
            ],
        }


@dataclass(frozen=True, slots=True)
class _Pinning:
    """An agent version, the params that it sets for the tool, and the paths of its recordings."""

    agent: Loaded
    params: dict[str, Any]
    recordings: list[str]


def tool_changes(registry: Registry, added: Collection[str]) -> list[ToolChange]:
    """Each tool version that comes with a change against the next lower one and each lower one that agents pin.

    Every agent version counts that is neither deprecated nor disabled, not only the newest.
    """
    new = [loaded for path in sorted(added) if (loaded := _tool(registry, path)) is not None]
    agents = _agents(registry, {loaded.reference.name for loaded in new})
    found = []
    for tool in new:
        number = semver.Version.parse(tool.reference.version)
        lower = [one for one in registry.versions(tool.reference.name, "tools") if semver.Version.parse(one) < number]
        for version in lower:
            old = registry.documents["tools", tool.reference.name, version]
            pinning = agents.get(str(old.reference), [])
            if pinning or version == lower[-1]:
                found.append(_change(registry, old, tool, pinning))
    return found


def compatibility_faults(registry: Registry, changes: Collection[ToolChange]) -> list[Fault]:
    """Everything that a new tool version breaks without its number saying so."""
    faults = FaultList(registry.source.read)
    for change in changes:
        if change.announced:
            continue
        path = registry.get(change.added).path
        hint = f"make it {_next_breaking(change.against)}, or keep what callers rely on"
        for one in change.breaks:
            if one.certain:
                what = f"breaks {change.against}: {one.part}{_at(one.place)} {one.what}"
                faults.blame(path, ("spec", one.part, "schema", *one.where), what, hint)
        for agent in change.agents:
            for first, count in _alike(agent.broken):
                what = f"breaks {_calls(first, count)} of agents/{agent.agent}@{agent.version}: {_said(first)}"
                faults.blame(path, ("spec", first.part, "schema"), what, hint)
    return faults.faults


def change_lines(document: Mapping[str, Any]) -> list[str]:
    """A tool change as text: one line for the whole, one for each break and each agent."""
    verdict = "breaks" if document["breaking"] else "takes what was recorded with"
    said = " (its version says so)" if document["breaking"] and document["announced"] else ""
    lines = [f"tool     {document['added']} {verdict} {document['against']}{said}"]
    for one in document["breaks"]:
        unsure = "" if one["certain"] else " (it may break somebody)"
        lines.append(f"           {one['part']}{_at(one['place'])} {one['what']}{unsure}")
    for agent in document["agents"]:
        lines.append(f"           agents/{agent['agent']}@{agent['version']}: {_tally(agent)}")
        broken = [BrokenCall(**one) for one in agent["broken"]]
        lines += [f"             {_calls(first, count)}: {_said(first)}" for first, count in _alike(broken)]
        lines += [f"             {path} cannot be read" for path in agent["unread"]]
    return lines


def _tool(registry: Registry, path: str) -> Loaded | None:
    try:
        place = place_of(path)
    except Misplaced:
        return None
    if place.role != "document" or place.folder != "tools":
        return None
    return registry.documents.get(("tools", place.name, place.version))


def _agents(registry: Registry, names: Collection[str]) -> dict[str, list[_Pinning]]:
    """Reference of a tool -> the live agent versions that pin it."""
    found: dict[str, list[_Pinning]] = {}
    if not names:
        return found
    recordings = _recordings(registry)
    for name in registry.agents():
        for agent in live_versions(registry, name):
            for pin in agent.spec.tools:
                if pin.ref.partition("/")[2].partition("@")[0] in names:
                    paths = recordings.get((name, agent.reference.version), [])
                    found.setdefault(pin.ref, []).append(_Pinning(agent, pin.params, paths))
    return found


def _recordings(registry: Registry) -> dict[tuple[str, str], list[str]]:
    """(agent, version) -> its recordings; of the files, since a change is judged by a part of them."""
    found: dict[tuple[str, str], list[str]] = {}
    for path, entry in sorted(registry.source.entries().items()):
        if path.startswith("contract_suites/") and path.endswith(".jsonl") and path.count("/") == 3 and entry.is_plain:
            _, agent, version, _ = path.split("/")
            found.setdefault((agent, version), []).append(path)
    return found


def _change(registry: Registry, old: Loaded, new: Loaded, pinning: list[_Pinning]) -> ToolChange:
    return ToolChange(
        added=str(new.reference),
        against=str(old.reference),
        announced=_announces(old.reference.version, new.reference.version),
        breaks=tuple(_schema_breaks(old.spec, new.spec)),
        agents=tuple(_judge_agent(registry.source, one, old, new.spec) for one in pinning),
    )


def _schema_breaks(old: ToolSpec, new: ToolSpec) -> Iterator[ToolBreak]:
    if _compile(old.input.schema_, new.input.schema_):
        yield from _named("input", taken_breaks(old.input.schema_, new.input.schema_))
    if new.params is not None:
        before = old.params.schema_ if old.params is not None else {"type": "object", "additionalProperties": False}
        if _compile(before, new.params.schema_):
            yield from _named("params", taken_breaks(before, new.params.schema_))
    elif old.params is not None:
        yield ToolBreak("params", "", "are not taken any more", certain=True)
    if _compile(old.output.schema_, new.output.schema_):
        yield from _named("output", given_breaks(old.output.schema_, new.output.schema_))


def _compile(*schemas: dict[str, Any]) -> bool:
    """Whether all of them are schemas; that one is none is said elsewhere."""
    try:
        for schema in schemas:
            compile_schema(schema)
    except SchemaBroken:
        return False
    return True


def _named(part: str, breaks: list[SchemaBreak]) -> Iterator[ToolBreak]:
    for one in breaks:
        yield ToolBreak(part, one.place, one.what, one.certain, one.where)


def _judge_agent(source: Source, pinning: _Pinning, old: Loaded, new: ToolSpec) -> PinningAgent:
    agent = pinning.agent
    broken = [BrokenCall(agent.path, 0, "params", place, what) for place, what in _params_faults(pinning.params, new)]
    calls, unread = 0, []
    for path in pinning.recordings:
        for line, document in _lines(source.read(path)):
            if document is None:
                unread.append(f"{path}:{line}")
            elif _is_call_of(document, old.reference.name):
                calls += 1
                faults = _call_faults(document, old.spec, new)
                broken += [BrokenCall(path, line, part, place, what) for part, place, what in faults]
    return PinningAgent(agent.reference.name, agent.reference.version, calls, tuple(broken), tuple(unread))


def _lines(data: bytes) -> Iterator[tuple[int, dict[str, Any] | None]]:
    """(line, entry) of a recorded journal; None = the line cannot be read."""
    for number, text in enumerate(data.splitlines(), 1):
        try:
            document = orjson.loads(text)
        except orjson.JSONDecodeError:
            document = None
        yield number, document if isinstance(document, dict) else None


def _is_call_of(document: Mapping[str, Any], tool: str) -> bool:
    request = document.get("request")
    return document.get("door") == "tool" and isinstance(request, dict) and request.get("name") == tool


def _call_faults(document: Mapping[str, Any], old: ToolSpec, new: ToolSpec) -> Iterator[tuple[str, str, str]]:
    """(part, place, what) of everything that the new version would refuse, or could not answer."""
    arguments = document["request"].get("arguments")
    for place, what in _instance_faults(new.input.schema_, arguments):
        yield "input", place, what
    if _compile(old.input.schema_, new.input.schema_):
        for path in dropped_fields(old.input.schema_, new.input.schema_, arguments):
            yield "input", pointer(path), "is not known any more"
    response = document.get("response")
    if isinstance(response, dict) and "result" in response:
        # A field that is always there now is missing in what the older version gave, and breaks nobody.
        for place, what in _instance_faults(new.output.schema_, response["result"], but="required"):
            yield "output", place, what
        if _compile(old.output.schema_, new.output.schema_):
            for path in dropped_fields(old.output.schema_, new.output.schema_, response["result"]):
                yield "output", pointer(path), "does not come any more"


def _params_faults(params: dict[str, Any], new: ToolSpec) -> Iterator[tuple[str, str]]:
    if new.params is not None:
        yield from _instance_faults(new.params.schema_, params)
    elif params:
        yield "", "params are not taken any more"


def _instance_faults(schema: dict[str, Any], instance: Any, *, but: str = "") -> Iterator[tuple[str, str]]:
    """(place, what) of everything that breaks the schema, less one keyword; a broken schema is said elsewhere."""
    try:
        validator = compile_schema(schema)
    except SchemaBroken:
        return
    for error in validator.iter_errors(instance):
        if not error.schema_path or error.schema_path[-1] != but:
            yield pointer(tuple(error.instance_path)), _without_value(error.message, error.instance)


def _without_value(message: str, value: Any) -> str:
    """The message less the value that it begins with: breaks of the same kind are told once, and none at any length."""
    told = message.removeprefix(orjson.dumps(value).decode()).strip()
    return told if len(told) <= _LONGEST else f"{told[:_LONGEST]}..."


def _announces(old: str, new: str) -> bool:
    before, after = semver.Version.parse(old), semver.Version.parse(new)
    if before.prerelease:
        return True
    return before.major != after.major or (after.major == 0 and before.minor != after.minor)


def _next_breaking(reference: str) -> str:
    version = semver.Version.parse(reference.rpartition("@")[2])
    return str(version.bump_minor() if version.major == 0 else version.bump_major())


def _alike(broken: Collection[BrokenCall]) -> list[tuple[BrokenCall, int]]:
    """The first of each kind of break, and how many there are of it."""
    kinds: dict[tuple[str, str, str], list[BrokenCall]] = {}
    for one in broken:
        kinds.setdefault((one.part, one.place, one.what), []).append(one)
    return [(alike[0], len(alike)) for alike in kinds.values()]


def _calls(first: BrokenCall, count: int) -> str:
    if not first.line:
        return "the pin"
    return "1 recorded call" if count == 1 else f"{count} recorded calls"


def _said(first: BrokenCall) -> str:
    where = f"{first.path}:{first.line}" if first.line else first.path
    return f"{first.part}{_at(first.place)} {first.what} ({where})"


def _tally(agent: Mapping[str, Any]) -> str:
    recorded = [one for one in agent["broken"] if one["line"]]
    calls = {(one["path"], one["line"]) for one in recorded}
    return f"{len(calls)} of {agent['calls']} recorded calls would break" if agent["calls"] else "no recorded call"


def _at(place: str) -> str:
    return f" {place}:" if place else ":"
