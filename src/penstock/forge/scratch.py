"""A checkout of one commit in a repository of its own: it knows no remote, no credential and no hook of ours."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock.errors import Unavailable
from penstock.gates.unit import scrubbed_environment
from penstock.registry.git_command import git
from penstock.settings import Settings


@dataclass(frozen=True, slots=True)
class Scratch:
    """The checkout: its whole folder, and the project in it."""

    folder: Path
    project: Path

    def environment(self) -> dict[str, str]:
        """All that a program sees there: no token, no model key, and stores that end with the folder.

        `driver` is dagster, so that whatever is judged there is a draft, the branch's own settings notwithstanding.
        """
        return {
            **scrubbed_environment(self.folder),
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_CONFIG_SYSTEM": "/dev/null",
            "PENSTOCK_DRIVER": "dagster",
            "PENSTOCK_RELEASES_URL": str(self.folder / "releases"),
            "PENSTOCK_DATABASE_URL": f"sqlite:///{self.folder / 'store.db'}",
            "PENSTOCK_CACHE_DIR": str(self.folder / "cache"),
            "PENSTOCK_SPOOL_DIR": str(self.folder / "spool"),
            "PENSTOCK_REGISTRY_URL": "",
            "PENSTOCK_GITLAB_URL": "",
            "PENSTOCK_NOTIFY_URL": "",
            "PENSTOCK_EXECUTOR_URL": "",
            "PENSTOCK_CELERY_BROKER": "",
        }


@contextmanager
def scratch(settings: Settings, head: str, base: str) -> Iterator[Scratch]:
    """The project as `head` has it, with `base` as its base branch; gone at the end. Raises `Unavailable`.

    Objects are read from the project's own clone, which must have both commits.
    """
    with tempfile.TemporaryDirectory(prefix="penstock-check-", ignore_cleanup_errors=True) as made:
        folder = Path(made)
        tree = folder / "tree"
        inside = _ask(settings.root, "rev-parse", "--show-prefix").strip()
        objects = _ask(settings.root, "rev-parse", "--path-format=absolute", "--git-path", "objects").strip()
        _ask(folder, "init", "--quiet", "--template=", str(tree))
        (tree / ".git" / "objects" / "info").mkdir(parents=True, exist_ok=True)
        (tree / ".git" / "objects" / "info" / "alternates").write_text(f"{objects}\n", "utf-8")
        _ask(tree, "config", "core.hooksPath", "/dev/null")
        _ask(tree, "remote", "add", "origin", ".")
        _ask(tree, "update-ref", f"refs/remotes/origin/{settings.base_branch}", base)
        _ask(tree, "checkout", "--quiet", "--detach", head)
        yield Scratch(folder, tree / inside)


def _ask(root: Path, *words: str) -> str:
    answer = git(root, words)
    if answer.status:
        raise Unavailable(
            f"git {words[0]} failed: {answer.words}", where=str(root), now="`git fetch`, or see its settings"
        )
    return answer.out
