"""JSON Schemas inside specs are schemas, and what is said to fit them does."""

import re
from collections.abc import Iterator
from typing import Any

from penstock.contracts.json_schema import SchemaBroken, compile_schema, instance_faults
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.strict_yaml import Path

_SECRET = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def check_schemas(registry: Registry, faults: FaultList) -> None:
    """Every input, output and params schema, and those of datasets."""
    for folder in ("agents", "tools"):
        for loaded in registry.of(folder):
            for place, schema in _schemas(loaded):
                check_schema(faults, loaded.path, place, schema)
    for name, dataset in registry.datasets.items():
        check_schema(faults, f"datasets/{name}/dataset.yaml", ("spec", "schema"), dataset.spec.schema_)


def check_schema(faults: FaultList, path: str, place: Path, schema: dict[str, Any]) -> None:
    """One schema at a place of a file."""
    try:
        compile_schema(schema)
    except SchemaBroken as broken:
        for where, what in broken.faults:
            faults.blame(path, (*place, *where), f"is no JSON Schema: {what}", "see JSON Schema 2020-12")


def _schemas(loaded: Loaded) -> Iterator[tuple[Path, dict[str, Any]]]:
    for key in ("input", "output", "params"):
        payload = getattr(loaded.spec, key, None)
        if payload is not None:
            yield ("spec", key, "schema"), payload.schema_


def check_params(registry: Registry, faults: FaultList) -> None:
    """What an agent sets for a tool fits the tool's params schema; without one nothing may be set."""
    for agent in registry.of("agents"):
        for position, pin in enumerate(agent.spec.tools):
            tool = registry.find(pin.ref)
            if tool is None:
                continue
            place: Path = ("spec", "toolRefs", position)
            if tool.spec.params is not None:
                where = (*place, "params") if pin.params else place
                check_instance(faults, agent.path, where, tool.spec.params.schema_, pin.params)
            elif pin.params:
                faults.blame(agent.path, (*place, "params"), f"{pin.ref} takes no params", "remove them")


def check_examples(registry: Registry, faults: FaultList) -> None:
    """A tool's examples are calls and results that its schemas allow; its secrets are names."""
    for tool in registry.of("tools"):
        for position, example in enumerate(tool.spec.examples):
            place: Path = ("spec", "examples", position)
            input_schema, output_schema = tool.spec.input.schema_, tool.spec.output.schema_
            check_instance(faults, tool.path, (*place, "arguments"), input_schema, example.arguments)
            check_instance(faults, tool.path, (*place, "result"), output_schema, example.result)
        for position, name in enumerate(tool.spec.secrets):
            if not _SECRET.fullmatch(name):
                hint = "letters, digits and _, as an environment variable's name"
                faults.blame(tool.path, ("spec", "secrets", position), "is no name of a secret", hint)


def check_instance(
    faults: FaultList, path: str, place: Path, schema: dict[str, Any], instance: Any, about: str = ""
) -> None:
    """What a value at a place of a file breaks of a schema; a broken schema is said elsewhere."""
    try:
        for where, what in instance_faults(schema, instance):
            faults.blame(path, (*place, *where), f"{about}{what}", "see the schema")
    except SchemaBroken:
        return
