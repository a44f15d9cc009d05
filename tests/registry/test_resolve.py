import pytest

from penstock.contracts.canonical import digest_bytes
from penstock.contracts.release import Release
from penstock.errors import Invalid
from penstock.registry.load import load_registry
from penstock.registry.resolve import resolve
from penstock.registry.source import GitSource, TreeSource
from penstock.testing.project import Project

AGENT = "registry_repo/agents/writer/1.0.0.yaml"


def test_the_closure_is_the_same_from_every_source(small: Project) -> None:
    one = resolve(load_registry(GitSource(small.repository, "HEAD")), "writer", "1.0.0")
    other = resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0")
    assert one.release.digest == other.release.digest
    assert one.release.blobs == set(one.blobs)
    assert all(digest_bytes(data) == name for name, data in one.blobs.items())
    assert one.blobs[one.release.prompt.body] == b"Write of {{ product }} in {{language}}."
    assert [file.path for file in one.release.tools[0].files] == ["tool.py"]
    assert one.release.tools[0].params == {"limit": 5}
    assert Release.model_validate(one.release.as_document()).digest == one.release.digest


def test_identity_is_by_content_as_written(small: Project) -> None:
    before = resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release.digest
    text = (small.root / AGENT).read_text()
    small.write({AGENT: "# a comment\n" + text.replace("{maxCostUsd: 0.5}", "{maxCostUsd: 0.50}")})
    assert resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release.digest == before
    small.write({AGENT: text + "  routing: {stickyBy: session}\n"})  # a default, but written
    assert resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release.digest != before


def test_code_and_prompt_bytes_count(small: Project) -> None:
    seen = {resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release.digest}
    for path in ("registry_repo/tools/search/1.0.0/tool.py", "registry_repo/prompts/writer/1.0.0.md"):
        small.write({path: (small.root / path).read_text() + "# \n"})
        seen.add(resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release.digest)
    (small.root / "registry_repo/tools/search/1.0.0/tool.py").chmod(0o755)
    seen.add(resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release.digest)
    assert len(seen) == 4


def test_faults_of_the_closure_refuse_and_those_of_others_do_not(small: Project) -> None:
    small.write({"registry_repo/policies/other/1.0.0.yaml": "x: 1\n"})
    assert resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0").release.name == "writer"
    small.write({"registry_repo/tools/search/1.0.0/tool.py": "x = 1\n"})
    with pytest.raises(Invalid, match="has no function 'search'"):
        resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0")
    small.write({"registry_repo/models/standard/1.0.0.yaml": "x: 1\n"})
    with pytest.raises(Invalid, match=r"pins models/standard@1\.0\.0, which is not there or has faults"):
        resolve(load_registry(TreeSource(small.root)), "writer", "1.0.0")


def test_a_disabled_pin_resolves_in_no_new_release(small: Project) -> None:
    small.write({"registry_repo/retired.yaml": "disabled: [tools/search@1.0.0]\n"})
    registry = load_registry(TreeSource(small.root))
    with pytest.raises(Invalid, match=r"spec.toolRefs\[0\].ref: tools/search@1.0.0 is disabled"):
        resolve(registry, "writer", "1.0.0")
    assert resolve(registry, "writer", "1.0.0", allow_retired=True).release.name == "writer"
