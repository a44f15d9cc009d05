"""What the scores of a suite depend on, known before anything runs: one digest a scorer."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock.contracts.eval_suite import EvalSpec
from penstock.contracts.release import Release
from penstock.errors import Refused
from penstock.registry.documents import Registry
from penstock.registry.resolve import resolve
from penstock.scoring.scorer import JudgeAnswer, JudgeDoor
from penstock.scoring.scorer_set import ready_scorers, suite_judges


def scorer_digests(registry: Registry, spec: EvalSpec) -> dict[str, str]:
    """Title -> digest: of the scorer, its parameters, its own code, its judge's release.

    Raises `Invalid` with the faults of the suite, `NotFound` for a judge that does not exist.
    """
    judges: dict[str, JudgeDoor] = {ref: _closed_door(registry, ref) for ref in suite_judges(spec)}
    found = {one.title: one.digest for one in ready_scorers(registry, spec, judges)}
    labels = {use.title: registry.file_digest(f"datasets/{use.calibration}/cases.jsonl") for use in spec.scorers}
    return {**found, **{f"{title} calibration": label for title, label in labels.items() if label is not None}}


@dataclass(frozen=True, slots=True)
class _ClosedDoor:
    """A judge that is named and not asked."""

    release: Release

    async def ask(self, question: Mapping[str, Any]) -> JudgeAnswer:
        """Never answers."""
        raise Refused("a judge that is only named was asked", where=self.release.agent.ref)


def _closed_door(registry: Registry, ref: str) -> _ClosedDoor:
    name, _, version = ref.removeprefix("agents/").partition("@")
    return _ClosedDoor(resolve(registry, name, version).release)
