import subprocess
from typing import Any

import pytest

from penstock.testing.gitlab import GitlabFake, Protection
from penstock.testing.project import Project


def push(shop: Project, *words: str) -> tuple[bool, str]:
    """Whether a push went through, and what git said."""
    environment = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0", "PATH": "/usr/bin:/bin", "LC_ALL": "C"}
    done = subprocess.run(
        ["git", "push", *words], cwd=shop.root, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode == 0, done.stderr


def test_clone_fetch_and_push_by_token(fake: GitlabFake, shop: Project) -> None:
    shop.branch("feature")
    made = shop.commit({"big.bin": bytes(range(256)) * 12_000, "a": "a"}, "Add")
    went, said = push(shop, fake.git_url("dev"), "feature")
    assert went
    assert "To create a merge request for feature, visit:" in said
    assert fake.head("feature") == made
    shop.git("clone", "--quiet", fake.git_url("ada"), str(shop.root.parent / "again"))
    assert (shop.root.parent / "again" / "README.md").read_text() == "shop\n"


@pytest.mark.parametrize(
    ("username", "refspec", "words"),
    [
        ("dev", "+HEAD:main", "You are not allowed to push code to protected branches on this project."),
        ("ada", "+HEAD:main", "You are not allowed to force push code to a protected branch on this project."),
        ("ada", ":main", "You can only delete protected branches using the web interface."),
    ],
)
def test_main_is_guarded(fake: GitlabFake, shop: Project, username: str, refspec: str, words: str) -> None:
    shop.git("checkout", "--quiet", "--orphan", "other")
    shop.commit({"a": "a"}, "Another history")
    main = fake.head("main")
    went, said = push(shop, fake.git_url(username), refspec)
    assert not went
    assert f"GitLab: {words}" in said
    assert "[remote rejected]" in said
    assert "(pre-receive hook declined)" in said
    assert fake.head("main") == main


def test_named_users_push_to_a_protected_branch_and_maintainers_do_not(fake: GitlabFake, shop: Project) -> None:
    fake.settings.protected = {"main": Protection(push_level=0, push_users={"bot"})}
    made = shop.commit({"a": "a"})
    assert not push(shop, fake.git_url("ada"), "main")[0]
    assert push(shop, fake.git_url("bot"), "main")[0]
    assert fake.head("main") == made


@pytest.mark.parametrize(("username", "status"), [("guest", "403"), ("outsider", "403")])
def test_who_is_no_developer_pushes_nothing(fake: GitlabFake, shop: Project, username: str, status: str) -> None:
    went, said = push(shop, fake.git_url(username), "main:feature")
    assert not went
    assert status in said
    went, said = push(shop, fake.git_url("dev").replace(fake.token_of("dev"), "wrong"), "main:feature")
    assert not went
    assert "Authentication failed" in said
    job = fake.git_url("dev").replace(fake.token_of("dev"), fake.job_token("dev"))
    assert not push(shop, job, "main:feature")[0]


def test_a_push_moves_the_head_of_an_open_merge_request(fake: GitlabFake, shop: Project, client: Any) -> None:
    shop.branch("feature")
    first = shop.commit({"a": "a"})
    push(shop, fake.git_url("dev"), "feature")
    made = client("dev").mergerequests.create({"title": "A", "source_branch": "feature", "target_branch": "main"})
    second = shop.commit({"b": "b"})
    push(shop, fake.git_url("dev"), "feature")
    assert client("dev").mergerequests.get(made.iid).sha == second
    versions = client("dev").manager.gitlab.http_list("/projects/15/merge_requests/1/versions", get_all=True)
    assert [one["head_commit_sha"] for one in versions] == [second, first]
    assert "added 1 commit" in [note.body for note in made.notes.list(activity_filter="only_activity", get_all=True)]
    assert shop.git("ls-remote", fake.git_url("dev"), "refs/merge-requests/1/head").split()[0] == second
    push(shop, fake.git_url("dev"), ":feature")
    assert client("dev").mergerequests.get(made.iid).detailed_merge_status == "commits_status"


def test_push_options_open_a_merge_request(fake: GitlabFake, shop: Project, client: Any) -> None:
    shop.branch("feature")
    shop.commit({"a": "a"})
    options = ["-o", "merge_request.create", "-o", "merge_request.title=It's $HOME; `a`"]
    assert push(shop, *options, fake.git_url("dev"), "feature")[0]
    (made,) = client("dev").mergerequests.list(get_all=True)
    assert (made.title, made.author["username"], made.target_branch) == ("It's $HOME; `a`", "dev", "main")
    shop.commit({"b": "b"})
    assert push(shop, *options, fake.git_url("dev"), "feature")[0]
    assert len(client("dev").mergerequests.list(get_all=True)) == 1


def test_what_is_pushed_past_the_server_is_taken_in_too(fake: GitlabFake, shop: Project, client: Any) -> None:
    """A merge request whose head reaches its target by another way counts as merged."""
    shop.branch("feature")
    made = shop.commit({"a": "a"})
    shop.push("feature")
    opened = client("dev").mergerequests.create({"title": "A", "source_branch": "feature", "target_branch": "main"})
    shop.git("push", "--quiet", "origin", "feature:main")
    assert client("dev").branches.get("main").commit["id"] == made
    assert client("dev").mergerequests.get(opened.iid).state == "merged"


def test_nothing_is_left_behind(shop: Project) -> None:
    import threading

    before = set(threading.enumerate())
    assert shop.remote is not None
    with GitlabFake(shop.remote, deliver_at_once=True) as fake:
        fake.commit("feature", {"a": "a"})
    assert set(threading.enumerate()) == before
    assert not (shop.remote / "hooks" / "pre-receive").exists()
    went, said = push(shop, fake.git_url("root"), "main")
    assert not went
    assert "Failed to connect" in said or "Couldn't connect" in said
