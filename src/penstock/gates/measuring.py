"""Measures for the gates: an evaluation's plan made of a gate's context, run on a loop of its own."""

from penstock.contracts.eval_suite import EvalSpec
from penstock.contracts.release import Release
from penstock.engine.runtimes import own_runtime
from penstock.gates.baseline import baseline_runtime, resolved_baseline
from penstock.gates.context import GateContext
from penstock.gates.own_loop import on_own_loop
from penstock.scoring.case_set import suite_cases
from penstock.scoring.evaluation import Contender, Evaluation, EvaluationPlan, evaluate
from penstock.scoring.rig import open_rig
from penstock.scoring.scorer_set import ready_scorers, suite_judges
from penstock.scoring.shard import Shard
from penstock.scoring.verdict import settled_early


def evaluation_of(context: GateContext, spec: EvalSpec, baseline: Release | None, *, fresh: bool = False) -> Evaluation:
    """The evaluation of a context's release beside `baseline`; raises what keeps it from being made."""
    return on_own_loop(_evaluate(context, spec, baseline, fresh))


def measure_shard(context: GateContext, spec: EvalSpec, baseline: Release | None, shard: Shard) -> Evaluation:
    """Measures every `of`-th case beginning with `index`, so that the verdict finds it; judges nothing itself.

    Each shard has its part of the suite's budget and pace. Raises as `evaluation_of`.
    """
    budget = spec.budget.model_copy(update={"cost_usd": spec.budget.cost_usd / shard.of})
    pace = {name: shard.part_of(one) for name, one in spec.pace.items()}
    part = spec.model_copy(update={"budget": budget, "pace": pace, "early_stop": False})
    return on_own_loop(_evaluate(context, part, baseline, False, shard))


def contenders(context: GateContext, baseline: Release | None) -> tuple[Contender, Contender | None]:
    """The release and what prod serves, each on the runtime that it has, or would have, in production."""
    candidate = Contender(
        resolved=context.resolved, runtime=own_runtime(context.release, context.settings.default_runtime)
    )
    if baseline is None:
        return candidate, None
    resolved = resolved_baseline(context, baseline)
    return candidate, Contender(resolved=resolved, runtime=baseline_runtime(context, baseline))


async def _evaluate(
    context: GateContext, spec: EvalSpec, baseline: Release | None, fresh: bool, shard: Shard | None = None
) -> Evaluation:
    candidate, production = contenders(context, baseline)
    async with open_rig(context.settings, context.registry) as rig:
        cases = suite_cases(context.registry, spec)
        judges = {ref: rig.judge(ref) for ref in suite_judges(spec)}
        plan = EvaluationPlan(
            spec=spec,
            cases=cases if shard is None else shard.cases_of(cases),
            scorers=ready_scorers(context.registry, spec, judges),
            candidate=candidate,
            baseline=production,
        )
        return await evaluate(rig, plan, progress=context.watch, fresh=fresh, settled=settled_early)
