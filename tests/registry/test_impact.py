import random
from pathlib import Path

from penstock.registry.change import change_against
from penstock.registry.impact import Lagging, Void, impact, pinning_paths, touched
from penstock.registry.load import load_registry
from penstock.registry.source import GitSource
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


def test_what_a_change_touches_equals_a_brute_force_closure_on_1000_random_registries() -> None:
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


def shown(made: Project) -> tuple[list[str], list[Lagging], list[Void]]:
    repository = made.repository
    source = GitSource(repository, "HEAD")
    change = change_against(repository, source, "main")
    whole = impact(load_registry(source), change.added, change.files)
    reading = change.reading()
    if reading is not None:
        part = load_registry(source, only={*reading, *pinning_paths(source, change.added)})
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


def test_a_disabled_version_is_not_touched(tmp_path: Path, files: dict[str, str]) -> None:
    stages = "apiVersion: penstock.dev/v1\nkind: Stages\nmetadata: {name: writer}\nspec: {disabled: [1.0.0]}\n"
    made = project({**files, "registry_repo/stages/writer.yaml": stages}, tmp_path / "project")
    made.branch("side")
    made.commit({"contract_suites/writer/suite.yaml": files["contract_suites/writer/suite.yaml"] + "# changed\n"})
    assert shown(made) == ([], [], [])
