"""The receiver: both proofs, bounds, replays; what it believes of a payload; jobs one at a time."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import orjson
import pytest
from standardwebhooks import Webhook

from penstock.errors import LimitReached, WrongUse
from penstock.forge.queue import Job, JobQueue
from penstock.forge.webhook import LARGEST, PATH, Secrets, build_app, jobs_of

SIGNING = "whsec_" + "c2VjcmV0LXNlY3JldC1zZWNyZXQ="
PROJECT = {"id": 15, "path_with_namespace": "shop/agents"}
TOPIC = {"iid": 7, "source_branch": "topic"}
REQUEST = {"object_kind": "merge_request", "project": PROJECT, "object_attributes": TOPIC}


def said(kind: str, **more: Any) -> dict[str, Any]:
    return {"object_kind": kind, "project": PROJECT, **more}


class Held(JobQueue):
    """A queue that only takes."""

    def __init__(self, most: int = 10) -> None:
        super().__init__(lambda job, cancelled: None, workers=0, most=most)

    @property
    def jobs(self) -> list[Job]:
        return list(self._waiting)


def signed(body: bytes, *, minutes: int = 0, key: str = "one") -> dict[str, str]:
    moment = datetime.now(UTC) + timedelta(minutes=minutes)
    signature = Webhook(SIGNING).sign(key, moment, body.decode())
    return {
        "webhook-id": key,
        "webhook-timestamp": str(int(moment.timestamp())),
        "webhook-signature": signature,
    }


def post(queue: JobQueue, body: bytes, headers: dict[str, str], secrets: Secrets | None = None) -> httpx.Response:
    app = build_app(queue, secrets or Secrets("token", SIGNING), project="shop/agents", base_branch="main")
    return send(app, body, headers)


def send(app: Any, body: bytes, headers: dict[str, str]) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
            return await client.post(PATH, content=body, headers=headers)

    return asyncio.run(ask())


def good(body: bytes, **more: Any) -> dict[str, str]:
    return {"x-gitlab-token": "token", **signed(body, **more)}


def test_what_is_proven_twice_is_taken_at_once() -> None:
    queue, body = Held(), orjson.dumps(REQUEST)
    answer = post(queue, body, good(body))
    assert (answer.status_code, answer.json()) == (202, {"jobs": [{"kind": "request", "iid": 7}]})
    assert queue.jobs == [Job("request", 7)]


BODY = orjson.dumps(REQUEST)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (dict, "X-Gitlab-Token"),
        (lambda: signed(BODY), "X-Gitlab-Token"),
        (lambda: {**good(BODY), "x-gitlab-token": "tokem"}, "X-Gitlab-Token"),
        (lambda: {"x-gitlab-token": "token"}, "Missing required headers"),
        (lambda: {**good(BODY), "webhook-signature": "v1,AAAA"}, "No matching signature"),
        (lambda: {**good(BODY), "webhook-signature": "nonsense"}, "cannot be read"),
        (lambda: {**good(BODY), "webhook-id": "two"}, "No matching signature"),
        (lambda: {**good(BODY), "webhook-timestamp": "soon"}, "Invalid Signature Headers"),
        (lambda: good(BODY, minutes=-6), "too old"),
        (lambda: good(BODY, minutes=7), "too new"),
        (lambda: good(BODY + b" "), "No matching signature"),
    ],
)
def test_what_is_not_proven_is_refused(headers: Callable[[], dict[str, str]], why: str) -> None:
    queue = Held()
    answer = post(queue, BODY, headers())
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert why in answer.json()["title"]
    assert "secret" not in answer.text.replace(why, "").replace("compare the secret", "")
    assert queue.jobs == []


def test_one_secret_is_enough_where_one_is_set_and_none_is_not() -> None:
    assert post(Held(), BODY, {"x-gitlab-token": "token"}, Secrets("token", "")).status_code == 202
    assert post(Held(), BODY, signed(BODY), Secrets("", SIGNING)).status_code == 202
    with pytest.raises(WrongUse, match="anybody's"):
        post(Held(), BODY, {}, Secrets("", ""))
    for broken in ("whsec_", "whsec_a", "whsec_ü"):
        with pytest.raises(WrongUse, match="PENSTOCK_GITLAB_SIGNING_SECRET"):
            Secrets("", broken).require()


def test_a_delivery_that_comes_again_is_answered_and_not_done_again() -> None:
    done: list[Job] = []
    with JobQueue(lambda job, cancelled: done.append(job)) as queue:
        app = build_app(queue, Secrets("token", SIGNING), project="15", base_branch="main")
        answers = []
        for key in ("one", "one", "two"):
            answers.append(send(app, BODY, good(BODY, key=key)).status_code)
            assert queue.wait_until_idle(10)
    assert answers == [202, 200, 202]
    assert done == [Job("request", 7)] * 2


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"", 400), (b"[]", 400), (b"{", 400), (b"\xff\xfe", 400), (b" " * (LARGEST + 1), 413)],
)
def test_a_body_that_is_none_is_a_problem(body: bytes, status: int) -> None:
    answer = post(Held(), body, {"x-gitlab-token": "token"}, Secrets("token", ""))
    assert answer.status_code == status
    assert answer.json()["status"] == status


def test_a_full_queue_says_so_and_takes_the_delivery_later() -> None:
    queue = Held(most=1)
    app = build_app(queue, Secrets("token", SIGNING), project="shop/agents", base_branch="main")
    other = orjson.dumps({**REQUEST, "object_attributes": {"iid": 8, "source_branch": "b"}})
    assert send(app, BODY, good(BODY, key="a")).status_code == 202
    refused = send(app, other, good(other, key="b"))
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
    queue._waiting.clear()
    assert send(app, other, good(other, key="b")).status_code == 202
    assert queue.jobs == [Job("request", 8)]


@pytest.mark.parametrize(
    ("payload", "jobs"),
    [
        (REQUEST, [Job("request", 7)]),
        ({**REQUEST, "project": {"id": 16, "path_with_namespace": "shop/other"}}, []),
        ({**REQUEST, "object_attributes": {"iid": 7, "source_branch": "penstock/a/prod"}}, [Job("promotion", 7)]),
        ({**REQUEST, "object_attributes": {"iid": "7"}}, []),
        ({**REQUEST, "object_attributes": None}, []),
        (said("push", ref="refs/heads/main", commits=[]), [Job("base")]),
        (said("push", ref="refs/heads/topic"), []),
        (said("note", merge_request=TOPIC, object_attributes={"note": "/penstock plan"}), [Job("comments", 7)]),
        (said("note", merge_request=TOPIC, object_attributes={"note": "hi"}), []),
        (said("note", object_attributes={"note": "/penstock plan"}), []),
        (said("pipeline", merge_request=TOPIC), [Job("request", 7)]),
        (said("pipeline", merge_request=None), []),
        (said("issue"), []),
        ({}, []),
    ],
)
def test_an_event_says_only_what_to_look_at(payload: dict[str, Any], jobs: list[Job]) -> None:
    assert jobs_of(payload, "shop/agents", "main") == jobs


def test_jobs_are_done_one_at_a_time_and_the_newest_word_after_the_one_in_hand() -> None:
    begun, go = threading.Event(), threading.Event()
    done: list[Job] = []
    at_once: list[int] = [0, 0]

    def work(job: Job, cancelled: Callable[[], bool]) -> None:
        at_once[0] += 1
        at_once[1] = max(at_once)
        begun.set()
        assert go.wait(20)
        done.append(job)
        at_once[0] -= 1

    with JobQueue(work) as queue:
        queue.submit(Job("request", 1))
        assert begun.wait(20)
        assert queue.submit(Job("request", 1))
        assert not queue.submit(Job("request", 1))
        go.set()
        assert queue.wait_until_idle(20)
    assert done == [Job("request", 1)] * 2
    assert at_once[1] == 1


def test_checks_never_keep_a_comment_waiting() -> None:
    go, answered = threading.Event(), threading.Event()

    def work(job: Job, cancelled: Callable[[], bool]) -> None:
        if job.kind == "request":
            assert go.wait(20)
        else:
            answered.set()

    with JobQueue(work) as queue:
        for iid in range(5):
            queue.submit(Job("request", iid))
        queue.submit(Job("comments", 1))
        assert answered.wait(20)
        go.set()


def test_a_job_that_breaks_breaks_no_other(caplog: pytest.LogCaptureFixture) -> None:
    done: list[Job] = []

    def work(job: Job, cancelled: Callable[[], bool]) -> None:
        if job.iid == 1:
            raise WrongUse("no")
        if job.iid == 2:
            raise ZeroDivisionError
        done.append(job)

    with JobQueue(work, workers=2) as queue:
        for iid in (1, 2, 3):
            queue.submit(Job("comments", iid))
        assert queue.wait_until_idle(20)
    assert done == [Job("comments", 3)]
    assert "a fault of Penstock" in caplog.text


def test_the_end_cuts_what_is_in_hand_short_and_takes_nothing_more() -> None:
    begun = threading.Event()
    ended: list[Job] = []

    def work(job: Job, cancelled: Callable[[], bool]) -> None:
        begun.set()
        while not cancelled():
            threading.Event().wait(0.01)
        ended.append(job)

    with JobQueue(work, workers=2) as queue:
        queue.submit(Job("request", 1))
        assert begun.wait(20)
        queue.submit(Job("request", 2))
    assert ended == [Job("request", 1)]
    with pytest.raises(LimitReached):
        Held(most=0).submit(Job("base"))
