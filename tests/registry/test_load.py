from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.errors import Invalid, NotFound
from penstock.registry.load import load_registry, require_valid
from penstock.registry.source import GitSource, TreeSource
from penstock.testing.project import Project, project

AGENT = "registry_repo/agents/writer/1.0.0.yaml"
PROMPT = "registry_repo/prompts/writer/1.0.0.md"
TOOL = "registry_repo/tools/search/1.0.0.yaml"
POLICY = "registry_repo/policies/default/1.0.0.yaml"
MODEL = "registry_repo/models/standard/1.0.0.yaml"
SUITE = "contract_suites/writer/suite.yaml"
CASES = "datasets/products/cases.jsonl"

Files = dict[str, str]


def faults(tmp_path: Path, files: Files) -> list[str]:
    for path, text in files.items():
        place = tmp_path / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(text.encode())
    return [str(fault) for fault in load_registry(TreeSource(tmp_path)).faults]


def test_a_revision_and_the_working_tree_say_the_same(small: Project) -> None:
    for source in (GitSource(small.repository, "HEAD"), TreeSource(small.root)):
        registry = load_registry(source)
        assert registry.faults == []
        assert registry.agents() == ["writer"]
        assert len(registry.documents) == 5
        assert set(registry.suites) == set(registry.evals) == {"writer"}
        require_valid(registry)


def test_blob_ids_are_git_s(small: Project) -> None:
    tree, commit = TreeSource(small.root).entries(), GitSource(small.repository, "HEAD").entries()
    assert {path: (e.blob, e.mode, e.size) for path, e in tree.items()} == {
        path: (e.blob, e.mode, e.size) for path, e in commit.items()
    }


def change(path: str, old: str, new: str) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        assert old in files[path]
        files[path] = files[path].replace(old, new)

    return apply


