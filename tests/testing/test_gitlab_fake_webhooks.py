import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from penstock.errors import LimitReached
from penstock.testing.gitlab import GitlabFake
from penstock.testing.project import Project

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLw=="


class Receiver(HTTPServer):
    """Keeps what it is sent; `then` is called for each event."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.news = threading.Event()
        self.then: Any = lambda payload: None
        self.url = f"http://127.0.0.1:{self.server_address[1]}/hook"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((dict(self.headers.items()), data))
        self.server.then(json.loads(data))
        self.send_response(202)
        self.end_headers()
        self.server.news.set()

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def payloads(receiver: Receiver) -> list[Any]:
    return [json.loads(data) for _, data in receiver.received]


def test_events_are_sent_when_asked_for_with_their_headers(fake: GitlabFake, receiver: Receiver) -> None:
    fake.add_webhook(receiver.url, token="secret", signing_token=SECRET)
    fake.commit("feature", {"a": "a"}, by="dev")
    fake.open_merge_request("feature", by="dev")
    assert receiver.received == []
    assert [(one.kind, one.status) for one in fake.deliver()] == [("push", 202), ("merge_request", 202)]
    headers, data = receiver.received[1]
    assert (headers["X-Gitlab-Event"], headers["X-Gitlab-Token"]) == ("Merge Request Hook", "secret")
    assert headers["Idempotency-Key"] != receiver.received[0][0]["Idempotency-Key"]
    Webhook(SECRET).verify(data.decode(), {name.lower(): value for name, value in headers.items()})
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(data.decode() + " ", {name.lower(): value for name, value in headers.items()})
    assert payloads(receiver)[1]["object_attributes"]["action"] == "open"
    again = fake.resend(fake.deliveries[1])
    assert receiver.received[2][0]["Idempotency-Key"] == again.key == headers["Idempotency-Key"]


def test_a_merge_request_tells_what_happens_to_it(fake: GitlabFake, receiver: Receiver, client: Any) -> None:
    first = fake.commit("feature", {"a": "a"}, by="dev")
    fake.open_merge_request("feature", by="dev")
    fake.add_webhook(receiver.url, push_events=False, note_events=False)
    second = fake.commit("feature", {"b": "b"}, by="dev")
    made = client("ada").mergerequests.get(1)
    client("ada").mergerequests.update(1, {"labels": ["prod"]})
    made.approve()
    client("ada").mergerequests.get(1).merge()
    fake.deliver()
    seen = [one["object_attributes"] for one in payloads(receiver)]
    assert [one["action"] for one in seen] == ["update", "update", "approved", "merge"]
    assert (seen[0]["oldrev"], seen[0]["last_commit"]["id"]) == (first, second)
    assert "oldrev" not in seen[1]
    changes = payloads(receiver)[1]["changes"]["labels"]
    assert (changes["previous"], [one["title"] for one in changes["current"]]) == ([], ["prod"])
    assert seen[3]["state"] == "merged"
    assert payloads(receiver)[3]["user"] == {
        "id": fake.state.user_named("ada").id,
        "name": "Ada",
        "username": "ada",
        "avatar_url": f"{fake.url}/uploads/ada.png",
        "email": "ada@example.org",
    }


def test_a_push_lists_twenty_commits_and_one_of_four_branches_tells_nothing(
    fake: GitlabFake, receiver: Receiver, shop: Project
) -> None:
    fake.add_webhook(receiver.url)
    start = shop.git("rev-parse", "HEAD")
    shop.branch("feature")
    for number in range(25):
        head = shop.commit({f"{number}": "x"}, f"Change {number}")
    shop.git("push", "--quiet", fake.git_url("dev"), "feature")
    (sent,) = fake.deliver()
    assert (sent.payload["total_commits_count"], len(sent.payload["commits"])) == (25, 20)
    assert (sent.payload["before"], sent.payload["after"], sent.payload["user_username"]) == ("0" * 40, head, "dev")
    assert sent.payload["commits"][-1] | {"author": 0, "timestamp": 0} == {
        "id": head,
        "message": "Change 24\n",
        "title": "Change 24",
        "timestamp": 0,
        "url": f"{fake.url}/shop/agents/-/commit/{head}",
        "author": 0,
        "added": ["24"],
        "modified": [],
        "removed": [],
    }
    shop.git("push", "--quiet", fake.git_url("dev"), *(f"{start}:refs/heads/b{number}" for number in range(4)))
    assert fake.deliver() == []
    shop.git("push", "--quiet", fake.git_url("dev"), *(f":b{number}" for number in range(3)))
    assert [(one.payload["after"], one.payload["checkout_sha"]) for one in fake.deliver()] == [("0" * 40, None)] * 3


def test_lost_events_are_recorded_and_never_sent(fake: GitlabFake, receiver: Receiver) -> None:
    fake.add_webhook(receiver.url)
    fake.lose_webhooks = True
    fake.commit("feature", {"a": "a"})
    assert [one.lost for one in fake.deliver()] == [True]
    fake.lose_webhooks = False
    assert (fake.deliver(), receiver.received) == ([], [])


def test_a_receiver_that_is_away_is_no_error(fake: GitlabFake) -> None:
    fake.add_webhook("http://127.0.0.1:9/nobody")
    fake.commit("feature", {"a": "a"})
    (sent,) = fake.deliver()
    assert sent.status is None
    assert "refused" in sent.failure


def test_a_receiver_may_call_the_api_and_may_not_answer_itself_for_ever(
    fake: GitlabFake, receiver: Receiver, client: Any
) -> None:
    fake.commit("feature", {"a": "a"})
    fake.open_merge_request("feature")
    fake.add_webhook(receiver.url, push_events=False)
    made = client("bot").mergerequests.get(1)
    receiver.then = lambda payload: (
        payload["object_attributes"]["note"] == "plan" and made.notes.create({"body": "done"})
    )
    made.notes.create({"body": "plan"})
    assert [one.payload["object_attributes"]["note"] for one in fake.deliver()] == ["plan", "done"]
    with fake.lock:
        fake.state.outbox.waiting.extend(fake.deliveries[:1] * 1_001)
    fake.lose_webhooks = True
    with pytest.raises(LimitReached, match="more than 1000 events"):
        fake.deliver()


def test_events_go_out_at_once_where_asked(receiver: Receiver, shop: Project) -> None:
    assert shop.remote is not None
    with GitlabFake(shop.remote, deliver_at_once=True) as fake:
        fake.add_webhook(receiver.url)
        fake.commit("feature", {"a": "a"})
        assert receiver.news.wait(30)
    assert payloads(receiver)[0]["ref"] == "refs/heads/feature"


def test_pipelines_and_deployments_are_told(fake: GitlabFake, receiver: Receiver, client: Any) -> None:
    head = fake.commit("feature", {"a": "a"})
    fake.open_merge_request("feature")
    fake.add_webhook(receiver.url)
    made = fake.add_pipeline(
        head, "feature", source="merge_request_event", jobs={"validate": "validate", "eval": "eval"}
    )
    fake.finish_pipeline(made, "failed")
    order = {"environment": "dev", "sha": head, "ref": "feature", "tag": False, "status": "success"}
    client("bot").deployments.create(order)
    fake.deliver()
    started, ended, deployed = payloads(receiver)
    assert (started["object_attributes"]["status"], started["merge_request"]["iid"]) == ("running", 1)
    assert ended["object_attributes"]["stages"] == ["validate", "eval"]
    assert [one["status"] for one in ended["builds"]] == ["failed", "failed"]
    assert (deployed["environment"], deployed["status"], deployed["short_sha"]) == ("dev", "success", head[:8])
