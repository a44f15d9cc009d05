"""Spare tools and rules: what they must be able to do; they are part of release, impact and partial reading."""

from collections.abc import Callable
from pathlib import Path

import pytest

from penstock.contracts.reference import Reference
from penstock.errors import Invalid
from penstock.registry.impact import dependencies, rests_on
from penstock.registry.load import load_registry
from penstock.registry.resolve import closure, resolve
from penstock.registry.source import TreeSource
from penstock.scaffold.version import version_files
from penstock.testing.project import Project

Files = dict[str, str]
AGENT = "registry_repo/agents/writer/1.0.0.yaml"
TOOL = "registry_repo/tools/search/1.0.0.yaml"
SPARE = "registry_repo/tools/archive/1.0.0.yaml"
MENDER = "registry_repo/tools/mender/1.0.0.yaml"
SCHEMAS = """\
  input: {schema: {type: object, required: [query], properties: {query: {type: string}}}}
  output: {schema: {type: object, required: [hits], properties: {hits: {type: array}}}}
"""
MENDER_SCHEMAS = """\
  input:
    schema:
      type: object
      required: [input, faults, output]
      properties: {input: {type: object}, faults: {}, output: {}}
  output: {schema: {type: object}}
"""


def tool(name: str, schemas: str = SCHEMAS, more: str = "") -> Files:
    text = f"""apiVersion: penstock.dev/v1
kind: Tool
metadata: {{name: {name}, version: 1.0.0, owner: qa}}
spec:
{schemas}  params: {{schema: {{type: object, properties: {{limit: {{type: integer, maximum: 10}}}}}}}}
  implementation: {{type: python, entry: "tool:{name}"}}
  sideEffects: read
{more}"""
    folder = f"registry_repo/tools/{name}/1.0.0"
    return {f"{folder}.yaml": text, f"{folder}/tool.py": f"async def {name}(arguments, ctx): ...\n"}


@pytest.fixture
def standing(files: Files) -> Files:
    """The tool `search` has the spare `archive`, and the agent has a rule that is a tool, `mender`."""
    files |= {**tool("archive"), **tool("mender", MENDER_SCHEMAS)}
    files[TOOL] += "  fallback: {tool: tools/archive@1.0.0}\n"
    files[AGENT] += "  fallback: {rule: {tool: tools/mender@1.0.0}}\n"
    return files


def write(root: Path, files: Files) -> None:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def faults(root: Path, files: Files) -> list[str]:
    write(root, files)
    return [str(fault) for fault in load_registry(TreeSource(root)).faults]


def change(path: str, old: str, new: str) -> Callable[[Files], None]:
    def apply(files: Files) -> None:
        assert old in files[path]
        files[path] = files[path].replace(old, new)

    return apply


def test_spares_are_part_of_the_release_and_of_all_that_is_judged_by_it(tmp_path: Path, standing: Files) -> None:
    assert faults(tmp_path, standing) == []
    registry = load_registry(TreeSource(tmp_path))
    release = resolve(registry, "writer", "1.0.0").release
    assert [one.ref for one in release.tools] == ["tools/search@1.0.0"]
    assert [one.ref for one in release.spare_tools] == ["tools/archive@1.0.0", "tools/mender@1.0.0"]
    assert {file.digest for one in release.spare_tools for file in one.files} <= release.blobs
    assert [one.ref for one in release.all_tools][1:] == [one.ref for one in release.spare_tools]
    parts = {str(part.reference) for part in closure(registry, registry.agent("writer", "1.0.0"))}
    assert {"tools/archive@1.0.0", "tools/mender@1.0.0"} <= parts
    assert {SPARE, MENDER} <= rests_on(dependencies(registry), AGENT)
    partly = load_registry(TreeSource(tmp_path), only={AGENT})
    assert partly.faults == []
    assert resolve(partly, "writer", "1.0.0").release.digest == release.digest


def test_without_spares_a_release_has_no_such_field(small: Project) -> None:
    release = resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release
    assert "spareTools" not in release.as_document()


def test_a_disabled_spare_resolves_in_no_new_release(tmp_path: Path, standing: Files) -> None:
    write(tmp_path, {**standing, "registry_repo/retired.yaml": "disabled: [tools/archive@1.0.0]\n"})
    registry = load_registry(TreeSource(tmp_path))
    with pytest.raises(Invalid, match=r"spec.toolRefs\[0\].ref: tools/archive@1.0.0 is disabled"):
        resolve(registry, "writer", "1.0.0")


