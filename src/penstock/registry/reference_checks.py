"""References lead somewhere: pins, owners, runtimes, suites and stages name what is there."""

from collections.abc import Iterator

from penstock.contracts.agent import AgentSpec
from penstock.contracts.model_choice import COMPLEXITIES
from penstock.contracts.reference import Reference
from penstock.contracts.runtime import Runtime
from penstock.contracts.stages import StagesSpec
from penstock.errors import WrongUse
from penstock.registry.document_faults import did_you_mean
from penstock.registry.documents import Loaded, Registry
from penstock.registry.fault_list import FaultList
from penstock.registry.layout import RETIRED, STAGES_FOLDER, TEAMS
from penstock.registry.strict_yaml import Path

DISABLED = "is disabled in retired.yaml"
DEPRECATED = "is deprecated in retired.yaml"


def pins_with_places(agent: Loaded) -> Iterator[tuple[Reference, Path]]:
    """Every reference of an agent with its place in the document."""
    spec: AgentSpec = agent.spec
    yield Reference.parse(spec.prompt_ref), ("spec", "promptRef")
    yield from ((Reference.parse(ref), at) for ref, at in _model_pins(spec))
    yield from _fallback_pins(spec)
    for position, pin in enumerate(spec.tool_refs):
        place: Path = ("spec", "toolRefs", position)
        yield (Reference.parse(pin), place) if isinstance(pin, str) else (Reference.parse(pin.ref), (*place, "ref"))
    for position, ref in enumerate(spec.policy_refs):
        yield Reference.parse(ref), ("spec", "policyRefs", position)


def _model_pins(spec: AgentSpec) -> Iterator[tuple[str, Path]]:
    """The models with their places. By complexity, one may stand in several: it is pinned in the first."""
    spares = spec.fallback.models if spec.fallback is not None else []
    places: list[tuple[str, Path]] = [(ref, ("spec", "fallback", "models", at)) for at, ref in enumerate(spares)]
    if isinstance(spec.model_ref, str):
        yield from [(spec.model_ref, ("spec", "modelRef")), *places]
        return
    by_complexity: list[tuple[str, Path]] = [
        (spec.model_ref.of(one), ("spec", "modelRef", one)) for one in COMPLEXITIES
    ]
    if spec.complexity is not None and spec.complexity.classifier is not None:
        places.append((spec.complexity.classifier, ("spec", "complexity", "classifier")))
    seen: set[str] = set()
    for ref, place in [*by_complexity, *places]:
        if ref not in seen:
            seen.add(ref)
            yield ref, place


def _fallback_pins(spec: AgentSpec) -> Iterator[tuple[Reference, Path]]:
    """What stands in for the agent's answer; its spare models stand with the others."""
    rule = spec.fallback.rule if spec.fallback is not None else None
    if rule is not None and rule.tool is not None:
        yield Reference.parse(rule.tool), ("spec", "fallback", "rule", "tool")


def check_pins(registry: Registry, faults: FaultList, warnings: FaultList) -> None:
    """Each agent's pins exist; a tool stands once; what is retired is warned of."""
    disabled, deprecated = set(registry.retired.disabled), set(registry.retired.deprecated)
    for agent in registry.of("agents"):
        seen: set[tuple[str, str]] = set()
        for reference, place in pins_with_places(agent):
            if registry.find(reference) is None:
                if not registry.has_file(reference):
                    faults.blame(agent.path, place, f"no {reference}", registry.suggest(reference))
                continue
            if (reference.folder, reference.name) in seen:
                faults.blame(agent.path, place, f"{reference.folder}/{reference.name} is pinned twice", "keep one")
            seen.add((reference.folder, reference.name))
            if disabled and str(reference) in disabled:
                warnings.blame(agent.path, place, f"{reference} {DISABLED}", "no new release of this version")
            elif deprecated and str(reference) in deprecated:
                warnings.blame(agent.path, place, f"{reference} {DEPRECATED}", "pin another version")


def check_owners(registry: Registry, faults: FaultList) -> None:
    """Each owner is a team; without teams.yaml there is none."""
    if registry.teams is None:
        if registry.documents and TEAMS not in registry.source.entries():
            faults.blame_file(TEAMS, "is missing", "declare the teams that own the documents")
        return
    teams = registry.teams.teams
    owned = [(loaded.path, loaded.owner) for loaded in registry.documents.values()]
    owned += [(f"datasets/{name}/dataset.yaml", dataset.metadata.owner) for name, dataset in registry.datasets.items()]
    for path, owner in owned:
        if owner not in teams:
            hint = did_you_mean(owner, teams) or f"teams: {', '.join(sorted(teams))}"
            faults.blame(path, ("metadata", "owner"), f"no team {owner!r} in teams.yaml", hint)
    platform = registry.teams.platform_team
    if platform is not None and platform not in teams:
        faults.blame(TEAMS, ("platformTeam",), f"no team {platform!r}", did_you_mean(platform, teams))


