"""Everything that was skipped, errored or not counted: what a reader must know was not looked at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from penstock.reporting.dataset import DatasetRow
from penstock.reporting.difference import DifferenceShown
from penstock.reporting.evaluation import EvaluationShown
from penstock.reporting.figures import count
from penstock.reporting.gate_facts import GateFacts
from penstock.reporting.side import Problem


@dataclass(frozen=True, slots=True)
class Unmeasured:
    """One thing that gave no evidence: the gate, what it was about, and why."""

    gate: str
    about: str
    why: str


def unmeasured(gates: Sequence[GateFacts]) -> list[Unmeasured]:
    """In the order of the gates; what several gates say of one dataset stands there once."""
    found: dict[tuple[str, str], Unmeasured] = {}
    for gate in gates:
        for one in _of_gate(gate):
            key = (one.about, one.why) if one.about.startswith("dataset ") else (f"{one.gate}: {one.about}", one.why)
            found.setdefault(key, one)
    return list(found.values())


def _of_gate(gate: GateFacts) -> Iterator[Unmeasured]:
    if gate.document["outcome"] in {"missing", "errored", "skipped"}:
        yield Unmeasured(gate.name, f"the gate is {gate.document['outcome']}", str(gate.document["reason"]))
    if gate.evaluation is not None:
        yield from _of_evaluation(gate.name, gate.evaluation)
    if gate.difference is not None:
        yield from _of_difference(gate.name, gate.difference)
    for dataset in gate.datasets.datasets if gate.datasets is not None else ():
        yield from _of_dataset(gate.name, dataset)


def _of_evaluation(name: str, evaluation: EvaluationShown) -> Iterator[Unmeasured]:
    if evaluation.run.stopped:
        yield Unmeasured(name, "the evaluation stopped", evaluation.run.stopped)
    for row in evaluation.scorers:
        if row.outcome == "errored":
            yield Unmeasured(name, f"scorer {row.title}", row.reason)
        if row.calibration is not None and (row.calibration.failed or row.calibration.value is None):
            missing = count(len(row.calibration.failed), "labelled answer")
            yield Unmeasured(name, f"calibration of {row.title}", row.calibration.why or f"{missing} got no score")
    yield from (_problem(name, problem) for problem in evaluation.problems)


def _of_difference(name: str, difference: DifferenceShown) -> Iterator[Unmeasured]:
    if difference.run.stopped:
        yield Unmeasured(name, "the comparison stopped", difference.run.stopped)
    yield from (_problem(name, problem) for problem in difference.problems)
    for case in difference.cases:
        for refused in case.refused:
            yield Unmeasured(name, f"case {case.id}: call of {refused.tool} was not carried out", refused.why)


def _of_dataset(name: str, dataset: DatasetRow) -> Iterator[Unmeasured]:
    for check in dataset.checks:
        if check.outcome not in {"passed", "failed"}:
            about = f"dataset {dataset.name}: {check.expectation}" + (f" of {check.column}" if check.column else "")
            yield Unmeasured(name, about, str(check.observed or "not judged"))
    if dataset.cases is not None and dataset.chosen is not None and dataset.chosen < dataset.cases:
        left = dataset.cases - dataset.chosen
        yield Unmeasured(name, f"dataset {dataset.name}", f"{count(left, 'case')} not in the sample")


def _problem(gate: str, problem: Problem) -> Unmeasured:
    repeat = f" (repeat {problem.repeat})" if problem.repeat else ""
    about = f"case {problem.case}{repeat}" if problem.case else "a case"
    return Unmeasured(gate, f"{problem.side} {about}".strip(), problem.what)
