import json
from pathlib import Path
from typing import Any

import pytest

from penstock.errors import Unavailable
from penstock.testing.gitlab import GitlabFake
from penstock.testing.gitlab.ask import Request
from penstock.testing.gitlab.call import Call
from penstock.testing.gitlab.contract import violations
from penstock.testing.gitlab.document import API, FIELDS, OUTSIDE, QUERIES, STATUSES
from penstock.testing.gitlab.reference import DOCUMENT, reference
from penstock.testing.gitlab.routes import entries
from penstock.testing.gitlab.webhook_shape import shape_faults


def tour(fake: GitlabFake, connect: Any) -> None:
    """Calls every route at least once."""
    ada, dev, server = connect("ada"), connect("dev"), connect("ada").manager.gitlab
    server.auth()
    server.version()
    server.users.list(username="ada")
    server.users.get(server.user.id)
    server.projects.get(fake.project)
    server.projects.get(fake.project_id)
    ada.members_all.list(get_all=True)
    ada.members_all.get(server.user.id)
    ada.protectedbranches.list(get_all=True)
    ada.protectedbranches.get("main")
    repository(fake, ada)
    merge_requests(fake, ada, dev)
    statuses(fake, ada)
    places(fake, ada)
    hook = ada.hooks.create({"url": "http://127.0.0.1:9/hook", "note_events": True, "token": "t", "signing_token": ""})
    ada.hooks.list(get_all=True)
    hook.push_events = False
    hook.save()
    ada.hooks.get(hook.id).delete()


def repository(fake: GitlabFake, ada: Any) -> None:
    ada.branches.create({"branch": "spare", "ref": "main"})
    ada.branches.list(get_all=True, search="spare")
    ada.branches.list(iterator=True, pagination="keyset", per_page=1)
    ada.branches.get("spare").delete()
    fake.commit("feature/tour", {"prices.txt": "1\n2\n4\n", "new.txt": "new\n"}, "Four\n\nEvidence: sha256:1")
    head = ada.commits.list(query_parameters={"ref_name": "feature/tour", "path": "prices.txt"}, get_all=True)[0]
    ada.commits.get(head.id).diff(get_all=True)
    ada.repository_compare("main", "feature/tour")
    ada.repository_merge_base(["main", "feature/tour"])


def merge_requests(fake: GitlabFake, ada: Any, dev: Any) -> None:
    made = ada.mergerequests.create({"title": "Tour", "source_branch": "feature/tour", "target_branch": "main"})
    ada.commits.get(made.sha).merge_requests(get_all=True)
    ada.mergerequests.list(
        state="opened", labels=["a", "b"], target_branch="main", order_by="updated_at", iterator=True
    )
    made.labels = ["one", "two"]
    made.description = "More"
    made.save()
    made.commits(get_all=True)
    made.diffs.list(get_all=True)
    made.pipelines.list(get_all=True)
    made.changes()
    ada.manager.gitlab.http_list(f"/projects/{fake.project_id}/merge_requests/1/diffs", get_all=True)
    notes(made)
    made.approvals.get()
    made.approval_state.get()
    dev.mergerequests.get(1).approve(sha=made.sha)
    dev.mergerequests.get(1).unapprove()
    fake.commit("main", {"other.txt": "other\n"})
    made.rebase()
    made = ada.mergerequests.get(1)
    made.merge(sha=made.sha, merge_commit_message="Merged", should_remove_source_branch=True)
    fake.commit("second", {"x": "x"})
    ada.mergerequests.create({"title": "Second", "source_branch": "second", "target_branch": "main", "squash": True})
    second = ada.mergerequests.get(2, include_diverged_commits_count=True)
    second.state_event = "close"
    second.save()
    second.delete()


def notes(made: Any) -> None:
    note = made.notes.create({"body": "Hello"})
    note.body = "Hello again"
    note.save()
    made.notes.list(order_by="created_at", sort="asc", activity_filter="only_comments", iterator=True)
    emoji = made.notes.get(note.id).awardemojis.create({"name": "eyes"})
    note.awardemojis.list(get_all=True)
    note.awardemojis.delete(emoji.id)
    thread = made.discussions.create({"body": "Blocks"})
    reply = thread.notes.create({"body": "Why?"})
    thread.notes.get(reply.id)
    reply.body = "Why then?"
    reply.save()
    reply.delete()
    thread.resolved = True
    thread.save()
    made.discussions.get(thread.id)
    made.discussions.list(get_all=True)
    refs = made.diff_refs
    place = {"position_type": "text", "old_path": "prices.txt", "new_path": "prices.txt", "new_line": 3, **refs}
    made.discussions.create({"body": "This line", "position": place})
    note.delete()


def statuses(fake: GitlabFake, ada: Any) -> None:
    commit = ada.commits.get(fake.head("main"))
    for state in ("pending", "running", "success"):
        commit.statuses.create(
            {
                "state": state,
                "name": "penstock",
                "ref": "main",
                "description": "Tour",
                "target_url": "https://example.org/1",
            }
        )
    commit.statuses.list(get_all=True, ref="main", name="penstock", all=True)
    fake.add_pipeline(fake.head("main"), "main", jobs={"validate": "validate"})
    newest = ada.pipelines.list(get_all=True, ref="main", sha=commit.id, source="push")[0]
    job = ada.pipelines.get(newest.id).jobs.list(get_all=True)[0]
    ada.jobs.get(job.id)


