"""Faults of GitLab and of the network: one error each, asked again where that is safe, never for ever."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.errors import Conflict, NotFound, PenstockError, Refused, Unavailable, WrongUse
from penstock.forge import client as client_module
from penstock.forge.client import Client
from penstock.forge.connection import TOKEN, Connection, open_connection
from penstock.settings import Settings
from penstock.testing.gitlab import GitlabFake
from penstock.testing.project import project


@pytest.fixture
def gitlab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[GitlabFake]:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setattr(client_module, "FIRST_WAIT_S", 0.01)
    made = project({"a": "b"}, tmp_path / "author", remote=True)
    assert made.remote is not None
    with GitlabFake(made.remote) as fake:
        fake.add_user("penstock", access_level=40, bot=True)
        yield fake


@pytest.fixture
def connection(gitlab: GitlabFake) -> Iterator[Connection]:
    with Connection(Client(gitlab.url, gitlab.token_of("penstock")), gitlab.project) as made:
        assert made.project
        yield made


def asked(gitlab: GitlabFake, method: str, path: str) -> int:
    return sum(1 for call in gitlab.calls if call.request.method == method and path in call.request.path)


@pytest.mark.parametrize("status", [429, 500, 502, 503])
def test_a_read_is_asked_again(status: int, gitlab: GitlabFake, connection: Connection) -> None:
    gitlab.fail("GET", r"/user$", status, times=3)
    assert connection.me["username"] == "penstock"
    assert asked(gitlab, "GET", "/user") == 4


@pytest.mark.parametrize("kind", ["drop", "500"])
def test_a_read_is_not_asked_for_ever(kind: str, gitlab: GitlabFake, connection: Connection) -> None:
    if kind == "drop":
        gitlab.drop("GET", r"/user$", times=9)
    else:
        gitlab.fail("GET", r"/user$", 500, times=9)
    with pytest.raises(Unavailable):
        assert connection.me
    assert asked(gitlab, "GET", "/user") == 4


def test_patience_is_honoured_and_has_an_end(gitlab: GitlabFake, connection: Connection) -> None:
    gitlab.fail("GET", r"/user$", 429, headers={"retry-after": "1"})
    began = time.monotonic()
    assert connection.me
    assert time.monotonic() - began >= 1
    gitlab.fail("GET", r"/merge_requests$", 429, headers={"retry-after": "3600"})
    with pytest.raises(Unavailable, match="429"):
        connection.merge_requests()
    assert asked(gitlab, "GET", "/merge_requests") == 1


def test_a_write_is_not_sent_twice_unless_it_was_refused_unread(gitlab: GitlabFake, connection: Connection) -> None:
    def write() -> None:
        connection.project.branches.create({"branch": "topic", "ref": "main"})

    gitlab.drop("POST", r"/branches$")
    with pytest.raises(Unavailable):
        write()
    gitlab.fail("POST", r"/branches$", 502)
    with pytest.raises(Unavailable):
        write()
    assert asked(gitlab, "POST", "/branches") == 2
    gitlab.fail("POST", r"/branches$", 429)
    write()
    assert asked(gitlab, "POST", "/branches") == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, Refused),
        (403, Refused),
        (404, NotFound),
        (405, Conflict),
        (409, Conflict),
        (422, Conflict),
        (418, Refused),
    ],
)
def test_each_answer_is_one_error(
    status: int, kind: type[PenstockError], gitlab: GitlabFake, connection: Connection
) -> None:
    gitlab.fail("GET", r"/user$", status)
    with pytest.raises(kind) as found:
        assert connection.me
    assert type(found.value) is kind
    assert str(status) in found.value.what
    assert gitlab.token_of("penstock") not in str(found.value)


def test_an_answer_that_is_no_json_is_no_gitlab(gitlab: GitlabFake) -> None:
    with Connection(Client(f"{gitlab.url}/nowhere", "x"), "a/b") as made, pytest.raises(PenstockError) as found:
        assert made.me
    assert "x" not in found.value.what.split()


def test_nobody_there_is_unavailable(gitlab: GitlabFake) -> None:
    with Connection(Client("http://127.0.0.1:9", "x"), "a/b") as made, pytest.raises(Unavailable, match="no answer"):
        assert made.me


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    with pytest.raises(WrongUse, match="gitlab_url, gitlab_project"):
        open_connection(Settings(root=tmp_path))
    with pytest.raises(WrongUse, match=TOKEN):
        open_connection(Settings(root=tmp_path, gitlab_url="http://127.0.0.1", gitlab_project="a/b"))