ONE_FAULT = [
    (
        change(AGENT, "mode: workflow", "mode: workflo"),
        "5:9: spec.mode: 'workflo' is none of",
        "did you mean 'workflow'?",
    ),
    (change(AGENT, "maxCostUsd", "maxCostUSD"), "spec.limits.maxCostUSD: unknown field", "did you mean 'maxCostUsd'?"),
    (change(AGENT, "limits: {", "skillRefs: []\n  limits: {"), "'skillRefs' is not supported by this version", ""),
    (
        change(AGENT, "limits: {", "fallback: {human: {tools: [serch]}}\n  limits: {"),
        "spec.fallback.human.tools[0]: the agent has no tool serch",
        "did you mean search?",
    ),
    (
        change(AGENT, "limits: {", "fallback: {human: {tools: [search, search]}}\n  limits: {"),
        "spec.fallback.human.tools[1]: search stands here twice",
        "name it once",
    ),
    (
        change(AGENT, "limits: {", "fallback: {human: {tools: [search]}}\n  cache: {semantic: {}}\n  limits: {"),
        "an answer given again would leave out what a person decides",
        "remove the cache",
    ),
    (
        change(AGENT, "prompts/writer@1.0.0", "prompts/writre@1.0.0"),
        "no prompts/writre@1.0.0",
        "did you mean 'writer'?",
    ),
    (change(AGENT, "search@1.0.0", "search@1.1.0"), "spec.toolRefs[0].ref: no tools/search@1.1.0", "versions: 1.0.0"),
    (change(AGENT, "search@1.0.0", "search"), "has the wrong form", "Exact: tools/<name>@<version>."),
    (change(AGENT, "policyRefs: [policies/default@1.0.0]", "policyRefs: [policies/default]"), "has the wrong form", ""),
    (change(AGENT, "limit: 5", "limit: 50"), "spec.toolRefs[0].params.limit: 50 is greater than the maximum of 10", ""),
    (change(AGENT, "/product}", "/note}"), "/note is not required in the input", "give the variable a default"),
    (change(AGENT, "{product: {from: /product}}", "{}"), "variable 'product' of the prompt has no value", ""),
    (
        change(AGENT, "{from: /product}", "{from: /product, or: x}"),
        "spec.promptVariables.product.or: unknown field",
        "",
    ),
    (change(AGENT, "{from: /product}", "{a: 1}"), "spec.promptVariables.product", "'from' is missing"),
    (change(AGENT, "{product:", "{tone: x, product:"), "the prompt has no variable 'tone'", ""),
    (change(AGENT, "{from: /product}", "7"), "is not of type string", ""),
    (change(AGENT, "selector: direct", "selector: direkt"), "no runtime 'direkt'", "did you mean 'direct'?"),
    (change(AGENT, "toolCalling: true", "streaming: true"), "runtime 'direct' has no streaming", ""),
    (change(AGENT, "mode: workflow", "mode: conversational"), "has no mode conversational", ""),
    (change(AGENT, "version: 1.0.0", "version: 1.0.1"), "metadata.version: is '1.0.1', but the path says '1.0.0'", ""),
    (change(AGENT, "owner: qa", "owner: aq"), "metadata.owner: no team 'aq'", ""),
    (change(AGENT, "{schema: {type: object}}", "{schema: {type: objekt}}"), "is no JSON Schema", ""),
    (change(AGENT, "{schema: {type: object}}", "{schema: {$ref: 'https://example.org/x'}}"), "is no JSON Schema", ""),
    (change(AGENT, "{schema: {type: object}}", '{schema: {pattern: "(?=a)b"}}'), "no look-around", ""),
    (change(AGENT, "version: 1.0.0", "version: 1.0"), "metadata.version: should be text, not 1.0", ""),
    (change(PROMPT, "{{language}}", "{{ language}}"), "7:27: {{ is no variable", "variable 'language' is not used"),
    (change(PROMPT, "{{language}}", "{{tone}} {{language}}"), "7:27: variable 'tone' is not declared", ""),
    (change(PROMPT, "in {{language}}", ""), "variable 'language' is not used", ""),
    (change(PROMPT, "default: English", "default: 5"), "is not of type string", ""),
    (change(TOOL, "tool:search", "tool:find"), "has no function 'find'", ""),
    (change(TOOL, "tool:search", "tools:search"), "no file registry_repo/tools/search/1.0.0/tools.py", ""),
    (change(TOOL, "{query: a}", "{query: 1}"), "spec.examples[0].arguments.query: 1 is not of type", ""),
    (change(TOOL, "sideEffects: read", "sideEffects: read\n  secrets: [a b]"), "is no name of a secret", ""),
    (change(POLICY, '["*"]', '["tool.cal"]'), "no action 'tool.cal'", "did you mean 'tool.call'?"),
    (change(POLICY, "tools/*", "tools/a@1.0.0"), "is no resource", "without a version"),
    (change(POLICY, "tools/*", "*tools"), "is no pattern", ""),
    (change(POLICY, '["*"]', "[]"), "the rule matches nothing", ""),
    (change(MODEL, "{secret: KEY_NAME}", "abc"), "must be a reference to a secret", ""),
    (change(MODEL, "{secret: KEY_NAME}", "{secret: KEY_NAME, x: 1}"), "must be a reference to a secret", ""),
    (change(MODEL, "{apiKey:", "{numRetries: 3, apiKey:"), "'numRetries' is set by the engine", ""),
    (change(SUITE, "{product: Penstock}", "{product: 1}"), "spec.cases[0].input.product: agents/writer@1.0.0: 1", ""),
    (change(SUITE, "run.finished]", "run.finish]"), "no event type 'run.finish'", "did you mean 'run.finished'?"),
    (change(CASES, '"x"', "3"), f"{CASES}:1:1: input.product: agents/writer@1.0.0: 3 is not of type", ""),
    (
        change(CASES, "\n", '\n{"id": "a", "input": {"product": "y"}}\n'),
        ":2:1: id 'a' is there twice",
        "first on line 1",
    ),
    (change(CASES, "}}", "}"), "is no JSON", ""),
    (change("evals/writer.yaml", "products", "product"), "no dataset 'product'", "did you mean 'products'?"),
]


@pytest.mark.parametrize(("apply", "what", "hint"), ONE_FAULT)
def test_each_fault_is_found_and_said(
    tmp_path: Path, files: Files, apply: Callable[[Files], None], what: str, hint: str
) -> None:
    apply(files)
    found = "\n".join(faults(tmp_path, files))
    assert what in found
    assert hint in found


def test_a_price_in_neither_table_is_a_fault_only_with_a_cost_limit(tmp_path: Path, files: Files) -> None:
    files[MODEL] = (
        files[MODEL]
        .replace("scripted/qa", "openai/no-such-model")
        .replace("  price: {inputUsdPer1M: 0, outputUsdPer1M: 0}\n", "")
    )
    assert "has no price" in "".join(faults(tmp_path, files))
    files[AGENT] = files[AGENT].replace("  limits: {maxCostUsd: 0.5}\n", "")
    assert faults(tmp_path, files) == []


def test_litellm_s_own_table_is_a_price(tmp_path: Path, files: Files) -> None:
    files[MODEL] = (
        files[MODEL]
        .replace("scripted/qa", "openai/gpt-4o")
        .replace("  price: {inputUsdPer1M: 0, outputUsdPer1M: 0}\n", "")
    )
    assert faults(tmp_path, files) == []


