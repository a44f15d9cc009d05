from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import gitlab
import pytest

from penstock.testing.gitlab import GitlabFake, Protection
from penstock.testing.gitlab.contract import violations


@pytest.fixture(autouse=True, params=["answered", pytest.param("judged", marks=pytest.mark.servers)])
def judged(request: pytest.FixtureRequest, fake: GitlabFake) -> Iterator[None]:
    """Every test runs once more where GitLab's document is, and holds against it all that was asked and answered."""
    yield
    if request.param == "judged":
        assert violations(fake.calls) == []


def opened(fake: GitlabFake, client: Any, branch: str = "feature", by: str = "dev") -> Any:
    fake.commit(branch, {"prices.txt": "1\n2\n4\n"}, "Four", by=by)
    return client(by).mergerequests.create({"title": "Four", "source_branch": branch, "target_branch": "main"})


def test_merge_makes_a_commit_with_both_parents(fake: GitlabFake, client: Any, shop: Any) -> None:
    made = opened(fake, client)
    main = fake.head("main")
    client("ada").mergerequests.get(made.iid).merge(sha=made.sha)
    merged = client("dev").mergerequests.get(made.iid)
    assert (merged.state, merged.merge_user["username"], merged.merge_commit_sha) == (
        "merged",
        "ada",
        fake.head("main"),
    )
    shop.git("fetch", "--quiet", "origin")
    assert shop.git("log", "-1", "--format=%P %an %ae", "origin/main") == f"{main} {made.sha} Ada ada@example.org"
    assert shop.git("show", "origin/main:prices.txt") == "1\n2\n4"
    assert "See merge request shop/agents!1" in shop.git("log", "-1", "--format=%B", "origin/main")


@pytest.mark.parametrize(
    ("method", "squash", "commits"), [("ff", False, 2), ("ff", True, 1), ("merge", True, 2), ("rebase_merge", False, 3)]
)
def test_method_and_squash_are_the_projects(
    fake: GitlabFake, client: Any, shop: Any, method: Any, squash: bool, commits: int
) -> None:
    fake.settings.merge_method = method
    fake.settings.squash_option = "always" if squash else "default_on"  # a given flag wins over a default
    main = fake.head("main")
    fake.commit("feature", {"a": "a"}, "One", by="dev")
    made = opened(fake, client)
    assert client("ada").mergerequests.get(made.iid).squash_on_merge
    client("ada").mergerequests.get(made.iid).merge(squash=False, should_remove_source_branch=True)
    merged = client("ada").mergerequests.get(made.iid)
    shop.git("fetch", "--quiet", "--prune", "origin")
    assert len(shop.git("rev-list", f"{main}..origin/main").splitlines()) == commits
    assert (merged.squash_commit_sha is not None, merged.merge_commit_sha is not None) == (squash, method != "ff")
    assert shop.git("branch", "-r").split() == ["origin/main"]


def test_a_head_that_moved_since_it_was_read_is_not_merged(fake: GitlabFake, client: Any) -> None:
    made = client("ada").mergerequests.get(opened(fake, client).iid)
    fake.before("PUT", r"/merge$", lambda: fake.commit("feature", {"late": "late"}, by="dev"))
    with pytest.raises(gitlab.GitlabMRClosedError, match="409: SHA does not match HEAD of source branch") as refused:
        made.merge(sha=made.sha)
    assert fake.merge_request(made.iid).head in str(refused.value)
    assert fake.merge_request(made.iid).state == "opened"


def test_what_is_not_in_a_state_to_be_merged_is_405_and_what_conflicts_422(fake: GitlabFake, client: Any) -> None:
    made = client("ada").mergerequests.get(opened(fake, client).iid)

    def refusal() -> str:
        with pytest.raises(gitlab.GitlabMRClosedError) as refused:
            client("ada").mergerequests.get(made.iid).merge()
        return f"{refused.value.response_code} {client('ada').mergerequests.get(made.iid).detailed_merge_status}"

    made.title = "Draft: Four"
    made.save()
    assert refusal() == "405 draft_status"
    made.title = "Four"
    made.save()
    thread = made.discussions.create({"body": "No"})
    fake.settings.needs_resolved_discussions = True
    assert refusal() == "405 discussions_not_resolved"
    thread.resolved = True
    thread.save()
    fake.settings.needs_pipeline = True
    assert refusal() == "405 ci_must_pass"
    client("ada").commits.get(made.sha).statuses.create({"state": "running", "name": "penstock"})
    assert refusal() == "405 ci_still_running"
    client("ada").commits.get(made.sha).statuses.create({"state": "success", "name": "penstock"})
    fake.settings.approvals_required = 1
    assert refusal() == "405 not_approved"
    client("eve").mergerequests.get(made.iid).approve()
    fake.commit("main", {"prices.txt": "1\n2\n5\n"})
    assert refusal() == "422 conflict"
    fake.settings.merge_method = "rebase_merge"
    fake.commit("feature", {"prices.txt": "1\n2\n5\n"}, by="dev")
    client("ada").commits.get(fake.head("feature")).statuses.create({"state": "success", "name": "penstock"})
    assert refusal() == "422 need_rebase"
    made.state_event = "close"
    made.save()
    assert refusal() == "405 not_open"


