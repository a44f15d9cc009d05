import random
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.contracts.agent import Agent
from penstock.contracts.eval_suite import EvalSuite
from penstock.contracts.model import Model
from penstock.contracts.policy import Policy
from penstock.contracts.prompt import Prompt
from penstock.contracts.runtime import Runtime
from penstock.contracts.tool import Tool
from penstock.registry.change import change_against
from penstock.registry.documents import Loaded, Registry
from penstock.registry.impact import Lagging, Void, dependencies, impact, impact_paths, rests_on, touched
from penstock.registry.layout import document_path
from penstock.registry.load import load_registry
from penstock.registry.source import FILE, Entry, GitSource
from penstock.testing.project import Project, project

AGENT = "registry_repo/agents/writer/1.0.0.yaml"
PROMPT = "registry_repo/prompts/writer/1.0.0.md"


def brute_force(edges: dict[str, set[str]], changed: set[str]) -> dict[str, set[str]]:
    """Forward closure of every node, one at a time."""
    nodes = set(edges) | {path for used in edges.values() for path in used} | changed
    found = {}
    for node in nodes:
        closure = {node}
        while True:
            more = {path for reached in closure for path in edges.get(reached, set())} - closure
            if not more:
                break
            closure |= more
        if closure & changed:
            found[node] = closure & changed
    return found


def test_what_a_change_touches_equals_a_brute_force_closure_on_1000_random_graphs() -> None:
    chance = random.Random(20261121)
    for _ in range(1_000):
        agents = [f"agent{n}" for n in range(chance.randint(1, 8))]
        tools = [f"tool{n}" for n in range(chance.randint(0, 6))]
        leaves = [f"leaf{n}" for n in range(chance.randint(1, 10))]
        edges = {agent: set(chance.sample(tools + leaves, chance.randint(0, len(tools + leaves)))) for agent in agents}
        edges |= {tool: set(chance.sample(leaves, chance.randint(0, len(leaves)))) for tool in tools}
        for agent in agents:
            if chance.random() < 0.3:
                edges[agent].add(chance.choice(agents))
        nodes = agents + tools + leaves
        changed = set(chance.sample(nodes, chance.randint(0, min(4, len(nodes)))))
        assert touched(edges, changed) == brute_force(edges, changed)
        start = chance.choice(nodes)
        assert (start in brute_force(edges, changed)) == bool(rests_on(edges, start) & changed)


HEAD = {"apiVersion": "penstock.dev/v1"}
SPECS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "prompts": (Prompt, {"variables": {}}),
    "policies": (Policy, {"rules": [{"name": "all", "effect": "allow"}]}),
    "models": (Model, {"model": "scripted/qa", "contextTokens": 1000}),
    "tools": (
        Tool,
        {
            "input": {"schema": {"type": "object"}},
            "output": {"schema": {"type": "object"}},
            "implementation": {"type": "python", "entry": "tool:a"},
        },
    ),
}


