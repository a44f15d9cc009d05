"""Gate `model`: a model that prod does not have yet is reached, answers, is paid for, and fails as it should.

Nothing real is called: a local server stands in for the provider, and every secret for itself.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from penstock.contracts.model import Transport
from penstock.contracts.release import Release
from penstock.engine.router import installed_version
from penstock.gates.context import GateContext
from penstock.gates.gate import Finding, gate
from penstock.gates.own_loop import on_own_loop

if TYPE_CHECKING:  # LiteLLM is loaded only by who runs cases: `validate` asks for this gate's parameters alone
    from penstock.gates.model_cases import CaseRow


_LIBRARY: dict[Transport, str] = {"litellm": "litellm", "openai-compatible": "aiohttp"}


def same_models(context: GateContext) -> Release | None:
    """What prod serves, where it asks the same model in the same way; None where there is a model to try."""
    baseline = context.baseline
    return baseline if baseline is not None and _specs(baseline) == _specs(context.release) else None


def _reads(context: GateContext) -> Mapping[str, Any]:
    same = same_models(context)
    if same is not None:
        return {"baseline": same.digest}
    used = {_LIBRARY[model.spec.transport] for model in context.release.models}
    return {"runtimes": {name: installed_version(name) for name in sorted(used)}}


@gate("model", revision=1, reads=_reads)
def model(context: GateContext, *, timeout_s: Annotated[int, Field(ge=1, le=600)] = 120) -> Finding:
    """Runs routing, answer and limit cases of a new model spec against the local model server, all in `timeout_s`.

    Passed without a case where prod has the same model spec. A provider whose protocol the server does not speak is
    judged by LiteLLM's tables alone, which is said. Raises (so: errored) without LiteLLM, or when the time is up.
    """
    if same_models(context) is not None:
        return Finding("passed", "the model is the one of prod", {"cases": 0}, artifacts={"cases": []})
    from penstock.gates.model_cases import run_cases

    models = context.release.models
    rows = [row for one in models for row in on_own_loop(run_cases(context.release, one, timeout_s))]
    return _finding(rows, ", ".join(one.spec.model for one in models))


def _finding(rows: "list[CaseRow]", name: str) -> Finding:
    counts = {outcome: sum(row.outcome == outcome for row in rows) for outcome in ("passed", "failed", "skipped")}
    artifacts = {"cases": [row.as_document() for row in rows]}
    measured = {"cases": len(rows), **counts}
    failed = [row for row in rows if row.outcome == "failed"]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        return Finding("failed", f"{name}: {failed[0].case}: {failed[0].what}{more}", measured, artifacts=artifacts)
    skipped = [row for row in rows if row.outcome == "skipped"]
    unasked = f"; {len(skipped)} not run: {skipped[0].what}" if skipped else ""
    return Finding("passed", f"{counts['passed']} cases hold for {name}{unasked}", measured, artifacts=artifacts)


def _specs(release: Release) -> list[Any]:
    return [component.document["spec"] for component in release.models]