def test_of_two_who_merge_at_once_one_does(fake: GitlabFake, client: Any) -> None:
    made, main = opened(fake, client), fake.head("main")

    def merge(username: str) -> int:
        try:
            client(username).mergerequests.get(made.iid, lazy=True).merge(sha=made.sha)
        except gitlab.GitlabMRClosedError as refused:
            return int(refused.response_code or 0)
        return 200

    with ThreadPoolExecutor(2) as people:
        assert sorted(people.map(merge, ["ada", "bot"])) == [200, 405]
    compared = client("ada").repository_compare(main, "main")
    assert [len(commit["parent_ids"]) for commit in compared["commits"]] == [1, 2]


def test_checking_takes_as_many_reads_as_it_is_told(fake: GitlabFake, client: Any) -> None:
    fake.settings.checking_reads = 2
    made = opened(fake, client)  # the answer to the creation is the first read
    assert made.detailed_merge_status == "checking"
    with pytest.raises(gitlab.GitlabMRClosedError, match="405"):
        client("ada").mergerequests.get(made.iid, lazy=True).merge()
    assert client("ada").mergerequests.get(made.iid).detailed_merge_status == "checking"
    assert client("ada").mergerequests.get(made.iid).detailed_merge_status == "mergeable"


def test_one_open_merge_request_a_branch(fake: GitlabFake, client: Any) -> None:
    first = opened(fake, client)
    order = {"title": "Again", "source_branch": "feature", "target_branch": "main"}
    with pytest.raises(gitlab.GitlabCreateError, match=r"409: .*Another open merge request .* !1"):
        client("ada").mergerequests.create(order)
    first.state_event = "close"
    first.save()
    second = client("ada").mergerequests.create(order)
    with pytest.raises(gitlab.GitlabUpdateError, match="409"):
        client("dev").mergerequests.update(first.iid, {"state_event": "reopen"})
    assert [made.iid for made in client("ada").mergerequests.list(state="opened", get_all=True)] == [second.iid]
    assert client("ada").mergerequests.get(first.iid).closed_by["username"] == "dev"


def test_numbers_are_not_given_twice_and_gone_branches_are_met(fake: GitlabFake, client: Any) -> None:
    made = client("ada").mergerequests.get(opened(fake, client).iid)
    client("ada").branches.delete("feature")
    with pytest.raises(gitlab.GitlabMRRebaseError, match="403"):
        made.rebase()
    fake.commit("other", {"a": "a"})
    made.target_branch = "other"
    made.save()
    made.delete()
    assert opened(fake, client).iid == made.iid + 1


def test_lists_filter_and_page(fake: GitlabFake, client: Any) -> None:
    for number in range(5):
        fake.commit(f"branch-{number}", {f"{number}": "x"}, by="dev")
        fake.open_merge_request(f"branch-{number}", by="dev", title=f"Change {number}")
    ada = client("ada")
    ada.mergerequests.update(2, {"labels": ["penstock", "prod"]})
    assert [made.iid for made in ada.mergerequests.list(labels=["penstock"], get_all=True)] == [2]
    assert [made.iid for made in ada.mergerequests.list(source_branch="branch-3", get_all=True)] == [4]
    assert [made.iid for made in ada.mergerequests.list(iids=[1, 5], sort="asc", get_all=True)] == [1, 5]
    assert ada.mergerequests.list(author_username="ada", get_all=True) == []
    listed = ada.mergerequests.list(iterator=True, per_page=2, order_by="created_at", sort="asc")
    assert (listed.total, listed.total_pages, listed.per_page, listed.next_page) == (5, 3, 2, 2)
    assert [made.iid for made in listed] == [1, 2, 3, 4, 5]
    later = ada.mergerequests.list(updated_after=datetime.now(UTC).replace(year=2000).isoformat(), get_all=True)
    assert len(later) == 5
    by_keyset = ada.branches.list(iterator=True, pagination="keyset", per_page=2)
    assert [branch.name for branch in by_keyset] == [*(f"branch-{number}" for number in range(5)), "main"]