def test_every_fault_comes_at_once_and_in_order(tmp_path: Path, files: Files) -> None:
    files[AGENT] = files[AGENT].replace("mode:", "mod:").replace("owner: qa", "owner: Qa")
    files[PROMPT] = files[PROMPT].replace("owner: qa", "owner: nobody")
    found = faults(tmp_path, files)
    assert found == sorted(found)
    assert len([fault for fault in found if fault.startswith(AGENT)]) == 3
    assert any("nobody" in fault for fault in found)


def test_reserved_folders_and_strange_files_are_refused(tmp_path: Path, files: Files) -> None:
    files |= {
        "registry_repo/skills/a/1.0.0.yaml": "x",
        "registry_repo/tenants.yaml": "x",
        "registry_repo/agents/writer/1.0.yaml": "x",
        "registry_repo/agents/writer/notes.txt": "x",
        "datasets/products/README.md": "allowed",
    }
    found = faults(tmp_path, files)
    assert len(found) == 4
    assert sum("not supported by this version" in fault for fault in found) == 2


def test_symlinks_submodules_and_case_collisions_are_refused(tmp_path: Path, files: Files) -> None:
    made = project(files, tmp_path / "project")
    (made.root / "registry_repo/agents/writer/1.1.0.yaml").symlink_to("/etc/passwd")
    folder = "registry_repo/tools/search/1.0.0"
    made.commit({f"{folder}/Data.txt": "a", f"{folder}/data.txt": "b"})
    made.git("update-index", "--add", "--cacheinfo", f"160000,{made.repository.head()},{folder}/sub")
    made.git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "-m", "sub")
    found = [str(fault) for fault in load_registry(GitSource(made.repository, "HEAD")).faults]
    assert any("1.1.0.yaml: is a symlink" in fault for fault in found)
    assert any("sub: is a submodule" in fault for fault in found)
    assert any("differs from" in fault and "in case alone" in fault for fault in found)


def test_encodings_are_bounded(tmp_path: Path, files: Files) -> None:
    place = tmp_path / AGENT
    for data, what in (
        (b"\xef\xbb\xbfa: 1\n", "byte order mark"),
        (b"a: 1\r\n", "carriage return"),
        (b"a: \xff\n", "is not UTF-8"),
        ("a: u\u0308\n".encode(), "NFC"),
        (b"#" * 300_000, "more than"),
    ):
        faults(tmp_path, files)
        place.write_bytes(data)
        assert any(what in str(fault) for fault in load_registry(TreeSource(tmp_path)).faults), what


def test_retired_pins_warn_and_deprecated_ones_stay(small: Project) -> None:
    small.write({"registry_repo/retired.yaml": "deprecated: [tools/search@1.0.0]\ndisabled: [models/standard@1.0.0]\n"})
    registry = load_registry(TreeSource(small.root))
    assert registry.faults == []
    assert [warning.what for warning in registry.warnings] == [
        "models/standard@1.0.0 is disabled in retired.yaml",
        "tools/search@1.0.0 is deprecated in retired.yaml",
    ]
    small.write({"registry_repo/retired.yaml": "disabled: [agents/writer@1.0.0, tools/serch@1.0.0, x]\n"})
    found = [str(fault) for fault in load_registry(TreeSource(small.root)).faults]
    assert len(found) == 3


def test_not_found_says_what_there_is(small: Project) -> None:
    registry = load_registry(TreeSource(small.root))
    with pytest.raises(NotFound, match=r"did you mean 'writer'\?"):
        registry.agent("writre", "1.0.0")
    with pytest.raises(NotFound, match=r"versions: 1\.0\.0"):
        registry.agent("writer", "2.0.0")


def test_invalid_carries_every_fault(tmp_path: Path, files: Files) -> None:
    files[AGENT] = files[AGENT].replace("mode: workflow", "mod: workflow")
    faults(tmp_path, files)
    with pytest.raises(Invalid) as caught:
        require_valid(load_registry(TreeSource(tmp_path)))
    assert len(caught.value.faults) == 2


def test_what_is_read_for_a_change_finds_what_reading_everything_finds(tmp_path: Path, files: Files) -> None:
    files[AGENT.replace("1.0.0", "1.1.0")] = (
        files[AGENT].replace("1.0.0, owner", "1.1.0, owner").replace("required: [product]", "required: [product, note]")
    )
    files[AGENT.replace("writer", "other")] = files[AGENT].replace("name: writer", "name: other")
    made = project(files, tmp_path / "project")
    source = GitSource(made.repository, "HEAD")
    whole = load_registry(source)
    part = load_registry(source, only=[AGENT.replace("1.0.0", "1.1.0")])
    assert [f for f in whole.faults if "1.1.0" in f.what] == part.faults != []
    assert "other" not in part.agents()
    by_suite = load_registry(source, only=[SUITE])
    assert by_suite.versions("writer") == ["1.0.0", "1.1.0"]
    assert by_suite.faults
