"""The limit of the pool of evaluations: written into the instance, and given back when a run is gone."""

import dagster as dg

from penstock.orchestration.definitions import build_definitions, pool_of
from penstock.orchestration.home import prepare_home
from penstock.orchestration.pools import EVALS, set_pools
from penstock.settings import load_settings
from penstock.testing.project import Project


def test_a_home_has_the_limit_of_the_settings(driven: Project) -> None:
    home = prepare_home(load_settings(driven.root).model_copy(update={"evals_at_once": 3}))
    with dg.DagsterInstance.from_config(str(home)) as instance:
        slots = instance.event_log_storage
        claimed = [slots.claim_concurrency_slot(EVALS, "run", f"step {number}").is_claimed for number in range(4)]
        assert claimed == [True, True, True, False]
        # What a run that was killed holds is given back by the daemon, which must be told to.
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_settings["free_slots_after_run_end_seconds"] == 20
    set_pools(home, load_settings(driven.root).evals_at_once)
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert {one.name: one.limit for one in instance.event_log_storage.get_pool_limits()}[EVALS] == 8


def test_shards_and_evidence_whose_gates_measure_share_the_pool(driven: Project) -> None:
    made = build_definitions(driven.root)
    pools = {stage: made.resolve_assets_def(f"{stage}_evidence").op.pool for stage in ("dev", "canary", "prod")}
    assert pools == {"dev": None, "canary": EVALS, "prod": EVALS}
    shards = made.resolve_job_def("eval_shards")
    assert shards.graph.node_named("run_shard").definition.pool == EVALS  # type: ignore[attr-defined]


def test_a_stage_after_one_that_measures_may_measure_again() -> None:
    assert pool_of({"dev": ["schema"], "canary": ["diff"], "prod": ["canary-runs"]}, "prod") == EVALS
    assert pool_of({"dev": ["schema"], "canary": ["diff"], "prod": ["canary-runs"]}, "dev") is None
