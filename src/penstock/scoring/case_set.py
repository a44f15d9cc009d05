"""The cases of a suite: read from its datasets at one source, identified by their content."""

from dataclasses import dataclass

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Case
from penstock.contracts.eval_suite import EvalSpec
from penstock.errors import Invalid, NotFound
from penstock.registry.case_lines import read_case_lines, repeated_ids
from penstock.registry.documents import Registry
from penstock.scoring.statistics.order import unit_order


@dataclass(frozen=True, slots=True)
class EvalCase:
    """One case of one dataset. `digest` is of the case as written, so that a changed case is another case."""

    dataset: str
    case: Case
    digest: str

    @property
    def id(self) -> str:
        """Unique within the suite: the case's id, with its dataset in front."""
        return f"{self.dataset}/{self.case.id}"

    @property
    def cluster(self) -> str | None:
        """The cluster, with its dataset in front; None where the case stands for itself."""
        return None if self.case.cluster is None else f"{self.dataset}/{self.case.cluster}"


@dataclass(frozen=True, slots=True)
class CaseSet:
    """The cases that an evaluation runs, in their settled order; `digest` names dataset files and choice."""

    cases: tuple[EvalCase, ...]
    datasets: dict[str, str]
    available: int

    @property
    def digest(self) -> str:
        """Of every dataset by name and content, and of the cases chosen."""
        return digest({"datasets": self.datasets, "cases": [one.digest for one in self.cases]})


def dataset_digest(registry: Registry, name: str) -> str:
    """The content address of a dataset: of both its files as they are written."""
    files = {file: registry.file_digest(f"datasets/{name}/{file}") for file in ("dataset.yaml", "cases.jsonl")}
    return digest(files)


def read_cases(registry: Registry, name: str) -> list[Case]:
    """All cases of a dataset; raises `NotFound`, or `Invalid` with every fault by line."""
    path = f"datasets/{name}/cases.jsonl"
    if path not in registry.source.entries():
        raise NotFound(f"no dataset {name!r}", where=path, now="write dataset.yaml and cases.jsonl")
    lines, faults = read_case_lines(path, registry.source.read(path))
    faults += repeated_ids(path, lines)
    if faults:
        raise Invalid("the dataset has faults", where=path, now="mend the lines", faults=faults)
    return [line.case for line in lines]


def suite_cases(registry: Registry, spec: EvalSpec) -> CaseSet:
    """The cases of a suite: all of its datasets, or `sample` of them chosen by digest.

    The order is by digest too: it means nothing, is the same in every process, and does not depend on the files'
    order. A sample of a grown dataset keeps most of its cases. Raises what `read_cases` raises.
    """
    every = [
        EvalCase(name, case, digest(case.model_dump(mode="json", by_alias=True, exclude_unset=True)))
        for name in spec.datasets
        for case in read_cases(registry, name)
    ]
    ordered = sorted(every, key=lambda one: unit_order(one.id, one.cluster))
    chosen = ordered if spec.sample is None else ordered[: spec.sample]
    return CaseSet(tuple(chosen), {name: dataset_digest(registry, name) for name in spec.datasets}, len(every))