ONE_FAULT = [
    (change(TOOL, "archive@1.0.0", "archive@2.0.0"), "spec.fallback.tool: no tools/archive@2.0.0", "versions: 1.0.0"),
    (change(TOOL, "archive@1.0.0", "search@1.0.0"), "tools/search@1.0.0 leads back to this tool", ""),
    (
        change(SPARE, "sideEffects: read", "sideEffects: read\n  fallback: {tool: tools/search@1.0.0}"),
        "leads back to this tool",
        "",
    ),
    (change(SPARE, "sideEffects: read", "sideEffects: write"), "has sideEffects write, the tool has read", ""),
    (
        change(SPARE, "[query], properties", "[query, tone], properties"),
        "tools/archive@1.0.0 takes less: tone: is now required",
        "",
    ),
    (change(SPARE, "required: [hits], ", ""), "tools/archive@1.0.0 gives something else: hits: may now be missing", ""),
    (change(SPARE, "maximum: 10", "maximum: 3"), "spec.toolRefs[0].params.limit: tools/archive@1.0.0, which", "5 is"),
    (
        change(TOOL, "{tool: tools/archive@1.0.0}", "{answer: {hits: 3}}"),
        "spec.fallback.answer.hits: 3 is not of type",
        "",
    ),
    (
        change(TOOL, "{tool: tools/archive@1.0.0}", "{tool: tools/archive@1.0.0, answer: {hits: []}}"),
        "spec.fallback",
        "exactly one of tool, cached, answer",
    ),
    (change(TOOL, "{tool: tools/archive@1.0.0}", "{on: open}"), "exactly one of tool, cached, answer", ""),
    (
        lambda files: files.update({TOOL: _writing(files[TOOL], "{cached: {maxAgeS: 60}}")}),
        "spec.fallback.cached: the tool writes",
        "name a spare tool",
    ),
    (
        lambda files: files.update({TOOL: _writing(files[TOOL], "{on: failure, answer: {hits: []}}")}),
        "spec.fallback.on: the tool writes",
        "write on: open",
    ),
    (change(AGENT, "mender@1.0.0", "mendor@1.0.0"), "spec.fallback.rule.tool: no tools/mendor@1.0.0", "mender"),
    (change(AGENT, "tools/mender@1.0.0", "tools/search@1.0.0"), "tools/search is pinned twice", ""),
    (change(MENDER, "sideEffects: read", "sideEffects: write"), "tools/mender@1.0.0 writes", "only answers"),
    (change(MENDER, "[input, faults, output]", "[question]"), "does not take what a rule is asked: question", ""),
    (
        change(AGENT, "output: {schema: {type: object}}", "output: {schema: {type: object, required: [text]}}"),
        "the result of tools/mender@1.0.0 is not the agent's output: text: may now be missing",
        "",
    ),
    (change(AGENT, "output: {schema: {type: object}}", "output: {schema: {type: string}}"), "an object", "a template"),
    (
        change(AGENT, "{tool: tools/mender@1.0.0}", "{template: {text: {from: /tone}}}"),
        "spec.fallback.rule.template.text: /tone",
        "always there",
    ),
    (
        change(AGENT, "{tool: tools/mender@1.0.0}", "{template: {text: {from: /note}}}"),
        "/note is not required in the input",
        "",
    ),
    (change(AGENT, "{tool: tools/mender@1.0.0}", "{afterFailures: 3}"), "exactly one of template and tool", ""),
    (change(AGENT, "{tool: tools/mender@1.0.0}", "{afterFailures: 9, template: {}}"), "afterFailures", ""),
]


def _writing(text: str, fallback: str) -> str:
    return text.replace("sideEffects: read", "sideEffects: write").replace("{tool: tools/archive@1.0.0}", fallback)


@pytest.mark.parametrize(("apply", "what", "hint"), ONE_FAULT)
def test_each_fault_is_found_and_said(
    tmp_path: Path, standing: Files, apply: Callable[[Files], None], what: str, hint: str
) -> None:
    apply(standing)
    found = "\n".join(faults(tmp_path, standing))
    assert what in found
    assert hint in found


@pytest.mark.parametrize(
    ("template", "fault"),
    [
        ("{text: a, count: 3}", ""),
        ("{text: {from: /product}, count: 3}", ""),
        ("{text: {from: /product}, count: {from: /product}}", ""),
        ("{text: a, count: x}", "template.count"),
        ("{text: {from: /product}, count: x}", "template.count"),
        ("{text: {from: /product}}", '"count" is a required property'),
        ("{text: {from: /product}, count: 3, more: 1}", "'more' was unexpected"),
    ],
)
def test_a_template_is_judged_as_far_as_its_pointers_let_it(
    tmp_path: Path, standing: Files, template: str, fault: str
) -> None:
    output = "{type: object, required: [text, count], additionalProperties: false, "
    output += "properties: {text: {type: string}, count: {type: integer}}}"
    standing[AGENT] = standing[AGENT].replace("output: {schema: {type: object}}", f"output: {{schema: {output}}}")
    standing[AGENT] = standing[AGENT].replace("{tool: tools/mender@1.0.0}", f"{{template: {template}}}")
    found = "\n".join(faults(tmp_path, standing))
    assert fault in found
    assert bool(fault) == bool(found)


def test_schemas_that_are_none_are_said_where_they_stand_alone(tmp_path: Path, standing: Files) -> None:
    for path in (AGENT, SPARE, MENDER):
        assert "type: object" in standing[path]
        standing[path] = standing[path].replace("type: object", "type: objekt", 1)
    found = faults(tmp_path, standing)
    assert len(found) == 3
    assert all("is no JSON Schema" in fault for fault in found)


def test_a_new_version_moves_the_pins_of_fallbacks_too(tmp_path: Path, standing: Files) -> None:
    for path, text in list(standing.items()):
        if "/archive/1.0.0" in path or "/mender/1.0.0" in path:
            standing[path.replace("1.0.0", "1.1.0")] = text.replace("version: 1.0.0", "version: 1.1.0")
    assert faults(tmp_path, standing) == []
    registry = load_registry(TreeSource(tmp_path))
    for old, bump in (("tools/search@1.0.0", "tools/archive@1.1.0"), ("agents/writer@1.0.0", "tools/mender@1.1.0")):
        made = version_files(registry, Reference.parse(old), "1.1.0", [Reference.parse(bump)])
        assert any(bump.encode() in laid.data for laid in made.values())
