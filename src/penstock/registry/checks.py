"""What must hold between documents, once each of them is well formed."""

from penstock.registry.agent_checks import check_agents
from penstock.registry.cache_checks import check_caches
from penstock.registry.documents import Registry
from penstock.registry.eval_checks import check_evals
from penstock.registry.fallback_checks import check_rules, check_spare_params, check_tool_fallbacks
from penstock.registry.fault_list import FaultList
from penstock.registry.file_checks import collision_faults
from penstock.registry.model_checks import check_costs, check_models
from penstock.registry.payload_checks import check_examples, check_params, check_schemas
from penstock.registry.pipeline_checks import check_pipeline
from penstock.registry.policy_checks import check_policies
from penstock.registry.prompt_checks import check_prompts, check_variables
from penstock.registry.reference_checks import check_owners, check_pins, check_retired, check_runtimes, check_stages
from penstock.registry.review_checks import check_reviews
from penstock.registry.suite_checks import check_datasets, check_suites
from penstock.registry.tool_checks import check_code


def check_registry(registry: Registry, default_runtime: str = "") -> None:
    """Adds the faults and warnings of the whole to the registry."""
    faults, warnings = FaultList(registry.source.read), FaultList(registry.source.read)
    check_pins(registry, faults, warnings)
    check_runtimes(registry, faults, default_runtime)
    for check in (
        check_owners,
        check_retired,
        check_stages,
        check_prompts,
        check_variables,
        check_schemas,
        check_params,
        check_examples,
        check_agents,
        check_caches,
        check_tool_fallbacks,
        check_spare_params,
        check_rules,
        check_reviews,
        check_models,
        check_costs,
        check_policies,
        check_code,
        check_suites,
        check_datasets,
        check_evals,
        check_pipeline,
    ):
        check(registry, faults)
    registry.faults += faults.faults
    registry.faults += collision_faults(registry.source.entries())
    registry.warnings += warnings.faults