def places(fake: GitlabFake, ada: Any) -> None:
    made = ada.environments.create(
        {"name": "canary", "external_url": "https://example.org/canary", "tier": "production"}
    )
    ada.environments.list(get_all=True, name="canary", states="available")
    made.external_url = "https://example.org/other"
    made.save()
    deployed = ada.deployments.create(
        {"environment": "canary", "sha": fake.head("main"), "ref": "main", "tag": False, "status": "running"}
    )
    deployed.status = "success"
    deployed.save()
    ada.deployments.list(get_all=True, environment="canary", status="success", order_by="id", sort="desc")
    ada.deployments.get(deployed.id)
    ada.environments.get(made.id).stop()
    made.delete()


@pytest.mark.servers
def test_every_route_is_asked_for_and_answers_what_stands_in_gitlabs_document(fake: GitlabFake, client: Any) -> None:
    tour(fake, client)
    assert violations(fake.calls) == []
    answered = {(call.request.method, call.request.path) for call in fake.calls if call.status < 300}
    unasked = [
        (entry.method, entry.path)
        for entry in entries()
        if not any(method == entry.method and entry.pattern.fullmatch(path) for method, path in answered)
    ]
    assert unasked == []


@pytest.mark.servers
def test_webhooks_have_the_shape_of_gitlabs_samples(fake: GitlabFake, client: Any) -> None:
    fake.add_webhook("http://127.0.0.1:9/nobody")
    tour(fake, client)
    fake.open_merge_request("second", by="dev")
    fake.commit("second", {"y": "y"}, by="dev")
    sent = fake.deliver()
    assert {one.kind for one in sent} == {"push", "merge_request", "note", "pipeline", "deployment"}
    assert [(one.kind, fault) for one in sent for fault in shape_faults(one.kind, one.payload)] == []
    spoilt = sent[0].payload | {"ref": 1, "novel": "x", "project": {"id": "15", "name": "x", "more": 1}}
    assert shape_faults("push", spoilt) == [
        "ref: number, the sample has text",
        "project.id: text, the sample has number",
        "project.more: the sample has no such field",
        "novel: the sample has no such field",
    ]


MERGE_REQUESTS = "/projects/shop%2Fagents/merge_requests"


def call(method: str, path: str, status: int = 200, body: Any = None, **more: Any) -> Call:
    data = json.dumps(more["data"]).encode() if "data" in more else b""
    return Call(
        Request(method, path, more.get("query", {}), {"private-token": "x"}, data),
        status,
        {},
        body,
        more.get("fault", ""),
    )


@pytest.mark.servers
@pytest.mark.parametrize(
    ("made", "found"),
    [
        (call("GET", "/projects/15/nonsense"), "path: no such path or method"),
        (call("DELETE", MERGE_REQUESTS), "path: no such path or method"),
        (call("GET", MERGE_REQUESTS, body=[], query={"colour": ["red"]}), "query: colour is no parameter"),
        (call("GET", MERGE_REQUESTS, body=[], query={"state": ["half"]}), "query: state: 'half' is not one of"),
        (call("GET", f"{MERGE_REQUESTS}/None", body={}), "path: Path parameter error: merge_request_iid"),
        (call("PUT", f"{MERGE_REQUESTS}/1/merge", body={}, data={"shaa": "1"}), "body: (all): Additional properties"),
        (call("POST", MERGE_REQUESTS, 201, {}, data={"title": "x"}), "body: (all): 'source_branch' is a required"),
        (call("GET", f"{MERGE_REQUESTS}/1", body={"iid": "1"}), "response: iid: '1' is not of type 'integer'"),
        (call("GET", f"{MERGE_REQUESTS}/1", body={"colour": 1}), "response: (all): Additional properties"),
        (
            call("GET", MERGE_REQUESTS, body=[{"author": None, "closed_by": {"id": 1, "colour": 1}}]),
            "response: [].closed_by: Additional properties",
        ),
        (
            call("GET", f"{MERGE_REQUESTS}/1/approvals", body={"approved_by": [{"user": 1}]}),
            "response: approved_by.[].user: 1 is not of type 'object'",
        ),
        (Call(Request("GET", MERGE_REQUESTS), 401, {}, {"message": "no"}), "token: "),
        (call("GET", f"{MERGE_REQUESTS}/1", 409, {"message": "no"}), "status: 409 is not among the answers"),
        (call("GET", f"{MERGE_REQUESTS}/1", 404, {"detail": "no"}), "response: 404 has neither message nor error"),
    ],
)
def test_what_gitlab_does_not_know_is_found(made: Call, found: str) -> None:
    assert [line for line in violations([made]) if line.split(": ", 1)[1].startswith(found)]


@pytest.mark.servers
def test_a_fault_excuses_the_answer_and_not_the_question() -> None:
    asked = {"query": {"colour": ["red"]}, "fault": "answer"}
    (line,) = violations([call("GET", MERGE_REQUESTS, 500, {"detail": "no"}, **asked)])
    assert line.endswith("query: colour is no parameter")


@pytest.mark.servers
def test_what_is_mended_in_the_document_needs_it() -> None:
    given = reference(DOCUMENT)
    for field in FIELDS:
        assert given["components"]["schemas"][field.entity]["properties"][field.name] != field.schema
    for query in QUERIES:
        names = [one["name"] for one in given["paths"][query.path][query.method]["parameters"]]
        assert query.name not in names
    for status in STATUSES:
        assert str(status.status) not in given["paths"][status.path][status.method]["responses"]
    assert not [path for path in given["paths"] for pattern in OUTSIDE if pattern.fullmatch(path.removeprefix(API))]


def test_a_missing_document_is_an_error_and_not_silence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PENSTOCK_TEST_DATA", str(tmp_path))
    with pytest.raises(Unavailable, match="set PENSTOCK_TEST_DATA"):
        violations([])
    with pytest.raises(Unavailable, match="set PENSTOCK_TEST_DATA"):
        shape_faults("push", {})
