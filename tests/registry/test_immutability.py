from collections.abc import Callable

import pytest

from penstock.errors import Unavailable
from penstock.registry.change import change_against
from penstock.registry.immutability import history_faults, immutability_faults
from penstock.registry.source import GitSource, TreeSource
from penstock.testing.project import Project

AGENT = "registry_repo/agents/writer/1.0.0.yaml"
TOOL = "registry_repo/tools/search/1.0.0.yaml"
CODE = "registry_repo/tools/search/1.0.0/tool.py"


def found(made: Project) -> list[str]:
    """What the committed branch does, which the working tree must say as well."""
    repository = made.repository
    sources = (GitSource(repository, "HEAD"), TreeSource(made.root))
    both = [
        [str(fault) for fault in immutability_faults(repository, change_against(repository, source, "main"))]
        for source in sources
    ]
    assert both[0] == both[1]
    return both[0]


def comment(made: Project) -> None:
    made.commit({AGENT: (made.root / AGENT).read_text() + "# a comment\n"})


def mode(made: Project) -> None:
    (made.root / CODE).chmod(0o755)
    made.commit()


def symlink(made: Project) -> None:
    (made.root / CODE).unlink()
    (made.root / CODE).symlink_to("other.py")
    made.commit()


def rename(made: Project) -> None:
    made.git("mv", AGENT, AGENT.replace("1.0.0", "1.0.1"))
    made.commit()


@pytest.mark.parametrize(
    ("act", "what"),
    [
        (comment, f"{AGENT}: is released and was changed"),
        (lambda made: made.commit({AGENT: None}), f"{AGENT}: is released and was deleted"),
        (rename, "was renamed to registry_repo/agents/writer/1.0.1.yaml"),
        (lambda made: made.commit({CODE: "x = 1\n"}), f"{CODE}: is released and was changed"),
        (lambda made: made.commit({CODE.replace("tool.py", "b.py"): "x"}), "b.py: is added to a released version"),
        (mode, "changed its mode from 100644 to 100755"),
        (symlink, "changed its mode from 100644 to 120000"),
    ],
)
def test_released_versions_never_change(small: Project, act: Callable[[Project], object], what: str) -> None:
    small.branch("side")
    act(small)
    assert any(what in fault for fault in found(small))


def test_drafts_and_new_versions_may_change(small: Project) -> None:
    small.branch("side")
    new = AGENT.replace("1.0.0", "1.1.0")
    small.commit({new: "a"})
    small.commit({new: "b", "contract_suites/writer/suite.yaml": "c"})
    assert found(small) == []


def test_a_version_released_meanwhile_collides(small: Project) -> None:
    new, code = TOOL.replace("1.0.0", "1.1.0"), CODE.replace("1.0.0", "1.1.0")
    same = AGENT.replace("1.0.0", "1.1.0")
    small.branch("side")
    small.commit({new: "a", code.replace("tool.py", "more.py"): "x", same: "same"})
    small.git("checkout", "--quiet", "main")
    small.commit({new: "b", code: "y", same: "same", "registry_repo/agents/Writer/1.2.0.yaml": "x"})
    small.git("checkout", "--quiet", "side")
    small.commit({"registry_repo/agents/writer/1.2.0.yaml": "x"})
    faults = "\n".join(found(small))
    assert f"{new}: was released meanwhile with other content" in faults
    assert "more.py: is added to a version released meanwhile" in faults
    assert "differs from registry_repo/agents/Writer/1.2.0.yaml on the base branch in case alone" in faults
    assert same not in faults


def test_no_merge_base_is_unavailable(small: Project) -> None:
    small.git("checkout", "--quiet", "--orphan", "other")
    small.commit({"z": "1"})
    with pytest.raises(Unavailable, match="no merge base"):
        change_against(small.repository, GitSource(small.repository, "HEAD"), "main")


def test_main_is_judged_commit_by_commit(small: Project) -> None:
    start = small.git("rev-parse", "HEAD")
    text = (small.root / AGENT).read_text()
    bad = small.commit({AGENT: text + "# sly\n"})
    undone = small.commit({AGENT: text})
    fine = small.commit({AGENT.replace("1.0.0", "1.1.0"): "x"})
    repository = small.repository
    assert list(history_faults(repository, start, fine)) == [undone, bad]
    assert history_faults(repository, undone, fine) == {}
    assert history_faults(repository, fine, fine) == {}


def test_drafts_of_a_merged_branch_are_no_fault(small: Project) -> None:
    start = small.git("rev-parse", "HEAD")
    new = AGENT.replace("1.0.0", "1.1.0")
    small.branch("side")
    small.commit({new: "a"})
    small.commit({new: "b"})
    small.git("checkout", "--quiet", "main")
    small.commit({"x": "1"})
    small.git("-c", "user.name=a", "-c", "user.email=a@b", "merge", "--quiet", "--no-ff", "-m", "Merge", "side")
    assert history_faults(small.repository, start, small.git("rev-parse", "HEAD")) == {}