def check_retired(registry: Registry, faults: FaultList) -> None:
    """retired.yaml names versions that exist, of all kinds but agents."""
    for key in ("deprecated", "disabled"):
        for position, text in enumerate(getattr(registry.retired, key)):
            place = (key, position)
            try:
                reference = Reference.parse(text)
            except WrongUse as error:
                faults.blame(RETIRED, place, error.what, error.now)
                continue
            if reference.folder == "agents":
                faults.blame(RETIRED, place, "an agent does not stand here", "`agentctl deprecate` or `disable` it")
            elif registry.find(reference) is None and not registry.has_file(reference):
                faults.blame(RETIRED, place, f"no {reference}", registry.suggest(reference))


def check_runtimes(registry: Registry, faults: FaultList, default_runtime: str) -> None:
    """A runtime that is chosen is declared and can do what the agent needs."""
    for agent in registry.of("agents"):
        selector = agent.spec.runtime.selector
        name = selector or default_runtime
        if name in registry.runtimes:
            for what in missing_capabilities(agent.spec, registry.runtimes[name]):
                faults.blame(agent.path, ("spec", "runtime"), f"runtime {name!r} {what}", "choose another runtime")
        elif selector:
            _no_runtime(registry, faults, agent.path, ("spec", "runtime", "selector"), selector)


def missing_capabilities(spec: AgentSpec, runtime: Runtime) -> list[str]:
    """What an agent needs and a runtime lacks, one phrase each."""
    needs, offers = spec.runtime.requires, runtime.spec.capabilities
    names = {"tool_calling": "toolCalling", "human_in_loop": "humanInLoop"}
    wanted = {flag for flag in ("tool_calling", "human_in_loop", "multimodal", "streaming") if getattr(needs, flag)}
    if spec.tool_refs:
        wanted.add("tool_calling")
    found = [f"has no {names.get(flag, flag)}" for flag in sorted(wanted) if not getattr(offers, flag)]
    if spec.mode not in offers.modes:
        found.append(f"has no mode {spec.mode}")
    if needs.context_tokens > offers.max_context_tokens:
        found.append(f"passes on {offers.max_context_tokens} tokens, not {needs.context_tokens}")
    return found


def check_stages(registry: Registry, faults: FaultList) -> None:
    """Stages name versions that exist, each in one place (draining apart), and runtimes that are declared."""
    for agent, stages in registry.stages.items():
        path = f"{STAGES_FOLDER}{agent}.yaml"
        seen: set[str] = set()
        for version, place, is_draining in _standing(stages.spec):
            reference = Reference("agents", agent, version)
            if registry.find(reference) is None and not registry.has_file(reference):
                faults.blame(path, place, f"no {reference}", registry.suggest(reference))
            if not is_draining and version in seen:
                faults.blame(path, place, f"version {version} stands in two places", "keep one")
            if not is_draining:
                seen.add(version)
        for runtime, place in _stage_runtimes(stages.spec):
            if registry.runtimes and runtime not in registry.runtimes:
                _no_runtime(registry, faults, path, place, runtime)


def _standing(spec: StagesSpec) -> Iterator[tuple[str, Path, bool]]:
    for stage in ("canary", "prod", "previous"):
        standing = getattr(spec, stage)
        if standing is not None:
            yield standing.version, ("spec", stage, "version"), False
    for stage in ("dev", "draining"):
        for position, standing in enumerate(getattr(spec, stage)):
            yield standing.version, ("spec", stage, position, "version"), stage == "draining"
    for stage in ("deprecated", "disabled"):
        for position, version in enumerate(getattr(spec, stage)):
            yield version, ("spec", stage, position), False


def _stage_runtimes(spec: StagesSpec) -> Iterator[tuple[str, Path]]:
    for stage in ("canary", "prod", "previous"):
        standing = getattr(spec, stage)
        if standing is not None:
            yield standing.runtime, ("spec", stage, "runtime")
    for stage in ("dev", "draining"):
        for position, standing in enumerate(getattr(spec, stage)):
            yield standing.runtime, ("spec", stage, position, "runtime")


def _no_runtime(registry: Registry, faults: FaultList, path: str, place: Path, name: str) -> None:
    known = registry.runtimes
    hint = did_you_mean(name, known) or f"runtimes: {', '.join(sorted(known)) or 'none'}"
    faults.blame(path, place, f"no runtime {name!r} in runtimes/", hint)
