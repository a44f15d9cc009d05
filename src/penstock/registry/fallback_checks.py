"""Fallbacks can do what they stand in for: spare tools, fixed answers, and the rule for a broken output."""

from collections.abc import Iterator
from typing import Any

from penstock.contracts.agent import RuleFallback
from penstock.contracts.json_pointer import Where, template_pointers
from penstock.contracts.json_schema import SchemaBroken, compile_schema
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.payload_checks import check_instance
from penstock.registry.prompt_checks import reach
from penstock.registry.schema_change import SchemaBreak, given_breaks, taken_breaks
from penstock.registry.spare_tools import spare_of
from penstock.registry.strict_yaml import Path

EFFECTS = ("none", "read", "write")
# Faults that say nothing of the value at a place, so that they hold whatever is filled in there.
_OF_SHAPE = frozenset({"required", "additionalProperties", "minProperties", "maxProperties", "minItems", "maxItems"})
_CHOICES = frozenset({"anyOf", "oneOf", "not", "if", "then", "else"})
RULE: Path = ("spec", "fallback", "rule")


def check_tool_fallbacks(registry: Registry, faults: FaultList) -> None:
    """Every tool's fallback."""
    for tool in registry.of("tools"):
        fallback, writes = tool.spec.fallback, tool.spec.side_effects == "write"
        if fallback is None:
            continue
        place: Path = ("spec", "fallback")
        if fallback.on == "failure" and writes:
            what = "the tool writes: a call that failed may have written already, so nothing else may be tried"
            faults.blame(tool.path, (*place, "on"), what, "write on: open")
        if fallback.cached is not None and writes:
            what = "the tool writes: an old result says that something was done which was not"
            faults.blame(tool.path, (*place, "cached"), what, "name a spare tool, or a fixed answer")
        if fallback.answer is not None:
            check_instance(faults, tool.path, (*place, "answer"), tool.spec.output.schema_, fallback.answer)
        if fallback.tool is not None:
            _check_spare(registry, tool, faults)
            _check_schemas(registry, tool, faults)


def check_spare_params(registry: Registry, faults: FaultList) -> None:
    """A spare tool takes the params that the agent sets for the tool that it stands in for."""
    for agent in registry.of("agents"):
        for position, pin in enumerate(agent.spec.tools):
            seen: set[Any] = set()
            tool = registry.find(pin.ref)
            while tool is not None and (reference := spare_of(tool)) is not None and reference not in seen:
                seen.add(reference)
                tool = registry.find(reference)
                place: Path = ("spec", "toolRefs", position)
                if tool is not None:
                    _check_params(agent, tool, (*place, "params") if pin.params else place, pin.params, faults)


def check_rules(registry: Registry, faults: FaultList) -> None:
    """Every agent's rule for an output that breaks its schema."""
    for agent in registry.of("agents"):
        rule = agent.spec.fallback.rule if agent.spec.fallback is not None else None
        if rule is None:
            continue
        if rule.template is not None:
            _check_template(agent, rule.template, faults)
        else:
            _check_rule_tool(registry, agent, rule, faults)


def _check_spare(registry: Registry, tool: Loaded, faults: FaultList) -> None:
    place: Path = ("spec", "fallback", "tool")
    reference = spare_of(tool)
    assert reference is not None
    spare = registry.find(reference)
    if spare is None:
        if not registry.has_file(reference):
            faults.blame(tool.path, place, f"no {reference}", registry.suggest(reference))
        return
    if _leads_back(registry, tool):
        faults.blame(tool.path, place, f"{reference} leads back to this tool", "name one that stands on its own")
        return
    if EFFECTS.index(spare.spec.side_effects) > EFFECTS.index(tool.spec.side_effects):
        what = f"{reference} has sideEffects {spare.spec.side_effects}, the tool has {tool.spec.side_effects}"
        faults.blame(tool.path, place, what, "name one that does no more than this one")


def _check_schemas(registry: Registry, tool: Loaded, faults: FaultList) -> None:
    """A spare takes all that the tool takes, and gives nothing else."""
    reference = spare_of(tool)
    spare = registry.find(reference) if reference is not None else None
    if spare is None or not _are_sound(tool, spare):
        return
    taken = taken_breaks(tool.spec.input.schema_, spare.spec.input.schema_)
    given = given_breaks(tool.spec.output.schema_, spare.spec.output.schema_)
    for side, breaks in (("takes less", taken), ("gives something else", given)):
        for one in _certain(breaks):
            place: Path = ("spec", "fallback", "tool")
            faults.blame(tool.path, place, f"{reference} {side}: {one}", "name one with the same schemas")


