"""The checks of a dataset, which come before each use: what every dataset must hold, and what this one declares."""

import contextlib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from penstock.contracts.canonical import digest
from penstock.contracts.dataset import Dataset
from penstock.contracts.json_schema import SchemaBroken, compile_schema
from penstock.errors import Fault, Invalid, NotFound
from penstock.governance.redaction import redact
from penstock.registry.case_lines import CaseLine, read_case_lines
from penstock.registry.document_faults import did_you_mean, pointer
from penstock.registry.documents import Registry
from penstock.registry.layout import dataset_paths
from penstock.scoring.case_set import dataset_digest
from penstock.scoring.datasets.case_frame import always_expected, declared_expected
from penstock.scoring.datasets.check_row import CheckRow
from penstock.scoring.datasets.drift import drift_rows
from penstock.scoring.datasets.expectations import Expected, judge, library_version
from penstock.scoring.datasets.previous import PreviousDataset
from penstock.settings import Settings

__all__ = ["DatasetChecks", "PreviousDataset", "check_dataset", "find_dataset"]

# Goes up when an equal dataset may come out differently: results kept under an older number are made anew.
REVISION = 1
KEPT = "dataset-checks"


@dataclass(frozen=True, slots=True)
class DatasetChecks:
    """How the checks of one version of a dataset came out; `previous` is the digest of what it was compared with."""

    name: str
    digest: str
    previous: str | None
    cases: int
    checks: tuple[CheckRow, ...]

    @property
    def failed(self) -> list[CheckRow]:
        """The rows that keep the dataset from being used."""
        return [row for row in self.checks if row.outcome == "failed"]

    @property
    def passed(self) -> bool:
        """Whether the dataset may be used."""
        return not self.failed

    @property
    def why(self) -> str:
        """Why it may not be used, in one sentence; empty if it may."""
        rows = self.failed
        more = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
        return f"{rows[0].text}{more}" if rows else ""

    def as_document(self) -> dict[str, Any]:
        """The checks as a JSON object."""
        return {
            "name": self.name,
            "digest": self.digest,
            "previous": self.previous,
            "cases": self.cases,
            "passed": self.passed,
            "why": self.why,
            "checks": [row.as_document() for row in self.checks],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "DatasetChecks":
        """Reads what `as_document` wrote."""
        rows = tuple(CheckRow.from_document(row) for row in document["checks"])
        return cls(document["name"], document["digest"], document["previous"], int(document["cases"]), rows)


def check_dataset(
    settings: Settings, registry: Registry, name: str, previous: PreviousDataset | None = None
) -> DatasetChecks:
    """Checks the dataset as `registry` has it, and its drift against `previous`; kept by content, so made once.

    Raises `NotFound` for no such dataset, `Invalid` with every fault of files that cannot be read, `Unavailable`
    without the extra `datasets` or where a check could not be made.
    """
    dataset = find_dataset(registry, name)
    found = library_version()
    own = dataset_digest(registry, name)
    other = previous.digest if previous else None
    place = settings.cache / KEPT / f"{digest([name, own, other, REVISION, found]).removeprefix('sha256:')}.json"
    kept = _kept(place)
    if kept is not None:
        return kept
    path = dataset_paths(name)[1]
    lines, faults = read_case_lines(path, registry.source.read(path))
    if faults:
        raise Invalid("the dataset has faults", where=path, now="mend the lines", faults=faults)
    rows = [*_expectations(dataset, lines), *_drift(dataset, lines, previous)]
    made = DatasetChecks(name, own, other, len(lines), tuple(rows))
    _keep(place, made)
    return made


def find_dataset(registry: Registry, name: str) -> Dataset:
    """The dataset with its cases; raises `NotFound`, or `Invalid` with the faults of its files."""
    head, cases = dataset_paths(name)
    found = registry.datasets.get(name)
    if found is not None and cases in registry.source.entries():
        _require_schema(head, found)
        return found
    faults = [fault for fault in registry.faults if fault.path in {head, cases}]
    there = [path for path in (head, cases) if path in registry.source.entries()]
    if len(there) == 1 and not faults:
        faults = [Fault(head if there == [cases] else cases, 0, 0, "", "is missing", f"{there[0]} is there")]
    if faults:
        raise Invalid("the dataset has faults", where=head, now="mend the file", faults=faults)
    known = did_you_mean(name, registry.datasets) or f"datasets: {', '.join(sorted(registry.datasets)) or 'none'}"
    raise NotFound(f"no dataset {name!r}", where=registry.source.label, now=known)


def _require_schema(path: str, dataset: Dataset) -> None:
    try:
        compile_schema(dataset.spec.schema_)
    except SchemaBroken as broken:
        faults = [Fault(path, 0, 0, pointer(("spec", "schema", *where)), what) for where, what in broken.faults]
        raise Invalid("the dataset's schema is no JSON Schema", where=path, now="mend it", faults=faults) from None


def _expectations(dataset: Dataset, lines: Sequence[CaseLine]) -> list[CheckRow]:
    check = dataset.spec.checks
    count = Expected("expect_table_row_count_to_be_between", "", "", f"at least {check.min_cases}")
    count.options["min_value"] = check.min_cases
    frame: dict[str, list[Any]] = {"id": [one.case.id for one in lines]}
    expected = [count]
    if lines:  # of nothing everything is true
        expected += [*always_expected(dataset, lines, frame), *declared_expected(dataset, lines, frame)]
    return judge(frame, expected, [f"line {one.line} ({redact(one.case.id).value})" for one in lines])


def _drift(dataset: Dataset, lines: Sequence[CaseLine], previous: PreviousDataset | None) -> list[CheckRow]:
    check = dataset.spec.checks.drift
    if previous is None or previous.cases is None:
        why = "there is no version before" if previous is None else f"the version of {previous.commit[:12]} has faults"
        return [CheckRow("distribution_distance", "", "not judged", why, "")]
    if not lines:
        return []
    return drift_rows(check, [one.document for one in lines], [one.document for one in previous.cases])


def _kept(place: Path) -> DatasetChecks | None:
    """What was kept; None if nothing is or it cannot be read, which is made anew."""
    try:
        return DatasetChecks.from_document(orjson.loads(place.read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _keep(place: Path, checks: DatasetChecks) -> None:
    """Keeps the result for the next time; a disk that says no only costs that time again."""
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        draft = place.with_suffix(f".{uuid.uuid4().hex}.tmp")
        try:
            draft.write_bytes(orjson.dumps(checks.as_document()))
            draft.replace(place)
        finally:
            draft.unlink(missing_ok=True)
