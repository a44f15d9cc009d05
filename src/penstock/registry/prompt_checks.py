"""Prompts and what agents put into them."""

import re
from collections.abc import Iterator
from typing import Any

from penstock.contracts.agent import Pointer
from penstock.contracts.json_schema import SchemaBroken, compile_schema
from penstock.contracts.prompt import VARIABLE_PATTERN, Variable
from penstock.errors import Fault
from penstock.registry.document_faults import did_you_mean
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.prompt_file import PromptFile, split_prompt
from penstock.registry.prompt_text import template_faults

_VARIABLE = re.compile(VARIABLE_PATTERN)
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


def check_prompts(registry: Registry, faults: FaultList) -> None:
    """A body uses exactly the variables that are declared; defaults have the declared type."""
    for prompt in registry.of("prompts"):
        variables: dict[str, Variable] = prompt.spec.variables
        for name, variable in variables.items():
            place = ("spec", "variables", name)
            if not _VARIABLE.fullmatch(name):
                faults.blame(prompt.path, place, f"{name!r} is no variable name", "letters, digits and _", key=True)
            if variable.has_default and not fits(variable.default, variable.type):
                faults.blame(prompt.path, (*place, "default"), f"is not of type {variable.type}", "mend one of them")
        _check_body(prompt, variables, faults)


def _check_body(prompt: Loaded, variables: dict[str, Variable], faults: FaultList) -> None:
    halves = split_prompt(prompt.data)
    assert isinstance(halves, PromptFile), "loaded prompts have two halves"
    for problem in template_faults(prompt.body.decode("utf-8"), variables):
        if problem.path:
            faults.blame(prompt.path, problem.path, problem.what, problem.hint, key=True)
        else:
            line = problem.line + halves.body_line - 1
            faults.faults.append(Fault(prompt.path, line, problem.column, "", problem.what, problem.hint))


def check_variables(registry: Registry, faults: FaultList) -> None:
    """An agent gives each variable of its prompt a value, from the prompt's default, a literal or its input."""
    for agent in registry.of("agents"):
        prompt = registry.find(agent.spec.prompt_ref)
        if prompt is None:
            continue
        declared: dict[str, Variable] = prompt.spec.variables
        given = agent.spec.prompt_variables
        place = ("spec", "promptVariables")
        for name in given.keys() - declared.keys():
            hint = did_you_mean(name, declared) or f"variables: {', '.join(sorted(declared)) or 'none'}"
            faults.blame(agent.path, (*place, name), f"the prompt has no variable {name!r}", hint, key=True)
        for name, variable in declared.items():
            if name not in given and not variable.has_default:
                where = place if given else ("spec", "promptRef")
                faults.blame(agent.path, where, f"variable {name!r} of the prompt has no value", "give it one")
            elif name in given:
                for what, hint in _value_faults(agent, given[name], variable):
                    faults.blame(agent.path, (*place, name), what, hint)


def fits(value: Any, kind: str) -> bool:
    """Whether a value is of a variable's type; true and false are no numbers."""
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind])


def _value_faults(agent: Loaded, value: Any, variable: Variable) -> Iterator[tuple[str, str]]:
    if not isinstance(value, Pointer):
        if not fits(value, variable.type):
            yield f"is not of type {variable.type}, which the prompt declares", "change the value"
        return
    try:
        compile_schema(agent.spec.input.schema_)
    except SchemaBroken:  # said where the schema stands
        return
    reached = reach(agent.spec.input.schema_, value.from_)
    if reached == "nowhere":
        yield f"{value.from_} leads to no property of the input", "name a property of spec.input.schema"
    elif reached == "optional" and not variable.has_default:
        hint = "make it required, or give the variable a default"
        yield f"{value.from_} is not required in the input, and the variable has no default", hint


def reach(schema: dict[str, Any], pointer: str) -> str:
    """`required`, `optional` or `nowhere`: what a JSON pointer finds in every valid input."""
    found_in, node = "required", schema
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        parts = list(_alternatives(schema, node))
        found = [part["properties"][name] for part in parts if name in part.get("properties", {})]
        if not found and any(part.get("additionalProperties") is False for part in parts):
            return "nowhere"
        is_object = any(part.get("type") == "object" for part in parts)
        if not is_object or not any(name in part.get("required", []) for part in parts):
            found_in = "optional"
        node = found[0] if found and isinstance(found[0], dict) else {}
    return found_in


def _alternatives(root: dict[str, Any], node: dict[str, Any], depth: int = 0) -> Iterator[dict[str, Any]]:
    """The schemas that all hold at a node: itself, what its local $ref names, the members of its allOf."""
    if not isinstance(node, dict) or depth > 20:
        return
    yield node
    reference = node.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/"):
        target: Any = root
        for token in reference[2:].split("/"):
            target = target.get(token.replace("~1", "/").replace("~0", "~"), {}) if isinstance(target, dict) else {}
        yield from _alternatives(root, target, depth + 1)
    for member in node.get("allOf", []):
        yield from _alternatives(root, member, depth + 1)
