import subprocess
from pathlib import Path

import pytest

from penstock.errors import Conflict, NotFound, Refused, Unavailable, WrongUse
from penstock.registry.commit import read_trailers, write_trailers
from penstock.registry.git import Repository
from penstock.testing.project import Project, project

BOT = ("Bot", "Bot@Example.org")


def test_no_repository_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="no Git repository"):
        Repository.open(tmp_path)


def test_revisions_and_blobs(small: Project) -> None:
    repository = small.repository
    head = repository.head()
    assert repository.resolve("main") == head == small.git("rev-parse", "HEAD")
    assert repository.blob_id(head, "runtimes/direct.yaml") == small.git("rev-parse", "HEAD:runtimes/direct.yaml")
    assert repository.read(head, "runtimes/direct.yaml") == (small.root / "runtimes/direct.yaml").read_bytes()
    assert repository.read(head, "runtimes") is None
    assert repository.read(head, "nowhere") is None
    with pytest.raises(NotFound):
        repository.resolve("no-such")


def test_commits_newest_first_by_path_with_trailers(small: Project) -> None:
    message = write_trailers(
        "Move", "Because.", {"Penstock-Action": ["promote"], "Approved-by": ["A <a@b>", "C <c@d>"]}
    )
    first = small.git("rev-parse", "HEAD")
    second = small.commit({"a": "1"}, message, BOT)
    third = small.commit({"b": "1"}, "Other")
    repository = small.repository
    assert [commit.id for commit in repository.commits()] == [third, second, first]
    (found,) = repository.commits("a", since=first, until="HEAD")
    assert (found.id, found.author_email, found.subject) == (second, "bot@example.org", "Move")
    assert found.trailers == {"Penstock-Action": ["promote"], "Approved-by": ["A <a@b>", "C <c@d>"]}


@pytest.mark.parametrize("text", ["Subject: x", "S\n\nA: b\nnot a trailer", "S\n\nA: b\n\nText"])
def test_only_a_whole_last_paragraph_is_trailers(text: str) -> None:
    assert read_trailers(text) == {}


def test_a_commit_is_written_without_a_checkout_and_pushed(tmp_path: Path, files: dict[str, str]) -> None:
    made = project(files, tmp_path / "project", remote=True)
    repository = made.repository
    head = repository.head()
    commit = repository.write_commit(head, {"runtimes/direct.yaml": None, "new/file": b"x"}, "Change\n", BOT)
    assert repository.head() == head
    assert repository.read(commit, "new/file") == b"x"
    assert repository.read(commit, "runtimes/direct.yaml") is None
    repository.push(commit, "main", expected=head)
    assert repository.base_head("main") == commit
    late = repository.write_commit(head, {"other": b"x"}, "Late\n", BOT)
    with pytest.raises(Conflict, match=f"expected {head}, found {commit}"):
        repository.push(late, "main", expected=head)
    with pytest.raises(Conflict):
        repository.push(late, "main")
    with pytest.raises(WrongUse):
        repository.push(late, "main", expected=commit)


def test_a_remote_that_says_no_and_one_that_is_gone(tmp_path: Path, files: dict[str, str]) -> None:
    made = project(files, tmp_path / "project", remote=True)
    assert made.remote is not None
    hook = made.remote / "hooks/pre-receive"
    hook.write_text("#!/bin/sh\necho main is closed >&2\nexit 1\n")
    hook.chmod(0o755)
    repository = made.repository
    commit = repository.write_commit(repository.head(), {"a": b"1"}, "Change\n", BOT)
    with pytest.raises(Refused, match="main is closed"):
        repository.push(commit, "main")
    made.remote.rename(made.remote.with_suffix(".gone"))
    with pytest.raises(Unavailable, match="git fetch failed"):
        repository.fetch()
    with pytest.raises(Unavailable, match="git push failed"):
        repository.push(commit, "main")


def test_without_a_remote_the_branch_moves_here_by_compare_and_swap(small: Project) -> None:
    repository = small.repository
    head = repository.head()
    assert not repository.has_remote()
    repository.fetch()
    commit = repository.write_commit(head, {"a": b"1"}, "Change\n", BOT)
    repository.push(commit, "main", expected=head)
    assert (small.root / "a").read_text() == "1", "the checkout follows"
    assert repository.base_head("main") == commit
    with pytest.raises(Conflict):
        repository.push(repository.write_commit(head, {"b": b"1"}, "Late\n", BOT), "main", expected=head)
    small.branch("side")
    later = repository.write_commit(commit, {"c": b"1"}, "Change\n", BOT)
    repository.push(later, "main", expected=commit)
    assert repository.resolve("main") == later


def test_a_shallow_clone_says_how_to_mend_it(tmp_path: Path, files: dict[str, str]) -> None:
    made = project(files, tmp_path / "project", remote=True)
    made.branch("side")
    made.commit({"a": "1"})
    made.git("checkout", "--quiet", "main")
    made.commit({"b": "1"})
    made.git("push", "--quiet", "origin", "main", "side")
    clone = tmp_path / "clone"
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", "--no-single-branch", f"file://{made.remote}", str(clone)], check=True
    )
    repository = Repository.open(clone)
    main, side = repository.resolve("origin/main"), repository.resolve("origin/side")
    with pytest.raises(Unavailable, match="git fetch --unshallow"):
        repository.merge_base(main, side)
    with pytest.raises(Unavailable, match="shallow"):
        repository.is_ancestor(side, main)


def test_unrelated_histories_have_no_merge_base(small: Project) -> None:
    head = small.git("rev-parse", "HEAD")
    small.git("checkout", "--quiet", "--orphan", "other")
    other = small.commit({"z": "1"})
    assert small.repository.merge_base(head, other) is None
    assert not small.repository.is_ancestor(head, other)


def test_a_project_may_be_a_folder_of_a_repository(tmp_path: Path) -> None:
    made = project({"sub/runtimes/a.yaml": "x", "sub/b": "1"}, tmp_path / "project")
    repository = Repository.open(made.root / "sub")
    head = repository.head()
    assert [file.path for file in repository.files(head, ("runtimes",))] == ["runtimes/a.yaml"]
    commit = repository.write_commit(head, {"b": b"2"}, "Change\n", BOT)
    assert repository.read(commit, "b") == b"2"
    assert made.repository.read(commit, "sub/b") == b"2"
    assert list(repository.changes(head, commit)) == ["b"]


def test_identity_is_the_clone_s_own(small: Project) -> None:
    small.identify(("Ada", "Ada@Example.org"))
    assert small.repository.identity() == ("Ada", "ada@example.org")


def test_a_commit_that_changes_one_file_alone_in_a_larger_repository_too(small: Project) -> None:
    first = small.commit({"shop/a.yaml": "1", "other/b.yaml": "1"}, "Two folders")
    alone = small.commit({"shop/a.yaml": "2"}, "One file")
    more = small.commit({"shop/a.yaml": "3", "other/b.yaml": "2"}, "And one outside of the project")
    shop = Repository.open(small.root / "shop")
    assert shop.changes_alone(alone, "a.yaml")
    assert not shop.changes_alone(alone, "b.yaml")
    assert not shop.changes_alone(more, "a.yaml")
    assert set(shop.changes(alone, more)) == {"a.yaml"}, "what is outside is not seen there"
    small.git("checkout", "--quiet", "-b", "side", first)
    small.commit({"shop/a.yaml": "2"}, "The same")
    small.git("merge", "--quiet", "-s", "ours", "-m", "Merge", alone)
    assert not shop.changes_alone(small.git("rev-parse", "HEAD").strip(), "a.yaml")
