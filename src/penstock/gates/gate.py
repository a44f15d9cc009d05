"""A gate: one function in one file, registered by name; it returns a finding and never promotes.

Its keyword-only parameters are exactly the keys that a pipeline file may set (camelCase there, snake_case here).
"""

import functools
import importlib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from pydantic import ValidationError

from penstock.contracts.canonical import canonical
from penstock.contracts.gate_result import GateResult, Outcome
from penstock.contracts.pipeline import GateUse, Pipeline
from penstock.errors import Fault, Invalid, NotFound, PenstockError
from penstock.gates.context import STAGES, GateContext, timestamp
from penstock.parameters import parameter_model
from penstock.plugins import Plugins
from penstock.registry.document_faults import did_you_mean, pointer
from penstock.registry.layout import PIPELINE
from penstock.registry.strict_yaml import Path

INPUT_KEYS = ("release", "baseline", "suite", "dataset", "scorers", "parameters", "runtimes", "revision")
REUSABLE: frozenset[Outcome] = frozenset({"passed", "failed", "inconclusive"})


@dataclass(frozen=True, slots=True)
class Finding:
    """What a gate found. `artifacts` are JSON values for the report; `reason` is one sentence."""

    outcome: Outcome
    reason: str
    measured: Any = None
    limit: Any = None
    artifacts: Mapping[str, Any] = field(default_factory=dict)


class GateFunction(Protocol):
    """A gate's judgement; keyword-only parameters come from the pipeline file."""

    def __call__(self, context: GateContext, **parameters: Any) -> Finding:
        """Looks at the context alone and finds; raises when there is no evidence to be had."""
        ...


Reads = Callable[[GateContext], Mapping[str, Any]]
"""What a gate reads of a context beyond the release and its own parameters: cheap, and known before it runs."""


class Gate:
    """A registered gate; calling it is calling its function.

    `revision` grows when the gate judges differently: earlier results are then not reused. `reads` says what the gate
    looks at, so that a result of equal inputs is found without running it. `reuse` are the outcomes that may be found.
    With `compares` it cannot say anything where prod serves nothing: it is then not asked.
    """

    def __init__(
        self,
        name: str,
        function: GateFunction,
        *,
        revision: int,
        reads: Reads,
        reuse: frozenset[Outcome],
        compares: bool = False,
    ) -> None:
        functools.update_wrapper(self, function)
        self.name = name
        self.function = function
        self.revision = revision
        self.reads = reads
        self.reuse = reuse
        self.compares = compares
        self.parameters = parameter_model(name, function)

    def __call__(self, context: GateContext, **parameters: Any) -> Finding:
        """The finding of one release."""
        return self.function(context, **parameters)


GATES: Plugins[Gate] = Plugins("gate", "penstock.gates")
BUILT_IN = {
    "schema": "penstock.gates.schema",
    "unit": "penstock.gates.unit",
    "contract": "penstock.gates.contract",
    "canary-runs": "penstock.gates.canary_runs",
    "shadow": "penstock.gates.shadow",
    "diff": "penstock.gates.diff",
    "eval": "penstock.gates.eval",
    "model": "penstock.gates.model",
}


def _nothing(context: GateContext) -> Mapping[str, Any]:
    return {}


def gate(
    name: str,
    *,
    revision: int,
    reads: Reads = _nothing,
    reuse: frozenset[Outcome] = REUSABLE,
    compares: bool = False,
) -> Callable[[Callable[..., Finding]], Gate]:
    """Decorator: registers a function `(context, *, parameters...) -> Finding` as the gate `name`."""

    def register(function: Callable[..., Finding]) -> Gate:
        judging = cast(GateFunction, function)
        made = Gate(name, judging, revision=revision, reads=reads, reuse=reuse, compares=compares)
        return GATES.register(name)(made)

    return register


def find_gate(name: str) -> Gate:
    """The gate of that name, imported when it is asked for; raises `NotFound` with the names known."""
    if name in BUILT_IN:
        importlib.import_module(BUILT_IN[name])
    try:
        return GATES.get(name)
    except NotFound:
        known = sorted({*BUILT_IN, *GATES})
        raise NotFound(f"no gate {name!r}", where=PIPELINE, now=f"known gates: {', '.join(known)}") from None


def parameter_faults(use: GateUse, place: Path = (), path: str = PIPELINE) -> list[Fault]:
    """Every fault of one use of a gate at `place` in a pipeline file: an unknown gate, unknown or ill-typed parameters.

    The faults have no line yet: `penstock.gates.faults` finds it.
    """
    try:
        found = find_gate(use.gate)
    except NotFound as error:
        return [Fault(path, 0, 0, pointer((*place, "gate")), error.what, error.now)]
    faults = []
    if "when_no_baseline" in use.model_fields_set and not found.compares:
        what = f"gate {use.gate!r} is asked of first versions too"
        faults.append(Fault(path, 0, 0, pointer((*place, "whenNoBaseline")), what, "leave whenNoBaseline out"))
    try:
        found.parameters.model_validate(use.params)
    except ValidationError as error:
        names = [info.alias or key for key, info in found.parameters.model_fields.items()]
        faults += [_parameter_fault(use, fault, names, place, path) for fault in error.errors()]
    return faults


