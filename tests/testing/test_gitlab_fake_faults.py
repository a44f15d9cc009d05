from typing import Any

import gitlab
import pytest
import requests

from penstock.testing.gitlab import GitlabFake


@pytest.fixture
def made(fake: GitlabFake, client: Any) -> Any:
    fake.commit("feature", {"a": "a"}, by="dev")
    return client("dev").mergerequests.create({"title": "A", "source_branch": "feature", "target_branch": "main"})


@pytest.mark.parametrize("status", [405, 409, 429, 500, 502])
def test_the_next_calls_answer_an_error(fake: GitlabFake, client: Any, made: Any, status: int) -> None:
    fake.fail("POST", r"/notes$", status, times=2, headers={"retry-after": "7"})
    order = {"body": "Hello"}
    for _ in range(2):
        with pytest.raises(gitlab.GitlabCreateError) as refused:
            made.notes.create(order, obey_rate_limit=False)
        assert refused.value.response_code == status
    assert made.notes.create(order).body == "Hello"
    assert [(call.status, call.fault) for call in fake.calls[-3:]] == [
        (status, "answer"),
        (status, "answer"),
        (201, ""),
    ]
    assert fake.calls[-3].headers["retry-after"] == "7"


def test_a_rate_limit_says_when_to_come_back(fake: GitlabFake, made: Any) -> None:
    fake.fail("POST", r"/notes$", 429)
    assert made.notes.create({"body": "Hello"}).body == "Hello"  # python-gitlab waits as long as it is told
    assert [call.status for call in fake.calls[-2:]] == [429, 201]


@pytest.mark.parametrize(("done", "notes"), [(False, 0), (True, 1)])
def test_a_dropped_connection_may_have_done_the_work(fake: GitlabFake, made: Any, done: bool, notes: int) -> None:
    fake.drop("POST", r"/notes$", done=done)
    with pytest.raises(requests.ConnectionError):
        made.notes.create({"body": "Hello"})
    assert len(made.notes.list(get_all=True)) == notes
    assert fake.calls[-2].status == 0


def test_silence_ends_with_the_clients_patience(fake: GitlabFake, client: Any, made: Any) -> None:
    fake.stall("GET", r"/merge_requests/1$")
    with pytest.raises(requests.Timeout):
        client("dev").mergerequests.get(made.iid, timeout=0.1)
    assert client("dev").mergerequests.get(made.iid).title == "A"


@pytest.mark.parametrize(("by", "seen"), [(1, [1, 2, 2, 3, 4, 5]), (-1, [1, 2, 4, 5])])
def test_lists_move_between_pages(fake: GitlabFake, made: Any, by: int, seen: list[int]) -> None:
    notes = {made.notes.create({"body": f"{number}"}).id: number for number in range(1, 6)}
    fake.shift_pages(r"/notes$", by, times=2)
    listed = made.notes.list(iterator=True, per_page=2, sort="asc")
    found = [notes[note.id] for note in listed]
    assert found == seen


def test_a_gitlab_that_is_away_answers_nothing_and_comes_back(fake: GitlabFake, client: Any, made: Any) -> None:
    fake.away = True
    with pytest.raises(requests.ConnectionError):
        client("dev").mergerequests.get(made.iid)
    fake.away = False
    assert client("dev").mergerequests.get(made.iid).title == "A"


def test_work_is_done_between_two_calls(fake: GitlabFake, client: Any, made: Any) -> None:
    fake.before("PUT", r"/merge$", lambda: made.notes.create({"body": "Meanwhile"}))
    client("ada").mergerequests.get(made.iid).merge()
    assert [note.body for note in made.notes.list(activity_filter="only_comments", get_all=True)] == ["Meanwhile"]


def test_a_lazy_merge_request_is_asked_for_by_the_name_of_none(fake: GitlabFake, client: Any, made: Any) -> None:
    """python-gitlab's trap: after `approve` a lazy object has lost its number."""
    lazy = client("ada").mergerequests.get(made.iid, lazy=True)
    lazy.approve()
    with pytest.raises(gitlab.GitlabMRClosedError, match="400"):
        lazy.merge()
    assert fake.calls[-1].line.endswith("/merge_requests/None/merge")


def test_what_the_fake_lacks_is_501(fake: GitlabFake, client: Any) -> None:
    with pytest.raises(gitlab.GitlabListError, match="501: the fake does not know"):
        client("ada").issues.list(get_all=True)
