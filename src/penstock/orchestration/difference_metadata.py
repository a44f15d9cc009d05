"""What gates `diff` and `shadow` found, for Dagster: changed pairs and the noise floor as tables, figures that plot."""

from collections.abc import Mapping, Sequence
from typing import Any

from penstock.orchestration.metadata_table import metadata_table
from penstock.reporting.difference import DiffCase, DifferenceShown, NoiseFloor
from penstock.reporting.figures import interval, percent


def difference_metadata(found: DifferenceShown) -> dict[str, Any]:
    """Tables of one comparison of two versions."""
    shown = {
        "changed": metadata_table(_totals(found)),
        "where outputs changed": metadata_table([one.as_document() for one in found.artifact.by_path]),
        "pairs that changed": metadata_table([_case(one) for one in found.cases if not _is_same(one)]),
    }
    if found.side_effects is not None:
        effects = found.side_effects
        row = {
            "refused": effects.refused,
            "answered from the record": effects.from_journal,
            "read calls": effects.called_read,
            "write calls": effects.called_write,
        }
        shown["tool calls of the candidate"] = metadata_table([row])
    if found.problems:
        shown["what is missing"] = metadata_table([one.as_document() for one in found.problems])
    return shown


def difference_figures(found: DifferenceShown) -> Mapping[str, float | None]:
    """Every number that is worth following over time; None = not known."""
    floor = found.artifact.noise_floor
    success_prod, success = _sides(found.slo.success_rate)
    p95_prod, p95 = _sides(found.slo.p95_ms)
    source = found.source
    return {
        "pairs": found.pairs,
        "outputs changed": found.artifact.share,
        "outputs changed by noise": floor.share if floor is not None else None,
        "event sequences changed": found.events.share,
        "cost USD": found.cost.candidate_usd,
        "cost USD in prod": found.cost.baseline_usd,
        "cost ratio": found.cost.ratio.value if found.cost.ratio is not None else None,
        "success": success,
        "success in prod": success_prod,
        "p95 ms": p95,
        "p95 ms in prod": p95_prod,
        "missing": len(found.problems),
        "recorded runs": source.recorded if source is not None else None,
        "spent USD": found.run.cost_usd,
    }


def _totals(found: DifferenceShown) -> list[dict[str, Any]]:
    """Outputs and event sequences; without the noise floor a share of changed ones says little."""
    return [
        {"of": name, "equal": one.equal, "changed": one.changed, "share": one.share, "noise floor": _floor(one)}
        for name, one in (("outputs", found.artifact), ("event sequences", found.events))
    ]


def _floor(total: Any) -> str:
    floor: NoiseFloor | None = total.noise_floor
    if floor is None:
        return "not measured"
    return f"{percent(floor.share)} {interval(floor.lower, floor.upper, percent)} of {floor.pairs} pairs"


def _is_same(one: DiffCase) -> bool:
    return one.equal and all(step.op == "equal" for step in one.events)


def _case(one: DiffCase) -> dict[str, Any]:
    steps = [f"{step.op} {step.step}" for step in one.events if step.op != "equal"]
    return {
        "case": one.id,
        "source": one.source,
        "changed": ", ".join(change.path for change in one.difference),
        "steps": ", ".join(steps),
        "prod": one.baseline.status if one.baseline is not None else "",
        "candidate": one.candidate.status if one.candidate is not None else "",
        "refused": ", ".join(refusal.tool for refusal in one.refused),
    }


def _sides(pair: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Production's and the candidate's value of a pair; None where the gate has none."""
    return (pair[0], pair[1]) if len(pair) == 2 else (None, None)
