import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gitlab
import pytest

from penstock.testing.gitlab import GitlabFake
from penstock.testing.project import Project, project

Client = Callable[..., Any]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a project and its bare remote, to be copied: git takes a tenth of a second to make them."""
    folder = tmp_path_factory.mktemp("template")
    project({"README.md": "shop\n", "prices.txt": "1\n2\n3\n"}, folder / "shop", remote=True)
    return folder


@pytest.fixture
def shop(tmp_path: Path, template: Path) -> Project:
    shutil.copytree(template, tmp_path / "work")
    made = Project(tmp_path / "work" / "shop", tmp_path / "work" / "shop.git")
    made.git("remote", "set-url", "origin", str(made.remote))
    return made


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