def _leads_back(registry: Registry, tool: Loaded) -> bool:
    seen, reference = {tool.reference}, spare_of(tool)
    while reference is not None:
        if reference in seen:
            return True
        seen.add(reference)
        found = registry.find(reference)
        reference = spare_of(found) if found is not None else None
    return False


def _check_params(agent: Loaded, spare: Loaded, place: Path, params: dict[str, Any], faults: FaultList) -> None:
    about = f"{spare.reference}, which stands in, "
    if spare.spec.params is not None:
        check_instance(faults, agent.path, place, spare.spec.params.schema_, params, f"{about}says: ")
    elif params:
        faults.blame(agent.path, place, f"{about}takes no params", "remove them, or name another spare tool")


def _check_template(agent: Loaded, template: Any, faults: FaultList) -> None:
    place = (*RULE, "template")
    if not _are_sound(agent):
        return
    pointers = dict(template_pointers(template))
    for where, pointer in pointers.items():
        found = reach(agent.spec.input.schema_, pointer)
        if found != "required":
            what = "leads to no property of the input" if found == "nowhere" else "is not required in the input"
            faults.blame(agent.path, (*place, *where), f"{pointer} {what}", "name a property that is always there")
    for where, what in _template_faults(agent.spec.output.schema_, template, set(pointers)):
        faults.blame(agent.path, (*place, *where), what, "see the output's schema")


def _template_faults(schema: dict[str, Any], template: Any, pointers: set[Where]) -> Iterator[tuple[Where, str]]:
    """What the template breaks of the schema, whatever its pointers bring."""
    for error in compile_schema(schema).iter_errors(template):
        where, rule = tuple(error.instance_path), [str(part) for part in error.schema_path]
        is_open = any(pointer[: len(where)] == where or where[: len(pointer)] == pointer for pointer in pointers)
        of_shape = where not in pointers and rule[-1] in _OF_SHAPE and not _CHOICES & set(rule)
        inside = any(len(where) > len(pointer) and where[: len(pointer)] == pointer for pointer in pointers)
        if not is_open or (of_shape and not inside):
            yield where, error.message


def _check_rule_tool(registry: Registry, agent: Loaded, rule: RuleFallback, faults: FaultList) -> None:
    place = (*RULE, "tool")
    assert rule.tool is not None
    tool = registry.find(rule.tool)
    if tool is None or not _are_sound(agent, tool):  # said with all other pins, and where the schemas stand
        return
    if agent.spec.output.schema_.get("type") != "object":
        what = "a tool's result is an object, and the agent's output is none"
        faults.blame(agent.path, place, what, "write a template")
        return
    if tool.spec.side_effects == "write":
        faults.blame(agent.path, place, f"{rule.tool} writes", "a rule only answers")
    asked = _asked(agent, tool.spec.input.schema_)
    for one in _certain(taken_breaks(asked, tool.spec.input.schema_)):
        faults.blame(
            agent.path, place, f"{rule.tool} does not take what a rule is asked: {one}", "see docs/fallbacks.md"
        )
    for one in _certain(given_breaks(agent.spec.output.schema_, tool.spec.output.schema_)):
        faults.blame(agent.path, place, f"the result of {rule.tool} is not the agent's output: {one}", "use its schema")


def _asked(agent: Loaded, taken: dict[str, Any]) -> dict[str, Any]:
    """What a rule is asked with; the input's fields matter to one that names fields of it itself."""
    declared = taken.get("properties", {}).get("input", {})
    names_fields = isinstance(declared, dict) and "properties" in declared
    schema = agent.spec.input.schema_
    fields = {
        "input": schema if names_fields else {key: schema[key] for key in ("type",) if key in schema},
        "faults": {"type": "array", "items": {"type": "object"}},
        "output": {"type": "string"},
    }
    return {"type": "object", "properties": fields, "required": list(fields)}


def _are_sound(*documents: Loaded) -> bool:
    """Whether what goes in and out is told by schemas that are some."""
    try:
        for one in documents:
            compile_schema(one.spec.input.schema_)
            compile_schema(one.spec.output.schema_)
    except SchemaBroken:
        return False
    return True


def _certain(breaks: list[SchemaBreak]) -> Iterator[str]:
    for one in breaks:
        if one.certain:
            yield f"{one.place}: {one.what}" if one.place else one.what
