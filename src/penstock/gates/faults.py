"""What is wrong with pipelines and suites beyond their shape, as gates read them: file, line and column."""

from collections.abc import Iterator

from penstock.contracts.suite import ContractCase, ContractSuite
from penstock.errors import Fault
from penstock.gates.event_pattern import pattern_faults
from penstock.gates.gate import pipeline_faults
from penstock.gates.output_expectation import expectation_faults
from penstock.registry.document_faults import pointer
from penstock.registry.documents import Registry
from penstock.registry.source import Source
from penstock.registry.strict_yaml import Path, Places, decode, parse

Wrong = tuple[Path, str]


def gate_faults(registry: Registry) -> list[Fault]:
    """Every fault of the pipeline's gates, of all contract suites and of the scorers of eval suites; for `validate`."""
    from penstock.scoring.suite_faults import suite_faults as eval_suite_faults

    faults = pipeline_gate_faults(registry)
    for agent in registry.suites:
        faults += suite_faults(registry, agent)
    if registry.evals:
        faults += eval_suite_faults(registry)
    return sorted(faults)


def pipeline_gate_faults(registry: Registry) -> list[Fault]:
    """Gates that do not exist, and parameters that they do not take."""
    if registry.pipeline is None:
        return []
    faults = pipeline_faults(registry.pipeline)
    places: dict[str, Places] = {fault.path: _places(registry.source, fault.path) for fault in faults}
    return [_placed(fault, places[fault.path]) for fault in faults]


def suite_faults(registry: Registry, agent: str) -> list[Fault]:
    """What the registry found wrong in an agent's suite, and what no run can ever meet: event types, paths, patterns.

    Empty where there is no suite.
    """
    path = suite_path(agent)
    faults = [fault for fault in registry.faults if fault.path == path]
    suite = registry.suites.get(agent)
    if suite is None:
        return faults
    wrong = list(_wrong(suite))
    places = _places(registry.source, path) if wrong else Places()
    known = {(fault.line, fault.column) for fault in faults}
    return faults + [
        Fault(path, *places.of(where), pointer(where), what) for where, what in wrong if places.of(where) not in known
    ]


def suite_path(agent: str) -> str:
    """Where an agent's suite stands."""
    return f"contract_suites/{agent}/suite.yaml"


def _wrong(suite: ContractSuite) -> Iterator[Wrong]:
    for index, case in enumerate(suite.spec.cases):
        yield from _wrong_case(case, ("spec", "cases", index, "expect"))


def _wrong_case(case: ContractCase, at: Path) -> Iterator[Wrong]:
    for index, item in enumerate(case.expect.events):
        for what in pattern_faults([item]):
            yield (*at, "events", index), what
    for index, expected in enumerate(case.expect.output):
        for what in expectation_faults(expected):
            yield (*at, "output", index), what


def _places(source: Source, path: str) -> Places:
    places = Places()
    parse(decode(source.read(path))[0], places=places)
    return places


def _placed(fault: Fault, places: Places) -> Fault:
    where = next((path for path in (*places.keys, *places.values) if pointer(path) == fault.pointer), None)
    if where is None:  # a parameter's own pointer may lie deeper than the file says
        owner = fault.pointer.rpartition(".params")[0]
        where = next((path for path in places.values if pointer(path) == owner), ())
    line, column = places.of(where, key=True)
    return Fault(fault.path, line, column, fault.pointer, fault.what, fault.hint)