def pipeline_faults(pipeline: Pipeline, path: str = PIPELINE) -> list[Fault]:
    """Every fault of the gates that a pipeline names."""
    stages = pipeline.spec.stages
    return [
        fault
        for stage in STAGES
        for index, use in enumerate(getattr(stages, stage).gates)
        for fault in parameter_faults(use, ("spec", "stages", stage, "gates", index), path)
    ]


def require_gates(pipeline: Pipeline) -> None:
    """Raises `Invalid` with every fault of the pipeline's gates."""
    faults = pipeline_faults(pipeline)
    if faults:
        raise Invalid("the pipeline names what no gate takes", where=PIPELINE, now="mend the file", faults=faults)


def use_parameters(use: GateUse) -> dict[str, Any]:
    """All parameters of one use, defaults filled in, camelCase; raises `Invalid`."""
    faults = parameter_faults(use)
    if faults:
        raise Invalid(f"gate {use.gate!r} cannot run", where=PIPELINE, now="mend the file", faults=faults)
    return find_gate(use.gate).parameters.model_validate(use.params).model_dump(mode="json", by_alias=True)


def gate_inputs(context: GateContext, use: GateUse) -> dict[str, Any]:
    """Everything that this gate reads, null where unused: equal inputs give an equal verdict."""
    found = find_gate(use.gate)
    inputs: dict[str, Any] = dict.fromkeys(INPUT_KEYS)
    inputs.update(found.reads(context))
    inputs.update(release=context.release.digest, parameters=use_parameters(use), revision=found.revision)
    if found.compares:
        inputs.update(whenNoBaseline=use.when_no_baseline)
    return inputs


def run_gate(context: GateContext, use: GateUse, *, again: str | None = None) -> GateResult:
    """Runs one gate and seals what it found. An exception is `errored` with its sentence, never a verdict.

    `again` is the reason of a wilful re-run, kept in the artifacts. Raises `Invalid` or `NotFound` only for a pipeline
    file that names what does not exist.
    """
    found = find_gate(use.gate)
    parameters = use_parameters(use)
    started = timestamp()
    inputs: dict[str, Any] = {}
    try:
        inputs = gate_inputs(context, use)
        if found.compares and context.baseline is None:
            finding = _uncompared(use)
        else:
            finding = found(context, **found.parameters.model_validate(use.params).model_dump())
        canonical([finding.reason, finding.measured, finding.limit, finding.artifacts])  # JSON, or no finding
    except Exception as error:
        finding = _errored(error)
    if again is not None:
        finding = replace(finding, artifacts={**finding.artifacts, "again": again})
    return GateResult(
        gate=use.gate,
        outcome=finding.outcome,
        reason=finding.reason,
        measured=finding.measured,
        limit=finding.limit,
        release=context.release.digest,
        baseline=inputs.get("baseline"),
        suite=inputs.get("suite"),
        dataset=inputs.get("dataset"),
        parameters=parameters,
        artifacts=dict(finding.artifacts),
        started_at=started,
        finished_at=timestamp(),
        inputs=inputs,
        origin=context.origin,
    ).sealed()


def _uncompared(use: GateUse) -> Finding:
    """What a gate that compares says of an agent's first version."""
    nothing = "prod serves nothing that it could be compared with"
    if use.when_no_baseline == "skip":
        return Finding("skipped", nothing)
    return Finding("inconclusive", f"{nothing}, and the pipeline does not say `whenNoBaseline: skip`")


def _errored(error: Exception) -> Finding:
    sentence = error.what if isinstance(error, PenstockError) else f"{type(error).__name__}: {error}"
    log = "".join(traceback.format_exception(error))
    artifacts: dict[str, Any] = {"error": _printable(str(error)), "log": _printable(log)}
    if isinstance(error, Invalid) and error.faults:
        more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
        sentence = f"{sentence}: {error.faults[0]}{more}"
        artifacts["faults"] = [_printable(str(fault)) for fault in error.faults]
    return Finding("errored", _printable(sentence), artifacts=artifacts)


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _parameter_fault(use: GateUse, fault: Any, names: list[str], place: Path, path: str) -> Fault:
    key = ".".join(map(str, fault["loc"]))
    where = pointer((*place, "params", *fault["loc"]))
    takes = f"gate {use.gate!r} takes: {', '.join(names) or 'no parameters'}"
    if fault["type"] == "extra_forbidden":
        hint = "; ".join(part for part in (did_you_mean(key, names), takes) if part)
        return Fault(path, 0, 0, where, f"unknown parameter {key!r}", hint)
    return Fault(path, 0, 0, where, str(fault["msg"]), takes)
