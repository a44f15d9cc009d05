from concurrent.futures import ThreadPoolExecutor

import pytest

from penstock.errors import Conflict
from penstock.store.database import Database
from penstock.store.feedback import Feedback, FeedbackStore
from penstock.store.runs import RunStore

SINCE = "2026-11-20T10:00:00Z"


def word(rating: float, user: str | None = "ada", at: str = "2026-11-20T11:00:00.000000Z", **texts: str) -> Feedback:
    return Feedback("r", "clerk", "sha256:a", "prod", rating, user, texts, at)


@pytest.fixture
def said(database: Database) -> FeedbackStore:
    return FeedbackStore(database)


def test_a_word_comes_back_and_a_second_one_takes_its_place(said: FeedbackStore) -> None:
    assert said.put(word(-1, comment="wrong")) is False
    assert said.put(word(1, at="2026-11-20T12:00:00.000000Z")) is True
    assert said.of_run("r") == [{"rating": 1, "user": "ada", "at": "2026-11-20T12:00:00.000000Z"}]
    assert said.of_run("other") == []


def test_an_older_word_that_comes_late_changes_nothing(said: FeedbackStore) -> None:
    said.put(word(1, at="2026-11-20T12:00:00.000000Z"))
    said.put(word(-1, at="2026-11-20T11:00:00.000000Z"))
    assert [one["rating"] for one in said.of_run("r")] == [1]


def test_each_user_has_a_word_newest_first(said: FeedbackStore) -> None:
    said.put(word(1, "ada", "2026-11-20T11:00:00.000000Z"))
    said.put(word(-0.5, "bob", "2026-11-20T12:00:00.000000Z"))
    said.put(word(1, None, "2026-11-20T13:00:00.000000Z"))
    assert [one["user"] for one in said.of_run("r")] == [None, "bob", "ada"]
    assert said.ratings("clerk", "sha256:a", "prod", SINCE) == [1, -0.5, 1]
    assert said.ratings("clerk", "sha256:a", "prod", "2026-11-20T12:30:00Z") == [1]
    assert said.ratings("clerk", "sha256:b", "prod", SINCE) == said.ratings("clerk", "sha256:a", "canary", SINCE) == []


def test_deleted_payloads_take_the_texts_along(said: FeedbackStore, database: Database) -> None:
    said.put(word(-1, comment="wrong", corrected="right"))
    RunStore(database).delete_payloads("r")
    assert said.of_run("r") == [{"rating": -1, "user": "ada", "at": "2026-11-20T11:00:00.000000Z"}]
    with pytest.raises(Conflict, match="deleted"):
        said.put(word(-1, "bob", comment="still wrong"))
    assert said.put(word(1, "bob")) is False


def test_many_at_once_leave_one_word_a_user(said: FeedbackStore) -> None:
    words = [word(n / 100, f"u{n % 5}", f"2026-11-20T11:00:{n:02}.000000Z") for n in range(50)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(said.put, words))
    assert sorted(one["rating"] for one in said.of_run("r")) == [0.45, 0.46, 0.47, 0.48, 0.49]