def test_notes_are_written_changed_and_sorted(fake: GitlabFake, client: Any) -> None:
    made = opened(fake, client)
    first = made.notes.create({"body": "first"})
    second = client("bot").mergerequests.get(made.iid).notes.create({"body": "second"})
    first.body = "first, again"
    first.save()
    listed = made.notes.list(sort="asc", get_all=True)
    assert [note.body for note in listed] == ["first, again", "second"]
    assert [note.id for note in made.notes.list(get_all=True)] == [second.id, first.id]
    with pytest.raises(gitlab.GitlabUpdateError, match="403"):
        made.notes.update(second.id, {"body": "not mine"})
    with pytest.raises(gitlab.GitlabCreateError, match="can't be blank"):
        made.notes.create({"body": " "})
    with pytest.raises(gitlab.GitlabCreateError, match="is too long"):
        made.notes.create({"body": "x" * 1_000_001})
    assert len(made.notes.create({"body": "x" * 1_000_000}).body) == 1_000_000
    second.delete()
    with pytest.raises(gitlab.GitlabGetError, match="404"):
        made.notes.get(second.id)


def test_an_emoji_is_given_once(fake: GitlabFake, client: Any) -> None:
    note = opened(fake, client).notes.create({"body": "/penstock plan"})
    note.awardemojis.create({"name": "eyes"})
    with pytest.raises(gitlab.GitlabCreateError, match="404 Award Emoji Name has already been taken"):
        note.awardemojis.create({"name": "eyes"})
    assert [(one.name, one.user["username"]) for one in note.awardemojis.list(get_all=True)] == [("eyes", "dev")]


def test_discussions_are_resolved_by_those_who_may(fake: GitlabFake, client: Any) -> None:
    fake.settings.visibility = "public"
    made = opened(fake, client)
    thread = client("bot").mergerequests.get(made.iid).discussions.create({"body": "This blocks"})
    assert not client("dev").mergerequests.get(made.iid).blocking_discussions_resolved
    with pytest.raises(gitlab.GitlabUpdateError, match="403"):
        client("outsider").mergerequests.get(made.iid).discussions.update(thread.id, {"resolved": True})
    made.discussions.update(thread.id, {"resolved": True})
    shown = made.discussions.get(thread.id).attributes["notes"][0]
    assert (shown["resolvable"], shown["resolved"], shown["resolved_by"]["username"]) == (True, True, "dev")
    assert client("dev").mergerequests.get(made.iid).blocking_discussions_resolved
    alone = made.notes.create({"body": "only a remark"})
    listed = {one.attributes["notes"][0]["id"]: one for one in made.discussions.list(get_all=True)}
    assert listed[alone.id].individual_note
    with pytest.raises(gitlab.GitlabUpdateError, match="403"):
        made.discussions.update(listed[alone.id].id, {"resolved": True})


def test_statuses_go_one_way_until_they_end(fake: GitlabFake, client: Any) -> None:
    sha = opened(fake, client).sha
    commit = client("bot").commits.get(sha)

    def post(state: str, **more: str) -> Any:
        return commit.statuses.create({"state": state, "name": "penstock", **more})

    row = post("pending")
    with pytest.raises(gitlab.GitlabCreateError, match="400: Cannot transition status via :enqueue from :pending"):
        post("pending")
    assert post("running").id == row.id
    with pytest.raises(gitlab.GitlabCreateError, match="Cannot transition status via :run from :running"):
        post("running")
    assert (post("failed").id, fake.state.pipelines[-1].status) == (row.id, "failed")
    again = post("pending", description="once more")
    assert again.id != row.id
    assert [one.id for one in commit.statuses.list(get_all=True)] == [again.id]
    assert [one.id for one in commit.statuses.list(get_all=True, all=True)] == [row.id, again.id]
    fake.commit("other", {}, start="feature")
    client("bot").commits.get(sha).statuses.create({"state": "success", "name": "penstock", "ref": "other"})
    assert [one.ref for one in commit.statuses.list(get_all=True, name="penstock")] == ["feature", "other"]
    with pytest.raises(gitlab.GitlabCreateError, match="403"):
        client("dev").commits.get(fake.head("main")).statuses.create({"state": "success", "ref": "main"})


def test_approvals_are_of_people_and_are_reset_where_the_project_says_so(fake: GitlabFake, client: Any) -> None:
    made = opened(fake, client)
    with pytest.raises(gitlab.GitlabMRApprovalError, match="409"):
        client("eve").mergerequests.get(made.iid).approve(sha="0" * 40)
    client("eve").mergerequests.get(made.iid).approve(sha=made.sha)
    with pytest.raises(gitlab.GitlabAuthenticationError, match="401"):
        client("eve").mergerequests.get(made.iid).approve()
    assert [one["user"]["username"] for one in made.approvals.get().approved_by] == ["eve"]
    fake.commit("feature", {"b": "b"}, by="dev")
    assert len(made.approvals.get().approved_by) == 1
    fake.settings.reset_approvals_on_push = True
    fake.commit("feature", {"c": "c"}, by="dev")
    assert made.approvals.get().approved_by == []
    fake.settings.author_may_approve = False
    with pytest.raises(gitlab.GitlabAuthenticationError, match="401"):
        client("dev").mergerequests.get(made.iid).approve()


