"""What must be read beside some files so that they can be judged: what they name, and who is judged by them."""

from collections.abc import Collection

from penstock.registry.documents import Registry
from penstock.registry.eval_checks import eval_paths
from penstock.registry.layout import RETIRED, SCORERS_FOLDER, STAGES_FOLDER, TEAMS, dataset_paths, document_path
from penstock.registry.reference_checks import pins_with_places
from penstock.registry.spare_tools import spare_of


class Needs:
    """The paths that a partly read registry still needs, step by step.

    An agent brings its suites and everything that it pins; a suite, all that it names, its judges included; a changed
    suite, all versions of its agent; a changed dataset or own scorer, the eval suites that use it.
    """

    def __init__(self, registry: Registry, changed: Collection[str]) -> None:
        self._registry = registry
        self._known = registry.source.entries()
        self._agents: dict[str, list[str]] = {}
        self._code: dict[tuple[str, str], list[str]] = {}
        self._always = {TEAMS, RETIRED}
        self._touched = {path.split("/")[1] for path in changed if path.startswith("contract_suites/")}
        stems = {path.rpartition("/")[2].removesuffix(".yaml") for path in changed if _is_named_after_agent(path)}
        self._touched |= stems
        datasets = {path.split("/")[1] for path in changed if path.startswith("datasets/")}
        self._shared = {path for name in datasets for path in dataset_paths(name)}
        self._shared |= {path for path in changed if path.startswith(SCORERS_FOLDER)}
        self._always |= {dataset_paths(name)[0] for name in datasets}
        for path in self._known:
            if path.startswith("registry_repo/agents/"):
                self._agents.setdefault(path.split("/")[2], []).append(path)
            elif path.startswith("registry_repo/tools/") and path.count("/") > 3:
                _, _, name, version, _ = path.split("/", 4)
                self._code.setdefault((name, version), []).append(path)
            elif path.startswith("runtimes/") or (self._shared and _is_eval(path)):
                self._always.add(path)

    def paths(self, seen: Collection[str]) -> set[str]:
        """What is there, is needed and is not in `seen`."""
        wanted = set(self._always)
        registry = self._registry
        for folder, name, version in registry.documents:
            if folder == "tools":
                wanted.update(self._code.get((name, version), []))
        spares = [spare for tool in registry.of("tools") if (spare := spare_of(tool)) is not None]
        wanted.update(document_path(spare.folder, spare.name, spare.version) for spare in spares)
        wanted.update(document_path("tools", name, version) for name, version in registry.code)
        for agent in registry.of("agents"):
            wanted.update(document_path(pin.folder, pin.name, pin.version) for pin, _ in pins_with_places(agent))
        evaluated = {name: eval_paths(suite.spec) for name, suite in registry.evals.items()}
        whole = self._touched | {name for name, paths in evaluated.items() if paths & self._shared}
        for name in {name for folder, name, _ in registry.documents if folder == "agents"} | whole:
            contract = registry.suites.get(name)
            if name in whole or (contract and any(case.fixtures for case in contract.spec.cases)):
                wanted.update(self._agents.get(name, []))
            wanted |= {f"contract_suites/{name}/suite.yaml", f"evals/{name}.yaml", f"{STAGES_FOLDER}{name}.yaml"}
            wanted |= evaluated.get(name, set())
        return {path for path in wanted if path in self._known and path not in seen}


def _is_named_after_agent(path: str) -> bool:
    return path.startswith(STAGES_FOLDER) or _is_eval(path)


def _is_eval(path: str) -> bool:
    return path.startswith("evals/") and not path.startswith(SCORERS_FOLDER)
