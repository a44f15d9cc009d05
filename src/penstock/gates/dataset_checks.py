"""The checks of a suite's datasets before any run: against what they declare, and what they were."""

from typing import Any

from penstock.contracts.eval_suite import EvalSpec
from penstock.gates.context import GateContext
from penstock.scoring.case_set import CaseSet, dataset_digest, suite_cases
from penstock.scoring.datasets.checks import PreviousDataset, check_dataset


def check_datasets(context: GateContext, spec: EvalSpec) -> list[dict[str, Any]]:
    """One document a dataset; `passed` false = it is not to be used, and `why` says so.

    Raises `Invalid` for a dataset that cannot be read, `Unavailable` without the extra `datasets`.
    """
    chosen: CaseSet = suite_cases(context.registry, spec)
    return [_checked(context, name, chosen) for name in spec.datasets]


def _checked(context: GateContext, name: str, chosen: CaseSet) -> dict[str, Any]:
    found = check_dataset(context.settings, context.registry, name, previous_dataset(context, name))
    document = found.as_document()
    return {
        "name": name,
        "digest": dataset_digest(context.registry, name),
        "cases": document["cases"],
        "chosen": sum(one.dataset == name for one in chosen.cases),
        "passed": found.passed,
        "why": found.why,
        "checks": document["checks"],
    }


def previous_dataset(context: GateContext, name: str) -> PreviousDataset | None:
    """What the dataset was before its last change: of a draft on the base branch, else in the branch's own history.

    None where it never changed, or where there is no history.
    """
    commit = context.base if context.origin == "draft" else context.registry.source.commit
    if context.repository is None or commit is None:
        return None
    now = context.registry.file_digest(f"datasets/{name}/cases.jsonl")
    return PreviousDataset.before(context.repository, commit, name, now)