def test_a_jobs_token_writes_no_notes_statuses_or_approvals_but_deploys(fake: GitlabFake, client: Any) -> None:
    made = opened(fake, client)
    job = client("ada", job=True)
    request = job.mergerequests.get(made.iid, lazy=True)
    for write in (
        lambda: request.notes.create({"body": "no"}),
        lambda: job.commits.get(made.sha, lazy=True).statuses.create({"state": "success"}),
        request.approve,
    ):
        with pytest.raises(gitlab.GitlabAuthenticationError, match="401"):
            write()
    with pytest.raises(gitlab.GitlabGetError, match="404 Project Not Found"):
        job.mergerequests.get(made.iid)
    order = {"environment": "prod", "sha": made.sha, "ref": "feature", "tag": False, "status": "running"}
    deployed = job.deployments.create(order)
    deployed.status = "success"
    deployed.save()
    (place,) = job.environments.list(get_all=True)
    assert (place.name, place.tier) == ("prod", "production")
    assert job.environments.get(place.id).last_deployment["sha"] == made.sha


def test_access_is_by_level(fake: GitlabFake, client: Any) -> None:
    made = opened(fake, client)
    for username, status in (("outsider", 404), ("guest", 403)):
        with pytest.raises(gitlab.GitlabGetError) as refused:
            client(username).mergerequests.get(made.iid)
        assert refused.value.response_code == status
    with pytest.raises(gitlab.GitlabAuthenticationError, match="401"):
        client("dev").mergerequests.get(made.iid).merge()
    with pytest.raises(gitlab.GitlabAuthenticationError, match="401"):
        client("ada", token="glpat-nobody").mergerequests.get(made.iid)
    reader = client("ada", token=fake.add_token("ada", "read_api").value).mergerequests.get(made.iid)
    with pytest.raises(gitlab.GitlabCreateError, match=r"403: insufficient_scope"):
        reader.notes.create({"body": "no"})
    late = fake.add_token("ada", "api", expires_at=datetime(2000, 1, 1, tzinfo=UTC))
    with pytest.raises(gitlab.GitlabAuthenticationError, match="invalid_token"):
        client("ada", token=late.value).mergerequests.get(made.iid)


def test_members_show_levels_and_addresses_stay_private(fake: GitlabFake, client: Any) -> None:
    server = client("ada").manager.gitlab
    server.auth()
    (dev,) = server.users.list(username="dev")
    assert client("ada").members_all.get(dev.id).access_level == 30
    assert server.users.get(server.user.id).public_email == server.user.email == "ada@example.org"
    assert "email" not in server.users.get(dev.id).attributes
    (outsider,) = server.users.list(username="outsider")
    with pytest.raises(gitlab.GitlabGetError, match="404"):
        client("ada").members_all.get(outsider.id)
    fake.set_access("dev", None)
    with pytest.raises(gitlab.GitlabGetError, match="404"):
        client("ada").members_all.get(dev.id)


def test_branches_say_who_may_push(fake: GitlabFake, client: Any) -> None:
    fake.settings.protected = {"main": Protection(push_level=0, push_users={"bot"}), "release/*": Protection()}
    fake.commit("release/1", {"r": "r"})
    seen = {name: client(name).branches.get("main").can_push for name in ("bot", "dev")}
    assert seen == {"bot": True, "dev": False}
    assert client("dev").branches.get("release/1").protected
    with pytest.raises(gitlab.GitlabDeleteError, match="403"):
        client("ada").branches.delete("release/1")
    assert (
        client("dev").protectedbranches.get("main").push_access_levels[1]["user_id"] == fake.state.user_named("bot").id
    )


def test_comparison_starts_at_the_merge_base_unless_it_is_straight(fake: GitlabFake, client: Any) -> None:
    opened(fake, client)
    fake.commit("main", {"other.txt": "other\n"})
    compared = client("dev").repository_compare("main", "feature")
    assert [change["new_path"] for change in compared["diffs"]] == ["prices.txt"]
    assert "-3\n+4" in compared["diffs"][0]["diff"]
    straight = client("dev").repository_compare("main", "feature", straight=True)
    assert {change["new_path"] for change in straight["diffs"]} == {"prices.txt", "other.txt"}