class RandomRegistry:
    """A registry of random documents, suites, judges, datasets, scorers, recordings and runtimes."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.registry = Registry(SimpleNamespace(entries=dict, read=lambda path: b"", label="random"))
        self.used: dict[str, set[str]] = {}
        self.names = [f"a{n}" for n in range(chance.randint(1, 4))]
        self.runtimes = [f"r{n}" for n in range(chance.randint(1, 3))]
        pools = {folder: [self._add(folder, f"{folder[:2]}{n}") for n in range(3)] for folder in SPECS}
        for name in self.names:
            for minor in range(chance.randint(1, 2)):
                self._add_agent(name, f"1.{minor}.0", pools)
        for runtime in self.runtimes:
            declared = {"runtime": "x", "versions": ">=0", "adapter": "direct"}
            tools = {"modes": ["workflow"], "toolCalling": chance.random() < 0.5, "maxContextTokens": 1000}
            self.registry.runtimes[runtime] = Runtime.model_validate(
                {**HEAD, "kind": "Runtime", "metadata": {"name": runtime}, "spec": {**declared, "capabilities": tools}}
            )
        for name in self.names:
            if chance.random() < 0.8:
                self._add_suite(name)

    def evidence(self, name: str, version: str) -> set[str]:
        """Every file that the evidence of a version was made of, from the definition alone."""
        agent = self.registry.agent(name, version)
        files = self._release(agent) | self._runtimes(agent)
        files |= {f"contract_suites/{name}/suite.yaml", f"evals/{name}.yaml", "pipelines/release.yaml"}
        files |= {entry.path for entry in self.registry.recordings.get((name, version), [])}
        suite = self.registry.evals.get(name)
        for use in suite.spec.scorers if suite else []:
            if use.scorer.startswith("own/"):
                files.add(f"evals/scorers/{use.scorer[4:]}.py")
            if use.calibration:
                files |= {f"datasets/{use.calibration}/{file}" for file in ("dataset.yaml", "cases.jsonl")}
            if use.agent:
                judge = self.registry.get(use.agent)
                files |= self._release(judge) | self._runtimes(judge)
        for dataset in suite.spec.datasets if suite else []:
            files |= {f"datasets/{dataset}/{file}" for file in ("dataset.yaml", "cases.jsonl")}
        return files

    def _release(self, agent: Loaded) -> set[str]:
        files = {agent.path}
        for ref in (agent.spec.prompt_ref, agent.spec.model_ref, *agent.spec.policy_refs, *agent.spec.tool_refs):
            pinned = self.registry.get(ref)
            files.add(pinned.path)
            if pinned.reference.folder == "tools":
                key = (pinned.reference.name, pinned.reference.version)
                files |= {entry.path for entry in self.registry.code.get(key, [])}
        return files

    def _runtimes(self, agent: Loaded) -> set[str]:
        able = {name for name, one in self.registry.runtimes.items() if one.spec.capabilities.tool_calling}
        usable = able if agent.spec.tool_refs else set(self.registry.runtimes)
        chosen = {agent.spec.runtime.selector} & self.registry.runtimes.keys()
        return {f"runtimes/{name}.yaml" for name in usable | chosen}

    def _add(self, folder: str, name: str, version: str = "1.0.0", spec: dict[str, Any] | None = None) -> str:
        kind: type[Any] = Agent if folder == "agents" else SPECS[folder][0]
        metadata = {"name": name, "version": version, "owner": "qa"}
        document = {**HEAD, "kind": kind.__name__, "metadata": metadata, "spec": spec or SPECS[folder][1]}
        path = document_path(folder, name, version)
        loaded = Loaded(kind.model_validate(document), document, path, self._entry(path), b"", b"")
        self.registry.documents[folder, name, version] = loaded
        if folder == "tools":
            count = self.chance.randint(0, 2)
            code = [self._entry(f"registry_repo/tools/{name}/{version}/f{n}.py") for n in range(count)]
            self.registry.code[name, version] = code
        return f"{folder}/{name}@{version}"

    def _add_agent(self, name: str, version: str, pools: dict[str, list[str]]) -> None:
        chance = self.chance
        payload = {"schema": {"type": "object"}}
        spec = {
            "mode": "workflow",
            "promptRef": chance.choice(pools["prompts"]),
            "modelRef": chance.choice(pools["models"]),
            "toolRefs": chance.sample(pools["tools"], chance.randint(0, 2)),
            "policyRefs": chance.sample(pools["policies"], 1),
            "input": payload,
            "output": payload,
            "runtime": {"selector": chance.choice(self.runtimes)} if chance.random() < 0.5 else {},
        }
        self._add("agents", name, version, spec)
        if chance.random() < 0.5:
            recording = self._entry(f"contract_suites/{name}/{version}/case.jsonl")
            self.registry.recordings[name, version] = [recording]

    def _add_suite(self, name: str) -> None:
        chance = self.chance
        scorers: list[dict[str, Any]] = [{"scorer": "equals"}]
        scorers += [{"scorer": f"own/s{n}"} for n in range(3) if chance.random() < 0.4]
        for judge in self.names:
            if judge != name and chance.random() < 0.5:
                version = chance.choice(self.registry.versions(judge))
                use: dict[str, Any] = {"scorer": "judge", "agent": f"agents/{judge}@{version}"}
                scorers.append({**use, "calibration": "d2"} if chance.random() < 0.5 else use)
        spec = {"datasets": [f"d{chance.randint(0, 1)}"], "scorers": scorers}
        document = {**HEAD, "kind": "EvalSuite", "metadata": {"name": name}, "spec": spec}
        self.registry.evals[name] = EvalSuite.model_validate(document)

    def _entry(self, path: str) -> Entry:
        return Entry(path, FILE, SimpleNamespace(blob_id=lambda path: "0", size=lambda path: 0))


def test_void_evidence_equals_a_brute_force_closure_on_1000_random_registries() -> None:
    chance = random.Random(20261122)
    voided = 0
    for _ in range(1_000):
        made = RandomRegistry(chance)
        versions = [(name, version) for name in made.names for version in made.registry.versions(name)]
        files = {version: made.evidence(*version) for version in versions}
        known = sorted({path for used in files.values() for path in used} | {"datasets/other/cases.jsonl"})
        changed = set(chance.sample(known, chance.randint(0, 4)))
        expected = {
            Void(*version, path)
            for version, used in files.items()
            for path in used & changed - {document_path("agents", *version)}
        }
        found = impact(made.registry, [], changed).void
        assert set(found) == expected
        assert found == sorted(found)
        voided += len(found)
        for version, used in files.items():
            assert (
                rests_on(dependencies(made.registry), "agents/{}@{}".format(*version))
                - {"agents/{}@{}".format(*version)}
                == used
            )
    assert voided > 1_000


def shown(made: Project) -> tuple[list[str], list[Lagging], list[Void]]:
    repository = made.repository
    source = GitSource(repository, "HEAD")
    change = change_against(repository, source, "main")
    whole = impact(load_registry(source), change.added, change.files)
    reading = change.reading()
    if reading is not None:
        part = load_registry(source, only={*reading, *impact_paths(source, change.added)})
        assert impact(part, change.added, change.files) == whole
    return [f"{new.agent}@{new.version}<{new.previous}" for new in whole.new], whole.lagging, whole.void


def test_a_new_version_is_told_with_its_differences(small: Project) -> None:
    small.branch("side")
    texts = {path: (small.root / path).read_text() for path in (AGENT, PROMPT)}
    small.commit(
        {
            AGENT.replace("1.0.0", "1.1.0"): texts[AGENT]
            .replace("version: 1.0.0", "version: 1.1.0")
            .replace("writer@1.0.0", "writer@1.1.0")
            .replace("limit: 5", "limit: 7"),
            PROMPT.replace("1.0.0", "1.1.0"): texts[PROMPT]
            .replace("version: 1.0.0", "version: 1.1.0")
            .replace("Write of", "Write well of"),
        }
    )
    new, lagging, void = shown(small)
    assert (new, lagging, void) == (["writer@1.1.0<1.0.0"], [], [])
    source = GitSource(small.repository, "HEAD")
    change = change_against(small.repository, source, "main")
    (one,) = impact(load_registry(source), change.added, change.files).new
    told = {(difference.document, difference.pointer) for difference in one.differences}
    assert told == {
        ("agents/writer", "spec.promptRef"),
        ("agents/writer", "spec.toolRefs[0].params.limit"),
        ("prompts/writer", "body"),
    }


def test_agents_that_pin_an_older_version_lag_behind(small: Project) -> None:
    small.branch("side")
    path = "registry_repo/policies/default/1.0.0.yaml"
    text = (small.root / path).read_text()
    small.commit({path.replace("1.0.0", "1.1.0"): text.replace("version: 1.0.0", "version: 1.1.0")})
    assert shown(small) == (
        [],
        [Lagging("writer", "1.0.0", "policies/default@1.0.0", "policies/default@1.1.0")],
        [],
    )


def test_evidence_is_void_where_what_it_rested_on_changed(small: Project) -> None:
    for path, text in (
        ("contract_suites/writer/suite.yaml", "# changed\n"),
        ("datasets/products/cases.jsonl", '{"id": "b", "input": {"product": "y"}}\n'),
        ("runtimes/direct.yaml", "# changed\n"),
    ):
        small.git("checkout", "--quiet", "-B", "side", "main")
        small.commit({path: (small.root / path).read_text() + text})
        assert shown(small) == ([], [], [Void("writer", "1.0.0", path)])


@pytest.mark.parametrize(
    "path",
    ["evals/scorers/good_titles.py", "datasets/labels/cases.jsonl", "datasets/products/cases.jsonl"],
)
def test_evidence_rests_on_all_that_the_eval_suite_names(
    tmp_path: Path, files_of_evals: dict[str, str], path: str
) -> None:
    made = project(files_of_evals, tmp_path / "project")
    made.branch("side")
    made.commit({path: files_of_evals[path] + "\n"})
    assert shown(made) == ([], [], [Void("writer", "1.0.0", path)])


def test_a_judge_is_part_of_what_it_judges_and_its_own_suite_is_not(
    tmp_path: Path, files_of_evals: dict[str, str]
) -> None:
    suite = files_of_evals["contract_suites/writer/suite.yaml"].replace("name: writer", "name: judge")
    made = project({**files_of_evals, "contract_suites/judge/suite.yaml": suite}, tmp_path / "project")
    made.branch("side")
    made.commit({"contract_suites/judge/suite.yaml": suite + "# changed\n"})
    assert shown(made) == ([], [], [Void("judge", "1.0.0", "contract_suites/judge/suite.yaml")])
    made.git("checkout", "--quiet", "-B", "side", "main")
    old, new = "registry_repo/agents/judge/1.0.0.yaml", "registry_repo/agents/judge/1.1.0.yaml"
    made.commit({new: files_of_evals[old].replace("version: 1.0.0", "version: 1.1.0")})
    assert shown(made) == (["judge@1.1.0<1.0.0"], [], [])
    suite = files_of_evals["evals/writer.yaml"]
    made.commit({"evals/writer.yaml": suite.replace("judge@1.0.0", "judge@1.1.0")})
    void = [Void("writer", "1.0.0", "evals/writer.yaml"), Void("writer", "1.0.0", new)]
    assert shown(made) == (["judge@1.1.0<1.0.0"], [], void)


def test_a_changed_prompt_of_a_judge_voids_what_it_judged(tmp_path: Path, files_of_evals: dict[str, str]) -> None:
    made = project(files_of_evals, tmp_path / "project")
    registry = load_registry(GitSource(made.repository, "HEAD"))
    path = "registry_repo/prompts/judge/1.0.0.md"
    assert impact(registry, [], [path]).void == [Void("judge", "1.0.0", path), Void("writer", "1.0.0", path)]
    code = "registry_repo/tools/search/1.0.0/gone.py"
    assert impact(registry, [], [code]).void == [Void("judge", "1.0.0", code), Void("writer", "1.0.0", code)]


def test_a_disabled_version_is_not_touched(tmp_path: Path, files: dict[str, str]) -> None:
    stages = "apiVersion: penstock.dev/v1\nkind: Stages\nmetadata: {name: writer}\nspec: {disabled: [1.0.0]}\n"
    made = project({**files, "registry_repo/stages/writer.yaml": stages}, tmp_path / "project")
    made.branch("side")
    made.commit({"contract_suites/writer/suite.yaml": files["contract_suites/writer/suite.yaml"] + "# changed\n"})
    assert shown(made) == ([], [], [])
