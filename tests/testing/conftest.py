from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest

from penstock.testing.gitlab import GitlabFake
from penstock.testing.project import Project, project

Client = Callable[..., Any]


@pytest.fixture
def shop(tmp_path: Path) -> Project:
    return project({"README.md": "shop\n", "prices.txt": "1\n2\n3\n"}, tmp_path / "shop", remote=True)


@pytest.fixture
def fake(shop: Project) -> Iterator[GitlabFake]:
    """A GitLab with a maintainer, two developers, a guest, a bot, and somebody from outside."""
    assert shop.remote is not None
    with GitlabFake(shop.remote) as made:
        made.add_user("ada", access_level=40, email="ada@example.org", public_email="ada@example.org")
        made.add_user("dev", access_level=30)
        made.add_user("eve", access_level=30)
        made.add_user("guest", access_level=10)
        made.add_user("outsider", access_level=None)
        made.add_user("bot", access_level=40, bot=True)
        yield made


@pytest.fixture
def client(fake: GitlabFake) -> Client:
    """The project as a user's python-gitlab sees it; with `job` by the token of one of the user's jobs."""

    def connect(username: str, *, job: bool = False, token: str = "") -> Any:
        if job:
            server = gitlab.Gitlab(fake.url, job_token=fake.job_token(username))
        else:
            server = gitlab.Gitlab(fake.url, private_token=token or fake.token_of(username))
        return server.projects.get(fake.project, lazy=True)

    return connect
