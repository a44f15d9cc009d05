"""Suites and datasets: they belong to an agent, and every case is an input that the agent takes."""

from collections.abc import Iterator
from typing import Any, get_args

from penstock.contracts.event import EventType
from penstock.contracts.json_schema import SchemaBroken, compile_schema, instance_faults
from penstock.contracts.suite import ContractCase, ContractSuite, OutputExpectation
from penstock.errors import Fault
from penstock.registry.case_lines import CaseLine, read_case_lines, repeated_ids
from penstock.registry.document_faults import did_you_mean, pointer
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.payload_checks import check_instance
from penstock.registry.strict_yaml import Path

EVENTS: tuple[str, ...] = get_args(EventType)


def check_suites(registry: Registry, faults: FaultList) -> None:
    """Contract suites: names, expectations, and inputs that every version in use takes."""
    for agent, suite in registry.suites.items():
        path = f"contract_suites/{agent}/suite.yaml"
        if _has_agent(registry, faults, path, agent):
            _check_cases(registry, faults, path, agent, suite)
    for (agent, version), entries in registry.recordings.items():
        if ("agents", agent, version) not in registry.documents and not _is_file(registry, agent, version):
            faults.blame_file(entries[0].path, f"records no version: there is no agents/{agent}@{version}", "remove it")


def _check_cases(registry: Registry, faults: FaultList, path: str, agent: str, suite: ContractSuite) -> None:
    names: set[str] = set()
    versions = live_versions(registry, agent)
    tools = {pin.ref.split("/")[1].split("@")[0] for version in versions for pin in version.spec.tools}
    for position, case in enumerate(suite.spec.cases):
        place: Path = ("spec", "cases", position)
        if case.name in names:
            faults.blame(path, (*place, "name"), f"case {case.name!r} is there twice", "rename one of them")
        names.add(case.name)
        for version in versions:
            about = f"agents/{agent}@{version.reference.version}: "
            check_instance(faults, path, (*place, "input"), version.spec.input.schema_, case.input, about)
        for tool in case.fixtures.keys() - tools:
            hint = did_you_mean(tool, tools) or f"tools: {', '.join(sorted(tools)) or 'none'}"
            faults.blame(path, (*place, "fixtures", tool), f"no version has a tool {tool!r}", hint, key=True)
        _check_expectation(faults, path, place, case)


def _check_expectation(faults: FaultList, path: str, place: Path, case: ContractCase) -> None:
    for position, pattern in enumerate(case.expect.events):
        kind = pattern.partition(":")[0]
        if kind not in EVENTS and kind != "*":
            where = (*place, "expect", "events", position)
            hint = did_you_mean(kind, EVENTS) or f"types: {', '.join(EVENTS)}"
            faults.blame(path, where, f"no event type {kind!r}", hint)
    for position, output in enumerate(case.expect.output):
        where = (*place, "expect", "output", position)
        for what, hint in _output_faults(output):
            faults.blame(path, where, what, hint)


def _output_faults(output: OutputExpectation) -> Iterator[tuple[str, str]]:
    predicates = (output.matches, output.min_items, output.max_items)
    if not output.has_equals and all(predicate is None for predicate in predicates):
        yield "says nothing of what it selects", "add equals, matches, minItems or maxItems"
    if not output.path.startswith("$"):
        yield f"{output.path!r} is no JSON path", "such as $.testCases[*].title"
    if output.matches is not None:
        try:
            compile_schema({"pattern": output.matches})
        except SchemaBroken:
            what = f"{output.matches!r} is no regular expression that runs in linear time"
            yield what, "mend it: no look-around, no back-references"


def check_datasets(registry: Registry, faults: FaultList) -> None:
    """Datasets: cases with unique ids whose inputs fit; eval suites: every case is an input of every version in use."""
    cases = {name: _read_cases(registry, name, faults) for name in registry.datasets}
    for name, dataset in registry.datasets.items():
        _check_inputs(faults, name, cases[name], dataset.spec.schema_, "")
    for agent, suite in registry.evals.items():
        path = f"evals/{agent}.yaml"
        if not _has_agent(registry, faults, path, agent):
            continue
        for position, name in enumerate(suite.spec.datasets):
            if name not in registry.datasets:
                if f"datasets/{name}/dataset.yaml" not in registry.source.entries():
                    hint = did_you_mean(name, registry.datasets) or "add it under datasets/"
                    faults.blame(path, ("spec", "datasets", position), f"no dataset {name!r}", hint)
                continue
            for version in live_versions(registry, agent):
                about = f"agents/{agent}@{version.reference.version}: "
                _check_inputs(faults, name, cases[name], version.spec.input.schema_, about)


def live_versions(registry: Registry, agent: str) -> list[Loaded]:
    """The versions of an agent that can still be released or run: all but deprecated and disabled ones."""
    stages = registry.stages.get(agent)
    gone = {*stages.spec.deprecated, *stages.spec.disabled} if stages else set()
    return [registry.agent(agent, version) for version in registry.versions(agent) if version not in gone]


def _has_agent(registry: Registry, faults: FaultList, path: str, agent: str) -> bool:
    if registry.versions(agent):
        return True
    names = {path.split("/")[2] for path in registry.source.entries() if path.startswith("registry_repo/agents/")}
    if agent not in names:
        hint = did_you_mean(agent, names) or f"agents: {', '.join(sorted(names)) or 'none'}"
        faults.blame_file(path, f"no agent {agent!r}", hint)
    return False


def _is_file(registry: Registry, agent: str, version: str) -> bool:
    return f"registry_repo/agents/{agent}/{version}.yaml" in registry.source.entries()


def _read_cases(registry: Registry, name: str, faults: FaultList) -> list[CaseLine]:
    """Each well-formed line."""
    path = f"datasets/{name}/cases.jsonl"
    entry = registry.source.entries().get(path)
    if entry is None:
        faults.blame_file(path, "is missing", "write one JSON object a line: {id, input}")
        return []
    if not entry.is_plain:
        return []
    cases, broken = read_case_lines(path, registry.source.read(path))
    broken += repeated_ids(path, cases)
    if not cases and not broken:
        faults.blame_file(path, "has no case", "write one JSON object a line: {id, input}")
    faults.faults += broken
    return cases


def _check_inputs(faults: FaultList, name: str, cases: list[CaseLine], schema: dict[str, Any], about: str) -> None:
    path = f"datasets/{name}/cases.jsonl"
    try:
        for one in cases:
            for where, what in instance_faults(schema, one.case.input):
                place = pointer(("input", *where))
                faults.faults.append(Fault(path, one.line, 1, place, f"{about}{what}", "see the schema"))
    except SchemaBroken:
        return
