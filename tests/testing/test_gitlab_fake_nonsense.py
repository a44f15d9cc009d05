import json
import re
from collections.abc import Iterator
from typing import Any

from penstock.testing.gitlab import GitlabFake, routes
from penstock.testing.gitlab.ask import Json, Request

NONSENSE: tuple[Any, ...] = (None, "", "\0", "a/../b", -1, 10**30, 1.5, [], [None], [[1]], {"a": {}}, "None", "é" * 99)
SPOILT_WORDS = ("", "\0", "-1", "None")
SPOILT_PARTS = ("None", "-1", "1e9", "%00", "%2F", "9" * 40, "..%2f..")


def sense(fake: GitlabFake) -> tuple[dict[str, str], Json]:
    """Parts of paths, and parameters, that make sense."""
    head = fake.commit("feature", {"a": "a"})
    made = fake.open_merge_request("feature")
    root = fake.token_of("root")
    pipeline = fake.add_pipeline(head, "feature", jobs={"validate": "validate"})

    def post(path: str, body: Json) -> Json:
        answer = fake.answer(
            Request("POST", f"/projects/15{path}", {}, {"private-token": root}, json.dumps(body).encode())
        )
        assert answer is not None
        assert answer.status == 201
        shown: Json = answer.body
        return shown

    thread = post("/merge_requests/1/discussions", {"body": "b"})
    order = {"environment": "dev", "sha": head, "ref": "feature", "tag": False, "status": "running"}
    parts = {
        "id": "15",
        "merge_request_iid": "1",
        "noteable_id": "1",
        "discussion_id": thread["id"],
        "note_id": thread["notes"][0]["id"],
        "award_id": post(f"/merge_requests/1/notes/{thread['notes'][0]['id']}/award_emoji", {"name": "eyes"})["id"],
        "environment_id": post("/environments", {"name": "canary"})["id"],
        "deployment_id": post("/deployments", order)["id"],
        "hook_id": post("/hooks", {"url": "http://127.0.0.1:9/"})["id"],
        "pipeline_id": pipeline.id,
        "job_id": pipeline.jobs[0].id,
        "user_id": made.author.id,
        "sha": head,
        "branch": "feature",
        "name": "main",
    }
    words = {"title": "t", "source_branch": "feature", "target_branch": "main", "body": "b", "state": "success"}
    places = {
        "branch": "new",
        "url": "http://127.0.0.1:9/",
        "from": "main",
        "to": "feature",
        "refs": ["main", "feature"],
    }
    return {name: str(value) for name, value in parts.items()}, {**order, **words, **places, "name": "n"}


def filled(path: str, parts: dict[str, str]) -> str:
    return re.sub(r":([a-z_]+)", lambda found: parts[found[1]], path)


def spoilt(entry: routes.Entry, parts: dict[str, str], given: Json) -> Iterator[Request]:
    """Requests of a route, each wrong in one place."""
    path = filled(entry.path, parts)
    sound = {name: value for name, value in given.items() if name in entry.takes}
    for name in sorted(entry.takes - {"auto_merge", "merge_when_pipeline_succeeds"}):
        for value in NONSENSE:
            yield Request(entry.method, path, {}, {}, json.dumps({**sound, name: value}).encode())
        for word in SPOILT_WORDS:
            yield Request(entry.method, path, {key: [str(one)] for key, one in {**sound, name: word}.items()})
    for name in re.findall(r":([a-z_]+)", entry.path):
        for word in SPOILT_PARTS:
            yield Request(entry.method, filled(entry.path, {**parts, name: word}))
    for data in (b"{", b"[1]", b'"x"', b"\xff"):
        yield Request(entry.method, path, {}, {}, data)


def test_nonsense_in_any_place_of_any_route_is_refused_and_breaks_nothing(fake: GitlabFake) -> None:
    """In the order of methods that destroys last."""
    parts, given = sense(fake)
    headers = {"private-token": fake.token_of("root")}
    for method in ("GET", "POST", "PUT", "DELETE"):
        for entry in (entry for entry in routes.entries() if entry.method == method):
            for request in spoilt(entry, parts, given):
                answer = fake.answer(Request(request.method, request.path, request.query, headers, request.data))
                assert answer is not None
                assert answer.status < 500, request
